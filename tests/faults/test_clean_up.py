"""Several workers at once remove expired files, each file once."""

import pytest

from tests.faults.portal import assert_settled, eventually, fill, new_folder, text_of, uploaded

COUNT = 200
ASK = "from fileshare.tasks import remove_expired_files\nfor _ in range(6): remove_expired_files.delay()"


@pytest.mark.parametrize(
    "portal", [pytest.param("apart", marks=[pytest.mark.postgres, pytest.mark.redis, pytest.mark.s3])], indirect=True
)
def test_workers_at_once_remove_each_file_once(portal, api):
    folder, kept = new_folder(api), text_of(100_000)
    fill(portal, folder, COUNT)
    # This file keeps used_bytes above zero, so that space which is given back twice shows.
    uploaded(api, folder, kept)
    assert portal.query("SELECT count(*) FROM fileshare_file WHERE folder_id = ?", folder) == [(COUNT + 1,)]
    portal.query(
        "UPDATE fileshare_file SET expires_at = '2020-01-01 00:00:00' WHERE folder_id = ? AND size_bytes < 100000",
        folder,
    )

    portal.start("second worker")
    try:
        portal.shell(ASK)
        eventually(lambda: portal.query("SELECT count(*) FROM fileshare_file WHERE folder_id = ?", folder) == [(1,)])
        removed = "SELECT count(*), count(DISTINCT target_id) FROM audit_event WHERE action = 'expired'"
        assert portal.query(removed) == [(COUNT, COUNT)]
        assert portal.space(folder) == (len(kept), 0)
    finally:
        portal.kill("second worker")
    assert_settled(portal, folder, [len(kept)])
