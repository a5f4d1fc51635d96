# A provider of django-oauth-toolkit, with clients that come and go.
#
# usage: server.py PORT CERTIFICATE KEY TTL DATABASE
#
# Prints its port as soon as it serves, and ends with its input. It is told
# what to do as ../oidc-provider/server.mjs is.

import json
import os
import ssl
import sys
import threading
from datetime import datetime, timezone
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

port, certificate, key, ttl, database = sys.argv[1:]

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
os.environ["PROVIDER_DATABASE"] = database
os.environ["PROVIDER_TTL"] = ttl

import django  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db.backends.signals import connection_created  # noqa: E402


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    # its answers have no length: the end of TLS is what ends them. It is said,
    # and the client's is not waited for.

    def shutdown_request(self, request):
        try:
            request.settimeout(0)
            request.unwrap()
        except OSError:
            pass

        super().shutdown_request(request)


class Handler(WSGIRequestHandler):

    def log_message(self, *args):
        pass


# no answer waits for a busy disk

def connected(connection, **kwargs):
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous = OFF")


def command(asked):
    from oauth2_provider.models import (get_access_token_model,
                                        get_application_model)

    Application = get_application_model()
    client = Application.objects.filter(client_id=asked["id"])

    if asked.get("issued"):
        return get_access_token_model().objects.filter(
            application__client_id=asked["id"]).count()

    if asked.get("remove"):
        client.delete()
        return "removed"

    application = client.first() or Application(client_id=asked["id"])

    application.client_secret = asked["secret"]
    application.client_type = Application.CLIENT_CONFIDENTIAL
    application.authorization_grant_type = (
        asked.get("grant") or "client_credentials").replace("_", "-")
    application.redirect_uris = "https://localhost/"
    application.scope = asked["scope"]
    application.expires = None

    if asked.get("expires"):
        application.expires = datetime.fromtimestamp(asked["expires"],
                                                     timezone.utc)

    application.save()

    return "made"


def main():
    connection_created.connect(connected)

    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)

    server = make_server("127.0.0.1", int(port), get_wsgi_application(),
                         server_class=Server, handler_class=Handler)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True,
                                        do_handshake_on_connect=False)

    threading.Thread(target=server.serve_forever, daemon=True).start()

    print(server.server_port, flush=True)

    for line in sys.stdin:
        print(command(json.loads(line)), flush=True)


main()
