"""Runs the simulator as a child process that ends with the portal."""

import os
import signal
import threading
import time

from django.conf import settings

from .server import Simulator


def make(*, port=0, **options):
    """A Simulator with this portal's credentials."""
    return Simulator(
        port=port,
        key=settings.MPESA_CONSUMER_KEY,
        secret=settings.MPESA_CONSUMER_SECRET,
        shortcode=settings.MPESA_SHORTCODE,
        passkey=settings.MPESA_PASSKEY,
        till=settings.MPESA_TILL_NUMBER,
        **options,
    )


def start():
    """Start a simulator on a free port in a child process, and put its address into the settings and the environment.

    The child uses only the parent's settings, and none of its connections or locks. It ends when the parent has ended
    for any reason.
    """
    simulator, parent = make(), os.getpid()
    settings.MPESA_BASE_URL = os.environ["MPESA_BASE_URL"] = simulator.url
    if os.fork() == 0:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *arguments: os._exit(0))
        threading.Thread(target=_end_with, args=[parent], daemon=True).start()
        try:
            simulator.serve_forever()
        finally:
            os._exit(0)
    # Close the parent's copy of the socket; the child has its own.
    simulator.let_go()


def _end_with(parent):
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)
