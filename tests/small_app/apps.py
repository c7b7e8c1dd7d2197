from importlib import import_module

from config.contributions import registry


class SmallAppConfig(registry.PortalApp):
    """Things to lend."""

    name = "tests.small_app"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        # Import it here, by its name: it needs the models, which are loaded by now.
        import_module("tests.small_app.contributions").hand_in()
