"""The stores under test. Every test that takes `store` runs once for each of STORES, over real HTTP."""

import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from django.conf import settings as django_settings
from moto.server import ThreadedMotoServer

from fileshare.storage.local import LocalStore
from fileshare.storage.s3 import S3Store
from tests.servers import S3_KEYS, new_bucket, s3_client

# moto is an S3 that checks no signatures or expiry times.
STORES = ["local", "moto", "s3"]
JSON = {"Accept": "application/json"}
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=STORES)
def store(request):
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture(params=["local", "s3"])
def wary_store(request):
    """A store that checks signatures."""
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture
def local_store(local_server, settings):
    settings.SITE_URL = local_server.url
    return LocalStore(local_server.data_dir / "store", fsync=False)


@pytest.fixture(scope="session")
def local_server(tmp_path_factory):
    """The store's view in the portal's server, gunicorn: one process with eight threads."""
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
        # The socket accepts connections already, so this request waits until the process is up.
        assert httpx.get(f"{url}/store/unsigned", headers=JSON, timeout=60).status_code == 403
        yield SimpleNamespace(url=url, data_dir=data_dir, pid=process.pid)
        process.send_signal(signal.SIGQUIT)  # stops at once: no request is open
        process.wait(30)


@pytest.fixture
def s3_store(s3_bucket):
    return bucket_store(s3_bucket)


@pytest.fixture
def moto_store(moto_bucket):
    return bucket_store(moto_bucket)


def bucket_store(bucket):
    return S3Store(s3_client(bucket, connect_timeout=3, read_timeout=30), bucket.name)


@pytest.fixture(scope="session")
def moto_bucket():
    """A bucket in moto's HTTP server, which runs in a thread of this process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield new_bucket(SimpleNamespace(endpoint_url=f"http://{host}:{port}", **S3_KEYS))
    server.stop()


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
