# A client that may have a last day, and scopes of its own.

from django.db import models
from django.utils import timezone
from oauth2_provider.models import AbstractApplication


class Application(AbstractApplication):
    expires = models.DateTimeField(null=True)
    scope = models.TextField()

    def is_usable(self, request):
        return self.expires is None or timezone.now() < self.expires
