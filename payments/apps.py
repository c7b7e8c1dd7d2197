from importlib import import_module

from django.utils.translation import gettext_lazy as _

from config.contributions import registry


class PaymentsConfig(registry.PortalApp):
    """The app of plans and payments."""

    name = "payments"
    verbose_name = _("Payments")

    def ready(self):
        # Import here: the module needs the models.
        import_module("payments.contributions.hand_in").hand_in()
        import_module("payments.checks")
