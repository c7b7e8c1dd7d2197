"""Bytes that are not what was promised, or come too late, over real HTTP."""

import httpx

from tests.faults.portal import assert_settled, begun, complete, new_folder, read, refusal, send, text_of


def put(transfer, body):
    """The answer to a PUT of `body`, whatever was promised."""
    return httpx.put(transfer["upload_url"], content=body, headers=transfer["headers"], timeout=60)


def test_only_what_was_promised_becomes_a_file(portal, api):
    folder, body = new_folder(api), text_of(1000)
    transfer = begun(api, folder, body)
    assert refusal(complete(api, transfer, {}), status=409).code == "not_uploaded"

    assert put(transfer, body + b"x").status_code in (403, 413)
    assert refusal(complete(api, transfer, {}), status=409).code == "not_uploaded"
    shorter = put(transfer, body[:-1])
    # A bucket knows the length from the signature; the portal counts at the end.
    assert shorter.status_code == (403 if portal.store else 200)
    assert refusal(complete(api, transfer, {}), status=409).code == ("not_uploaded" if portal.store else "wrong_size")
    assert portal.space(folder) == (0, len(body))

    send(transfer, body)
    assert complete(api, transfer, {}).status_code == 200
    assert read(api, transfer["file_id"]) == body

    # The URL is good for a while yet; what it takes is nobody's.
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
    # The schedule may have been quicker, and others' uploads are none of this.
    portal.shell("from fileshare import uploads; uploads.remove_abandoned()")
    assert portal.query("SELECT id FROM fileshare_upload WHERE id = ?", expired["file_id"]) == []
    assert portal.space(folder) == (0, 0)

    for transfer in (expired, aborted):
        assert put(transfer, body).status_code == (200 if portal.store else 404)
        assert refusal(complete(api, transfer, {}), status=404).code

    assert_settled(portal, folder, [])
