"""Makes or restores a backup and is killed (SIGKILL) before the nth call of a function.

python -m tests.fileshare.backups.backup_crash backup|restore FOLDER MODULE:FUNCTION NTH
"""

import importlib
import io
import os
import signal
import sys

import django

ACTS = {
    "backup": lambda folder: making.make(to=folder, stream=io.StringIO()),
    "restore": lambda folder: restoring.restore(
        place=shelf.open_shelf(folder), which=shelf.LATEST, replace=True, stream=io.StringIO()
    ),
}


def kill_before(name, nth):
    """Replace the function `name`, so that its nth call kills the process."""
    module, path = name.split(":")
    *owners, attribute = path.split(".")
    owner = importlib.import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    call, left = getattr(owner, attribute), nth

    def counted(*args, **kwargs):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)

    setattr(owner, attribute, counted)


if __name__ == "__main__":
    django.setup()
    from fileshare.backups import making, restoring, shelf

    act, folder, name, nth = sys.argv[1:]
    kill_before(name, int(nth))
    ACTS[act](folder)
