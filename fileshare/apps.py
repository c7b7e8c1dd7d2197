from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate


class FileshareConfig(AppConfig):
    """Folders, bytes and links."""

    name = "fileshare"

    def ready(self):
        # By name, like the stores: a portal without a bucket loads nothing of boto3.
        if settings.STORAGE == "s3":
            import_module("fileshare.storage.checks")
        # By name, for it needs the models.
        post_migrate.connect(import_module("fileshare.search_index").ensure, sender=self)
