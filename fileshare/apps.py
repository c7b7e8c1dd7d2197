from importlib import import_module

from django.conf import settings
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

from config.contributions import registry


class FileshareConfig(registry.PortalApp):
    """The app of folders, files and links."""

    name = "fileshare"
    verbose_name = _("Folders and files")

    def ready(self):
        # Import by name, as for the stores: a portal without a bucket must not load boto3.
        if settings.STORAGE == "s3":
            import_module("fileshare.storage.checks")
        # Import late: this module needs the models, which are not loaded when apps.py is.
        post_migrate.connect(import_module("fileshare.search.index").ensure, sender=self)
        import_module("fileshare.contributions.hand_in").hand_in()
