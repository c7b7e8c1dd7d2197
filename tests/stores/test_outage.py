"""A service that does not answer delays a few calls; the others fail at once."""

import contextlib
import socket
import threading
from types import SimpleNamespace

import pytest

from fileshare.storage import StoreUnavailable, s3
from tests.servers import LOOPBACK, S3_KEYS, s3_client

pytestmark = pytest.mark.once


@pytest.fixture
def silent():
    """A service that accepts connections, counts them and never answers."""
    with socket.create_server((LOOPBACK, 0)) as listener, contextlib.ExitStack() as open_ones:
        state = SimpleNamespace(connections=0, port=listener.getsockname()[1])

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    open_ones.enter_context(listener.accept()[0])
                    state.connections += 1

        threading.Thread(target=accept, daemon=True).start()
        yield state


def store_at(port):
    server = SimpleNamespace(endpoint_url=f"http://{LOOPBACK}:{port}", **S3_KEYS)
    client = s3_client(server, connect_timeout=1, read_timeout=0.2, retries={"total_max_attempts": 1})
    return s3.S3Store(client, "portal")


def test_after_a_call_without_an_answer_the_next_are_refused_unasked(silent):
    store = store_at(silent.port)

    for call in (lambda: store.head("files/a"), lambda: list(store.list()), lambda: store.delete("files/a")):
        with pytest.raises(StoreUnavailable) as refusal:
            call()
        assert refusal.value.retry_after == s3.OUTAGE_SECONDS

    assert silent.connections == 1


def test_urls_are_signed_meanwhile(silent):
    store = store_at(silent.port)
    with pytest.raises(StoreUnavailable):
        store.head("files/a")

    url = store.presign_get("files/a", filename="a", content_type="", expires_in=9, claims={})

    assert f":{silent.port}/portal/files/a?" in url


def test_after_an_outage_one_call_finds_out(silent, monkeypatch):
    monkeypatch.setattr(s3, "OUTAGE_SECONDS", 0)
    store = store_at(silent.port)

    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            store.head("files/a")

    assert silent.connections == 2


def test_a_call_that_never_asked_leaves_it_to_the_next_to_find_out(silent, monkeypatch):
    store = store_at(silent.port)
    store._outage.began()
    monkeypatch.setattr(store._outage, "_until", 0.0)

    with pytest.raises(KeyError), store._asking("files/a"):
        raise KeyError
    with pytest.raises(StoreUnavailable):
        store.head("files/a")

    assert silent.connections == 1


@pytest.mark.s3
def test_a_service_that_is_back_is_used_at_once(s3_bucket, monkeypatch):
    monkeypatch.setattr(s3, "OUTAGE_SECONDS", 0)
    store = s3.S3Store(s3_client(s3_bucket), s3_bucket.name)
    store._outage.began()
    store._outage.seconds = 3600

    assert [store.head("files/none"), store.head("files/none")] == [None, None]
