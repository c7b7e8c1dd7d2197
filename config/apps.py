from importlib import import_module

from django.apps import AppConfig

from . import names, sentry


class ConfigConfig(AppConfig):
    """The portal's ground floor and roof."""

    name = "config"

    def ready(self):
        names.give()
        import_module("config.checks")
        sentry.start()
