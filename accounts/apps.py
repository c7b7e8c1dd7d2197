from importlib import import_module

from django.utils.translation import gettext_lazy as _

from config.contributions import registry


class AccountsConfig(registry.PortalApp):
    """People and their messages."""

    name = "accounts"
    verbose_name = _("People")

    def ready(self):
        # Import it here, not at the top: it needs the models, which are not loaded before ready().
        import_module("accounts.contributions.hand_in").hand_in()
        import_module("accounts.checks")
