# Settings of the provider: see server.py.

import os

SECRET_KEY = os.urandom(32).hex()
ALLOWED_HOSTS = ["localhost"]
ROOT_URLCONF = "urls"
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "oauth2_provider",
    "clients",
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["PROVIDER_DATABASE"],
        "OPTIONS": {"timeout": 10},
    },
}

# the tables are made of the models as they are
MIGRATION_MODULES = {
    "auth": None,
    "contenttypes": None,
    "oauth2_provider": None,
    "clients": None,
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

OAUTH2_PROVIDER_APPLICATION_MODEL = "clients.Application"

OAUTH2_PROVIDER = {
    "ACCESS_TOKEN_EXPIRE_SECONDS": int(os.environ["PROVIDER_TTL"]),
    "SCOPES": {"payments": "", "reports": "", "admin": ""},
    "SCOPES_BACKEND_CLASS": "clients.scopes.OwnScopes",
}
