"""The bucket does not answer: requests that need it are told to try again, and all others work."""

import threading

import pytest

from tests.faults.portal import (
    PART_SIZE,
    assert_settled,
    begun,
    complete,
    eventually,
    listed,
    new_folder,
    promise,
    read,
    readiness,
    refusal,
    send,
    text_of,
    uploaded,
)

pytestmark = [pytest.mark.postgres, pytest.mark.redis, pytest.mark.s3]
LARGE = PART_SIZE + 1000


@pytest.fixture
def api(apart):
    with apart.signed_in() as client:
        yield client


def test_what_needs_the_bytes_is_refused_and_the_rest_goes_on(apart, api):
    folder = new_folder(api)
    bodies = [text_of(1000), text_of(LARGE)]
    waiting = [begun(api, folder, body) for body in bodies]
    named = [send(transfer, body) for transfer, body in zip(waiting, bodies, strict=True)]
    kept = text_of(2000)
    file = uploaded(api, folder, kept)
    doomed, unwanted = uploaded(api, folder, text_of(300)), begun(api, folder, text_of(LARGE))
    browser = apart.browser()
    reserved = sum(map(len, bodies))

    apart.lines["store"].cut()

    assert refusal(promise(api, folder, text_of(LARGE))).code == "store_unavailable"
    for transfer, parts in zip(waiting, named, strict=True):
        assert refusal(complete(api, transfer, parts)).code == "store_unavailable"
    assert refusal(api.get(f"/api/fileshare/upload/{waiting[1]['file_id']}")).code == "store_unavailable"
    form = api.post("/api/files/upload", files={"file": ("a.txt", text_of(50))}, data={"folder_id": folder})
    assert refusal(form).code == "store_unavailable"
    link = api.get(f"/api/client/download/{file['id']}").json()["download-link"]
    assert refusal(api.get(link)).code == "store_unavailable"
    page = browser.get(f"/files/{file['id']}/download", follow_redirects=True)
    assert (page.status_code, page.headers["Retry-After"]) == (503, "3")
    assert "Not available for the moment" in page.text
    assert apart.space(folder) == (len(kept) + 300, reserved + LARGE), "a refused promise sets nothing aside"

    with apart.signed_in() as other:
        assert {each["id"] for each in listed(other, folder)} == {file["id"], doomed["id"]}
        for path in ("/api/client/files", "/api/fileshare/uploads", "/api/notifications", "/api/users/me"):
            assert other.get(path).status_code == 200
        assert promise(other, folder, text_of(10)).status_code == 201, "to sign a URL nobody has to be asked"
    assert browser.get("/fileshare/").status_code == 200
    readiness(api, 200, store="unavailable")

    # Files are deleted at once, and their bytes later.
    for path in (f"/api/files/{doomed['id']}", f"/api/files/trash/{doomed['id']}"):
        assert api.delete(path).status_code == 204
    assert api.post("/api/fileshare/upload/abort", json={"file_id": unwanted["file_id"]}).status_code == 204
    assert apart.space(folder) == (len(kept), reserved + 10)

    apart.lines["store"].restore()

    for transfer, parts, body in zip(waiting, named, bodies, strict=True):
        assert complete(api, transfer, parts).status_code == 200
        assert read(api, transfer["file_id"]) == body
    assert read(api, file["id"]) == kept
    assert apart.space(folder) == (len(kept) + reserved, 10)
    assert_settled(apart, folder, [len(kept), *map(len, bodies)])


def test_a_download_waits_out_a_store_that_stands_still(apart, api):
    """The store stops while the archive is being sent. The rest of the portal does not wait for it."""
    folder = new_folder(api)
    bodies = [text_of(LARGE) for _ in range(2)]
    files = [uploaded(api, folder, body) for body in bodies]
    got = []

    def download():
        with api.stream("POST", "/api/fileshare/download/bulk", json={"file_ids": [f["id"] for f in files]}) as answer:
            for block in answer.iter_raw():
                if not got:
                    apart.lines["store"].freeze()
                    frozen.set()
                got.append(block)
            lengths.append(int(answer.headers["Content-Length"]))

    frozen, lengths = threading.Event(), []
    thread = threading.Thread(target=download)
    thread.start()
    assert frozen.wait(60)
    with apart.signed_in() as other:
        assert len(listed(other, folder)) == 2
    assert thread.is_alive()
    apart.lines["store"].restore()
    thread.join(90)

    assert lengths == [sum(map(len, got))]


def test_an_upload_cut_in_the_middle_goes_on_with_the_missing_part(apart, api):
    folder = new_folder(api)
    body = text_of(2 * PART_SIZE + 1000)
    transfer = begun(api, folder, body)
    first = send({**transfer, "parts": transfer["parts"][:1]}, body)["parts"]
    apart.lines["store"].cut()
    assert refusal(complete(api, transfer, {"upload_id": transfer["upload_id"], "parts": first})).code

    apart.lines["store"].restore()
    status = api.get(f"/api/fileshare/upload/{transfer['file_id']}").json()

    assert [part["part_number"] for part in status["received"]] == [1]
    rest = send(status, body)["parts"]
    parts = [{name: part[name] for name in ("part_number", "etag")} for part in status["received"]] + rest
    assert complete(api, transfer, {"upload_id": transfer["upload_id"], "parts": parts}).status_code == 200
    assert read(api, transfer["file_id"]) == body
    assert apart.space(folder) == (len(body), 0)
    # When the store is back, the worker reads the file for its checksums.
    eventually(lambda: api.get(f"/api/files/{transfer['file_id']}").json()["sha256"])
