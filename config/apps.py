from importlib import import_module

from django.apps import AppConfig

from .http.throttling import RATES
from .watch import sentry


class ConfigConfig(AppConfig):
    """The app of what all other apps stand on (settings, errors, HTTP) and of the URL table."""

    name = "config"

    def ready(self):
        RATES.add("csp_report", "30/m")
        import_module("config.checks")
        import_module("config.outside.server_checks")
        sentry.start()
        # By name: they need the models.
        import_module("config.watch.heartbeats").start()
        import_module("config.watch.own_parts").register()
