from importlib import import_module

from django.db.models.signals import post_migrate, pre_migrate
from django.utils.translation import gettext_lazy as _

from config.contributions import registry


class AuditConfig(registry.PortalApp):
    """The app of the audit log."""

    name = "audit"
    verbose_name = _("Audit log")

    def ready(self):
        # Import here: the module needs the models.
        triggers = import_module("audit.triggers")
        pre_migrate.connect(triggers.take_away, sender=self)
        post_migrate.connect(triggers.lay_down, sender=self)
        import_module("audit.contributions.hand_in").hand_in()
