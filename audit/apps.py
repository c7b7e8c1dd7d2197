from importlib import import_module

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.translation import gettext_lazy as _


class AuditConfig(AppConfig):
    """What happened, by whom and when."""

    name = "audit"
    verbose_name = _("Audit log")

    def ready(self):
        # By name, for it needs the models.
        triggers = import_module("audit.triggers")
        pre_migrate.connect(triggers.take_away, sender=self)
        post_migrate.connect(triggers.lay_down, sender=self)
        import_module("audit.metrics")
