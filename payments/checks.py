"""Checks of the payment settings by `manage.py check`."""

from django.conf import settings
from django.core.checks import Warning as Warned
from django.core.checks import register


@register()
def no_sandbox_in_public(app_configs, **options):
    """W001 for the sandbox on a public portal: it returns the money, and the payer keeps the space."""
    if settings.MPESA_ENV == "sandbox" and not settings.SITE_IS_LOCAL:
        hint = "Set MPESA_ENV=live once you have gone live, or off."
        return [
            Warned("MPESA_ENV=sandbox on a public portal: space is had for no money.", hint=hint, id="payments.W001")
        ]
    return []
