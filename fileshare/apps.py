from importlib import import_module

from django.apps import AppConfig
from django.conf import settings


class FileshareConfig(AppConfig):
    """Folders, bytes and links."""

    name = "fileshare"

    def ready(self):
        # By name, like the stores: a portal without a bucket loads nothing of boto3.
        if settings.STORAGE == "s3":
            import_module("fileshare.storage.checks")
