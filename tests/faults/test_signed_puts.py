"""PUTs of other bytes than promised, or of late ones, over real HTTP."""

import httpx

from tests.faults.portal import assert_settled, begun, complete, new_folder, read, refusal, send, text_of


def put(transfer, body):
    """The answer to a PUT of `body` to the transfer's URL."""
    return httpx.put(transfer["upload_url"], content=body, headers=transfer["headers"], timeout=60)


def test_only_what_was_promised_becomes_a_file(portal, api):
    folder, body = new_folder(api), text_of(1000)
    transfer = begun(api, folder, body)
    assert refusal(complete(api, transfer, {}), status=409).code == "not_uploaded"

    assert put(transfer, body + b"x").status_code in (403, 413)
    assert refusal(complete(api, transfer, {}), status=409).code == "not_uploaded"
    shorter = put(transfer, body[:-1])
    # A bucket knows the length from the signature. The portal checks the size at the completion.
    assert shorter.status_code == (403 if portal.store else 200)
    assert refusal(complete(api, transfer, {}), status=409).code == ("not_uploaded" if portal.store else "wrong_size")
    assert portal.space(folder) == (0, len(body))

    send(transfer, body)
    assert complete(api, transfer, {}).status_code == 200
    assert read(api, transfer["file_id"]) == body

    # A bucket's URL stays valid for a while, but late bytes do not change the file.
    late = put(transfer, text_of(1000))
    assert late.status_code == (200 if portal.store else 409)
    assert complete(api, transfer, {}).status_code == 200
    assert read(api, transfer["file_id"]) == body
    assert_settled(portal, folder, [len(body)])


def test_what_comes_after_the_upload_was_given_up_is_nobodys(portal, api):
    folder, body = new_folder(api), text_of(1000)
    expired, aborted = begun(api, folder, body), begun(api, folder, body)
    assert api.post("/api/fileshare/upload/abort", json={"file_id": aborted["file_id"]}).status_code == 204
    assert portal.space(folder) == (0, len(body))
    portal.query("UPDATE fileshare_upload SET expires_at = '2020-01-01 00:00:00' WHERE id = ?", expired["file_id"])
    # The schedule may have removed the upload already. Uploads of other tests do not matter.
    portal.shell("from fileshare.incoming import uploads; uploads.remove_abandoned()")
    assert portal.query("SELECT id FROM fileshare_upload WHERE id = ?", expired["file_id"]) == []
    assert portal.space(folder) == (0, 0)

    for transfer in (expired, aborted):
        assert put(transfer, body).status_code == (200 if portal.store else 404)
        assert refusal(complete(api, transfer, {}), status=404).code

    assert_settled(portal, folder, [])
