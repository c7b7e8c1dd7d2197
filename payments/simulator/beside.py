"""The simulator beside a portal of this machine: a child process that ends with it."""

import os
import signal
import threading
import time

from django.conf import settings

from .server import Simulator


def make(*, port=0, **options):
    """A Simulator that knows this portal's credentials."""
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
    """Start one on a free port, in a child process, and let the settings and the environment name it.

    Nothing of the parent but its settings is used in the child: no connection, no lock. It ends when
    the parent is gone, however that went.
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
    # The child has its own hold on the socket.
    simulator.let_go()


def _end_with(parent):
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)
