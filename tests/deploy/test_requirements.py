"""requirements.txt alone is enough to run: the portal imports no package that only the tests install."""

import subprocess
import sys

import pytest

from tests.deploy.conftest import ROOT, production

pytestmark = pytest.mark.once

# Imports what each process of the portal imports, while the packages that requirements.txt does not name are hidden.
PROGRAM = """
import importlib, importlib.metadata, re, sys
from pathlib import Path

def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()

pinned = {plain(name) for name in re.findall(r"^([\\w.-]+)==", Path("requirements.txt").read_text(), re.MULTILINE)}
hidden = {
    module
    for module, packages in importlib.metadata.packages_distributions().items()
    if not pinned & set(map(plain, packages))
}

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"{name} is not in requirements.txt", name=name)

sys.meta_path.insert(0, Hide())
assert {"pytest", "moto"} <= hidden

for name in sys.argv[1:]:
    importlib.import_module(name)
"""
MODULES = """
    config.wsgi config.urls config.celery config.watch.liveness config.http.static
    celery.bin.celery celery.apps.worker celery.apps.beat celery.concurrency.prefork celery.concurrency.thread
    kombu.transport.redis kombu.transport.memory gunicorn.app.wsgiapp gunicorn.workers.gthread
    django.core.cache.backends.redis django.db.backends.postgresql.base storages.backends.s3
    anymail.backends.brevo
"""


def test_the_pinned_packages_are_enough(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *MODULES.split()],
        cwd=ROOT,
        env=production(tmp_path, DJANGO_SETTINGS_MODULE="config.settings"),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
