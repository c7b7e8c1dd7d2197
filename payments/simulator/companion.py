"""Starts the simulator beside a portal that `make run` starts."""

from django.conf import settings
from django.core.management import call_command


def start():
    """Start a simulated Daraja if MPESA_ENV asks for one and MPESA_BASE_URL is empty.

    Returns a line to print, or "" when it starts none.
    """
    if settings.MPESA_ENV != "simulator" or settings.MPESA_BASE_URL:
        return ""
    call_command("daraja_simulator", beside=True)
    return "Payments:    simulated; no money moves (docs/payments.md)"
