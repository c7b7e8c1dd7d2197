"""deploy/nginx at the callback's address: no log holds the secret of the path, and a long body is refused plainly."""

import ssl

import httpx
import pytest

from tests.deploy.conftest import HOST, listens, nginx_folder, running
from tests.faults.portal import eventually
from tests.servers import LOOPBACK, free_ports, nginx_path

pytestmark = [pytest.mark.nginx, pytest.mark.once]
SECRET = "pLq0vT5wXyZ8aB3cD6eF9gH2iJ4kL7mN"


@pytest.fixture
def nginx(tmp_path):
    """(a client of nginx in front of a portal that is away, a function that returns the texts of the logs)."""
    *ports, portal = free_ports(3)
    conf = nginx_folder(tmp_path, ports=ports, portal_port=portal, s3_port=9, data_dir=tmp_path)
    command = [nginx_path(), "-e", str(tmp_path / "error.log"), "-c", str(conf)]
    context = ssl.create_default_context(cafile=tmp_path / "tls.crt")
    with (
        running(command, environment=None, log=tmp_path / "log", is_ready=lambda: listens(ports[1])),
        httpx.Client(base_url=f"https://{LOOPBACK}:{ports[1]}", headers={"Host": HOST}, verify=context) as web,
    ):
        yield web, lambda: [(tmp_path / name).read_text() for name in ("access.log", "error.log", "log")]


def test_a_callback_that_is_too_long_is_refused_as_any_other(nginx):
    web, logs = nginx

    answer = web.post(f"/api/payments/cb/{SECRET}", content=b"x" * 100_000)

    assert (answer.status_code, answer.json()["code"]) == (400, "callback_refused")
    assert not [text for text in logs() if SECRET in text]


@pytest.mark.parametrize(
    "path",
    [
        *["/api/payments/cb/{}", "/share/{}", "/share/{}/download", "/request/{}", "/request/{}/send"],
        *["/request/{}/upload/initiate", "/unsubscribe/{}", "/store/{}", "/secure-download/{}"],
    ],
)
def test_a_secret_in_a_path_is_in_no_log_when_the_portal_is_away(path, nginx):
    web, logs = nginx

    assert web.post(path.format(SECRET), content=b"{}").status_code == 503
    assert web.get("/elsewhere").status_code == 503

    # nginx writes a line after it has sent the answer.
    eventually(lambda: all("/elsewhere" in text for text in logs()[:2]))
    assert not [text for text in logs() if SECRET in text]
