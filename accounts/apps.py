from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """People and their messages."""

    name = "accounts"
    verbose_name = _("People")

    def ready(self):
        # By name, for it needs the models.
        import_module("accounts.personal_data").keep()
        import_module("accounts.metrics")
