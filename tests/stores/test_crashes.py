"""A local store killed at any step then shows the old state or the new one, and the operation can be repeated."""

import os
import subprocess
import sys
import zlib
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from fileshare.storage.local import LocalStore

from . import crash

pytestmark = pytest.mark.once

PROJECT = Path(__file__).resolve().parents[2]


def stores_killed_in(operation, folder):
    """One store for each step at which the operation was killed, and a last one where it reached its end."""
    command = [sys.executable, "-m", "tests.stores.crash", operation, str(folder)]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=300)
    stores = [LocalStore(root, fsync=False) for root in sorted(folder.iterdir(), key=lambda root: int(root.name))]
    assert len(stores) > 5, "nothing was killed"
    return stores


def content(store):
    """The bytes at the key, or None. Asserts that the store's facts fit them."""
    info = store.head(crash.KEY)
    if info is None:
        return None
    with store.open(crash.KEY) as file:
        body = file.read()
    assert info.size_bytes == len(body)
    assert info.sha256 in (None, sha256(body).hexdigest())
    assert info.crc32 == zlib.crc32(body)
    return body


def leftovers(store):
    """Delete the object, sweep the store, and return the paths that remain."""
    store.delete(crash.KEY)
    store.sweep(older_than=datetime.now(UTC) + timedelta(days=1))
    found = []
    for folder, folders, files in os.walk(store.root):
        if os.path.basename(folder) == "locks":
            continue
        inner = folders if folder != store.root else []
        found += [os.path.join(folder, name) for name in [*inner, *files]]
    return found


def test_a_killed_put_is_whole_or_absent_and_can_be_repeated(tmp_path):
    seen = set()
    for store in stores_killed_in("first-put", tmp_path):
        received = store.received(crash.KEY)
        seen.add((received is not None, content(store) is not None))
        assert received is None or received.sha256 == sha256(crash.NEW).hexdigest()
        assert content(store) in (None, crash.NEW)

        crash.put(store)

        assert content(store) == crash.NEW
        assert leftovers(store) == []
    assert seen == {(False, False), (True, False), (True, True)}


def test_a_killed_repetition_leaves_the_first_put_or_the_second(tmp_path):
    expected = {sha256(crash.OLD).hexdigest(), sha256(crash.NEW).hexdigest()}
    stores = stores_killed_in("second-put", tmp_path)

    assert {store.received(crash.KEY).sha256 for store in stores} == expected
    for store in stores:
        assert store.complete_put(crash.KEY).size_bytes == len(crash.NEW)
        assert content(store) in (crash.OLD, crash.NEW)
        assert leftovers(store) == []


def test_a_killed_multipart_upload_goes_on_where_it_stood(tmp_path):
    resumed = 0
    for store in stores_killed_in("multipart", tmp_path):
        assert content(store) in (None, crash.NEW)
        uploads = [folder.name for folder in Path(store.root, "multipart").iterdir()]
        for upload_id in uploads:
            if not Path(store.root, "multipart", upload_id, "manifest.json").exists():
                continue  # killed before the caller had its id, or after it was complete
            if content(store) is None:
                crash.send_missing(store, upload_id)
                resumed += 1
            assert content(store) == crash.NEW
            assert crash.finish(store, upload_id).size_bytes == len(crash.NEW)
        assert leftovers(store) == []
    assert resumed > len(crash.PARTS)


@pytest.mark.parametrize(("operation", "before"), [("write", None), ("overwrite", crash.OLD)])
def test_a_killed_write_leaves_the_old_bytes_or_the_new(tmp_path, operation, before):
    stores = stores_killed_in(operation, tmp_path)

    assert {content(store) for store in stores} == {before, crash.NEW}
    assert [leftovers(store) for store in stores] == [[]] * len(stores)


def test_a_killed_deletion_is_done_or_can_be_repeated(tmp_path):
    stores = stores_killed_in("delete", tmp_path)

    assert {content(store) for store in stores} == {None, crash.OLD}
    assert [leftovers(store) for store in stores] == [[]] * len(stores)
