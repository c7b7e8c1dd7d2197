"""The stores under test. Every test that takes `store` runs once for each of STORES, over real HTTP."""

import os
import signal
import socket
import subprocess
import sys
import types
import uuid
from pathlib import Path

import httpx
import pytest
from django.conf import settings as django_settings

from fileshare.storage.local import LocalStore

STORES = ["local"]
JSON = {"Accept": "application/json"}
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=STORES)
def store(request):
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture
def local_store(local_server, settings):
    settings.SITE_URL = local_server.url
    return LocalStore(local_server.data_dir / "store", fsync=False)


@pytest.fixture(scope="session")
def local_server(tmp_path_factory):
    """The store's view in the server the portal uses: gunicorn, one process of eight threads."""
    data_dir = tmp_path_factory.mktemp("data")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environment = {
            **os.environ,
            "DATA_DIR": str(data_dir),
            "SECRET_KEY": django_settings.SECRET_KEY,
            "PYTHONPATH": str(PROJECT),
        }
        command = [sys.executable, "-m", "gunicorn", f"--bind=fd://{listener.fileno()}", "--no-control-socket"]
        command += ["--worker-class=gthread", "--threads=8", "--log-level=warning", "tests.stores.server:application"]
        process = subprocess.Popen(command, env=environment, cwd=data_dir, pass_fds=[listener.fileno()])
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        # The socket takes connections already; they are answered as soon as the process is up.
        assert httpx.get(f"{url}/store/unsigned", headers=JSON, timeout=60).status_code == 403
        yield types.SimpleNamespace(url=url, data_dir=data_dir, pid=process.pid)
        process.send_signal(signal.SIGQUIT)  # at once: nobody waits for an answer any more
        process.wait(30)


@pytest.fixture(scope="session")
def web():
    with httpx.Client(headers=JSON, timeout=60) as client:
        yield client


@pytest.fixture
def key():
    return f"files/reports/{uuid.uuid4()}/report.pdf"


@pytest.fixture
def file_id():
    return str(uuid.uuid4())
