"""kill -9 at each step of an upload: the client repeats unanswered requests, and the file is there once and whole."""

import random
import threading

import httpx
import pytest

from fileshare.incoming.completion import DIGEST_AT_ONCE_BYTES
from tests.faults.portal import (
    MIB,
    PART_SIZE,
    assert_settled,
    begun,
    complete,
    eventually,
    mended,
    new_folder,
    promise,
    read,
    refusal,
    send,
    text_of,
    uploaded,
)

pytestmark = pytest.mark.both

SMALL, LARGE = 3 * MIB, PART_SIZE + 1000
ON_BUCKETS = [pytest.mark.postgres, pytest.mark.redis, pytest.mark.s3]


def killed(portal, act):
    """Call `act`, which kills the web server, and start the server again."""
    with pytest.raises(httpx.TransportError):
        act()
    portal.wait_for_death("web")
    portal.start("web")
    portal.forget_claims()


def test_a_web_server_killed_at_each_step_of_an_upload(portal, api):
    folder, sizes = new_folder(api), []
    portal.die_at("initiated")
    killed(portal, lambda: promise(api, folder, text_of(LARGE)))
    for size, step in (
        (SMALL, "claimed"),
        (LARGE, "claimed"),
        (SMALL, "finished"),
        (LARGE, "inspected"),
        (SMALL, "completed"),
    ):
        body = text_of(size)
        transfer = begun(api, folder, body)
        named = send(transfer, body)
        portal.die_at(step)
        killed(portal, lambda transfer=transfer, named=named: complete(api, transfer, named))
        if step == "inspected":
            file = complete(api, transfer, named).json()  # repeats the call; at other steps the client asks first
        else:
            file = mended(api, transfer, body)
        assert read(api, file["id"]) == body
        sizes.append(size)

    assert_settled(portal, folder, sizes)


@pytest.mark.sqlite
@pytest.mark.local
def test_a_web_server_killed_while_it_takes_the_bytes(embedded):
    with embedded.signed_in() as api:
        folder = new_folder(api)
        for size in (SMALL, LARGE):
            body = text_of(size)
            transfer = begun(api, folder, body)
            embedded.die_at("block")
            killed(embedded, lambda transfer=transfer, body=body: send(transfer, body))
            refused = complete(
                api, transfer, {"upload_id": transfer["upload_id"], "parts": []} if size == LARGE else {}
            )
            assert refused.status_code == 409, refused.text

            assert read(api, mended(api, transfer, body)["id"]) == body

        assert_settled(embedded, folder, [SMALL, LARGE])


@pytest.mark.parametrize("portal", [pytest.param("apart", marks=ON_BUCKETS)], indirect=True)
def test_a_store_killed_at_each_step_of_an_upload(portal, api):
    folder, sizes, store = new_folder(api), [], portal.store
    kept = text_of(SMALL)
    first = uploaded(api, folder, kept)

    def restart():
        store.start()
        portal.lines["store"].upstream = store.address

    for size in (SMALL, LARGE):
        body = text_of(size)

        def dying(body=body):
            yield body[:MIB]
            store.kill()
            yield body[MIB:]

        transfer = begun(api, folder, body)
        url = transfer.get("upload_url") or transfer["parts"][0]["upload_url"]
        length = str(min(size, PART_SIZE))
        headers = {"Content-Length": length, **transfer.get("headers", {})}
        with pytest.raises(httpx.TransportError):
            httpx.put(url, content=dying(body[: int(length)]), headers=headers)
        if size == LARGE:
            assert refusal(promise(api, folder, body)).code == "store_unavailable"
        restart()
        named = mended_parts(api, transfer, body)
        for step in ("claimed", "finished"):
            portal.die_at(step, pid=store.pid)
            assert refusal(complete(api, transfer, named)).code == "store_unavailable"
            restart()
        file = complete(api, transfer, named)
        assert file.status_code == 200, file.text
        assert read(api, transfer["file_id"]) == body
        sizes.append(size)

    assert read(api, first["id"]) == kept
    assert_settled(portal, folder, [SMALL, *sizes])


def mended_parts(api, transfer, body):
    """Ask what is missing and send it; returns what complete needs to know of it."""
    status = api.get(f"/api/fileshare/upload/{transfer['file_id']}").json()
    assert status.get("received", []) == []
    return send(status, body)


def test_a_web_server_killed_at_random_moments(portal):
    """Four clients upload and repeat unanswered requests, while the web server is killed again and again."""
    with portal.signed_in() as api:
        folder, token = new_folder(api), api.headers["Authorization"]
    over, done, seed = threading.Event(), [], random.randrange(2**32)
    moments = random.Random(seed)

    def upload():
        with portal.client(Authorization=token) as client:
            while not over.is_set():
                body = text_of(200_000)
                transfer = repeated(lambda body=body: promise(client, folder, body), 201)
                named = repeated_send(client, transfer, body)
                repeated(lambda transfer=transfer, named=named: complete(client, transfer, named), 200)
                done.append((transfer["file_id"], body))

    threads = [threading.Thread(target=upload) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(4):
        threading.Event().wait(moments.uniform(0.2, 1.5))
        portal.kill("web")
        if "worker" in portal.names and number == 2:
            portal.kill("worker")
            portal.start("worker")
        portal.start("web")
        portal.forget_claims()
    over.set()
    for thread in threads:
        thread.join(120)

    assert len(done) >= 4, f"seed {seed}"
    with portal.signed_in() as api:
        for file_id, body in done[-20:]:
            assert read(api, file_id) == body, f"seed {seed}"
    assert_settled(portal, folder, [200_000] * len(done))


def repeated(act, status):
    """Repeat the call until it answers with that status; returns the body."""

    def ask():
        try:
            answer = act()
        except httpx.TransportError:
            return None
        return answer.json() if answer.status_code == status else None

    return eventually(ask)


def repeated_send(client, transfer, body):
    def put():
        try:
            return [send(transfer, body)]
        except (httpx.TransportError, AssertionError):
            return None

    return eventually(put)[0]


@pytest.mark.parametrize("portal", [pytest.param("apart", marks=ON_BUCKETS)], indirect=True)
def test_a_killed_worker_leaves_its_work_to_the_next(portal, api):
    portal.lines["mail"].freeze()
    facts = {"email": "killed@example.org", "password": "seven green boats", "name": "Killed"}
    assert api.post("/api/auth/signup", json=facts).status_code == 201
    tries = "SELECT tries FROM accounts_outgoingmail WHERE \"to\" = 'killed@example.org'"
    eventually(lambda: portal.query(tries) == [(1,)])

    portal.kill("worker")
    # Larger than what a completion reads for its checksums, so that the worker has to compute them.
    folder, body = new_folder(api), text_of(DIGEST_AT_ONCE_BYTES + 1000)
    file = uploaded(api, folder, body)
    assert file["sha256"] in ("", None)
    portal.lines["mail"].cut()
    portal.lines["mail"].restore()
    portal.query("UPDATE accounts_outgoingmail SET next_try_at = created_at WHERE sent_at IS NULL")
    portal.start("worker")

    eventually(lambda: api.get(f"/api/files/{file['id']}").json()["sha256"])
    eventually(lambda: portal.mail.to("killed@example.org"))
    eventually(lambda: portal.query("SELECT count(*) FROM accounts_outgoingmail WHERE sent_at IS NULL") == [(0,)])
    assert len(portal.mail.to("killed@example.org")) == 1
