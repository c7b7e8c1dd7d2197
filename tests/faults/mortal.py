"""The portal's WSGI application, which kills a process (SIGKILL) at the step that the file DATA_DIR/die-at names.

The file holds the name of the step and the id of the process to kill, 0 for the whole web server. The application
deletes the file when it obeys. Without the file this is config.wsgi.
"""

import functools
import os
import signal
import time

from django.conf import settings

from config.wsgi import application
from fileshare.content import inspection
from fileshare.incoming import completion, uploads
from fileshare.views import store

__all__ = ["application"]
ORDER = settings.DATA_DIR / "die-at"


def reach(step):
    """Kill the process that the file names, if the file names this step."""
    try:
        wanted, pid = ORDER.read_text().split()
        if wanted != step:
            return
        ORDER.unlink()
    except FileNotFoundError:
        return
    if int(pid):
        os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.2)  # give the kernel time to close its connections
    else:
        os.killpg(0, signal.SIGKILL)


def then(step, function):
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        result = function(*args, **kwargs)
        reach(step)
        return result

    return wrapped


uploads.begin = then("initiated", uploads.begin)
completion._claim = then("claimed", completion._claim)
completion._finish_in_store = then("finished", completion._finish_in_store)
inspection.inspect = then("inspected", inspection.inspect)
completion.complete = then("completed", completion.complete)
store._Body.read = then("block", store._Body.read)
