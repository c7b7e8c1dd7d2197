from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class FileshareConfig(AppConfig):
    """Folders, bytes and links."""

    name = "fileshare"
    verbose_name = _("Folders and files")

    def ready(self):
        # By name, like the stores: a portal without a bucket loads nothing of boto3.
        if settings.STORAGE == "s3":
            import_module("fileshare.storage.checks")
        # By name, for it needs the models.
        post_migrate.connect(import_module("fileshare.search_index").ensure, sender=self)
        shares = import_module("fileshare.shares")
        import_module("accounts.mail").context_for(shares.LETTER, shares.letter_context)
        ops = import_module("fileshare.ops")
        import_module("accounts.mail").context_for(ops.LETTER, ops.letter_context)
        import_module("fileshare.privacy").keep()
        import_module("fileshare.file_requests").write_letters()
        import_module("fileshare.metrics")
