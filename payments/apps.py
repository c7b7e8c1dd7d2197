from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PaymentsConfig(AppConfig):
    """Money for space."""

    name = "payments"
    verbose_name = _("Payments")

    def ready(self):
        # By name, for it needs the models.
        import_module("payments.privacy").keep()
        import_module("payments.checks")
        import_module("payments.metrics")
