"""What only the local store has: its folder, its locks, a full disk, symbolic links."""

import errno
import io
import os
import shutil
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import shake_256
from pathlib import Path

import pytest
import time_machine

from config.errors import Refused
from fileshare.storage import (
    BLOCK_SIZE,
    MultipartMissing,
    ObjectMissing,
    PartsInvalid,
    StoreFull,
    StoreUnavailable,
    TooLarge,
    WrongOffset,
    disk,
    local_files,
    part_writer,
)
from fileshare.storage.local import LocalStore
from fileshare.storage.part_writer import PartBusy, PartTakenOver

pytestmark = pytest.mark.once

MIB = 1024 * 1024
KEY = "files/reports/1/report.pdf"
LONG = shake_256(b"long").digest(3 * BLOCK_SIZE)
FAR_FUTURE = timedelta(days=1)


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store", fsync=False)


@pytest.fixture
def beside():
    """Four threads besides the test's own."""
    with ThreadPoolExecutor(4) as threads:
        yield threads


def write(store, key=KEY, body=b"some bytes"):
    return store.write(key, io.BytesIO(body), size_limit=len(body))


def stage(store, key=KEY, body=b"some bytes"):
    return store.receive_put(key, io.BytesIO(body), size_limit=len(body))


def begin(store, size_bytes=25, part_size=10):
    return store.create_multipart(KEY, content_type="", size_bytes=size_bytes, part_size=part_size)


def finish(store, upload_id, parts):
    """Complete the upload; the store has kept its sizes."""
    return store.complete_multipart(KEY, upload_id, parts, size_bytes=None, part_size=None)


def send(store, upload_id, number, body, **kwargs):
    stream = io.BytesIO(body) if isinstance(body, bytes) else body
    return store.receive_part(KEY, upload_id, number, stream, size_limit=1 << 40, **kwargs)


def files_in(store, *places):
    return [path for place in places for path in Path(store.root, place).rglob("*") if path.is_file()]


def content(store, key=KEY):
    with store.open(key) as file:
        return file.read()


class Stalling:
    """A body that gives one block and then waits, like a client that has lost its network."""

    def __init__(self, block=b"old"):
        self._blocks = [block]
        self.stalled = threading.Event()
        self.go_on = threading.Event()

    def go_on_with(self, block):
        self._blocks.append(block)
        self.go_on.set()

    def read(self, size):
        if self._blocks:
            return self._blocks.pop()
        self.stalled.set()
        assert self.go_on.wait(60)
        return self._blocks.pop() if self._blocks else b""


# --- Keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../x", "a/../x", "a/./x", "a//x", "a/", ".", ".."]
    + ["a\0b", "a b", "ä", "a\n", "a\\b", "x" * 256, "/".join(["x" * 200] * 5)],
)
def test_a_key_that_is_none_is_refused_everywhere(store, key):
    calls = [
        lambda: write(store, key),
        lambda: stage(store, key),
        lambda: store.head(key),
        lambda: store.open(key),
        lambda: store.delete(key),
        lambda: store.received(key),
        lambda: store.create_multipart(key, content_type="", size_bytes=1, part_size=1),
        lambda: store.presign_put(key, file_id="1", size_bytes=1, content_type="", expires_in=1),
        lambda: store.presign_get(key, filename="x", content_type="", expires_in=1, claims={}),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="no object key"):
            call()
    assert files_in(store, "objects", "meta", "staged", "multipart") == []


def test_links_are_not_followed(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    Path(store.root, "objects", "folder").symlink_to(outside)
    Path(store.root, "objects", "file").symlink_to(outside / "secret")

    for key in ("folder/secret", "file"):
        assert store.head(key) is None
        with pytest.raises(ObjectMissing):
            store.open(key)
    with pytest.raises(ObjectMissing):
        write(store, "folder/new")
    with pytest.raises(ObjectMissing):
        store.delete("folder/secret")
    store.delete("file")

    assert list(store.list()) == []
    assert os.listdir(outside) == ["secret"]
    assert (outside / "secret").read_text() == "secret"


def test_a_folder_is_no_object(store):
    write(store, "files/a/b")

    assert store.head("files/a") is None
    assert store.head("files/a/b/c") is None
    with pytest.raises(ObjectMissing):
        store.open("files/a")


# --- Sidecars -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda sidecar, data: sidecar.unlink(), id="lost"),
        pytest.param(lambda sidecar, data: sidecar.write_bytes(b'{"size": 10, "mti'), id="cut off"),
        pytest.param(lambda sidecar, data: sidecar.write_bytes(b"[]"), id="something else"),
        pytest.param(lambda sidecar, data: os.utime(data, (1, 1)), id="of other bytes"),
    ],
)
def test_a_sidecar_that_is_no_good_is_worked_out_anew(store, damage):
    before = write(store)
    sidecar, data = Path(store.root, "meta", KEY + ".json"), Path(store.root, "objects", KEY)

    damage(sidecar, data)

    healed = store.head(KEY)
    assert (healed.sha256, healed.crc32, healed.etag, healed.size_bytes) == (
        before.sha256,
        before.crc32,
        before.etag,
        before.size_bytes,
    )
    sidecar_again = sidecar.read_bytes()
    assert store.head(KEY) == healed
    assert sidecar.read_bytes() == sidecar_again


def test_changed_bytes_get_another_etag(store):
    before = write(store, body=b"first")

    Path(store.root, "objects", KEY).write_bytes(b"other")
    os.utime(Path(store.root, "objects", KEY), (1, 1))

    assert store.head(KEY).etag != before.etag


# --- A full or broken disk ----------------------------------------------------------------------


class Failing:
    """The os module with one function that fails after `times` successful calls."""

    def __init__(self, name, number, times=0):
        self._name, self._number, self._times = name, number, times

    def __getattr__(self, name):
        if name == self._name:
            self._times -= 1
            if self._times < 0:
                return self._fail
        return getattr(os, name)

    def _fail(self, *args, **kwargs):
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("act", [write, stage])
def test_a_full_disk_is_said_and_leaves_nothing(store, monkeypatch, act, number):
    monkeypatch.setattr(disk, "os", Failing("write", number, times=2))

    with pytest.raises(StoreFull) as refusal:
        act(store, body=LONG)

    assert (refusal.value.status, refusal.value.code) == (503, "store_full")
    assert refusal.value.retry_after > 0
    assert files_in(store, "objects", "meta", "staged") == []


def test_a_full_disk_loses_the_part_and_not_the_upload(store, monkeypatch):
    upload_id = begin(store, size_bytes=len(LONG), part_size=2 * BLOCK_SIZE)
    with monkeypatch.context() as full:
        full.setattr(disk, "os", Failing("pwrite", errno.ENOSPC, times=1))
        with pytest.raises(StoreFull):
            send(store, upload_id, 1, LONG[: 2 * BLOCK_SIZE])

    assert store.list_parts(KEY, upload_id) == []
    parts = [send(store, upload_id, 1, LONG[: 2 * BLOCK_SIZE]), send(store, upload_id, 2, LONG[2 * BLOCK_SIZE :])]
    finish(store, upload_id, parts)
    assert content(store) == LONG


def test_what_can_never_fit_is_refused_before_it_is_sent(store):
    with pytest.raises(StoreFull):
        begin(store, size_bytes=1 << 60, part_size=1 << 50)
    with pytest.raises(StoreFull):
        store.receive_put(KEY, None, size_limit=1 << 60)
    assert files_in(store, "staged", "multipart") == []


def test_a_broken_disk_is_said(store, monkeypatch):
    monkeypatch.setattr(local_files, "os", Failing("rename", errno.EIO))

    with pytest.raises(StoreUnavailable) as refusal:
        write(store)

    assert (refusal.value.status, refusal.value.code) == (503, "store_unavailable")
    assert files_in(store, "objects", "staged") == []


LIMITED = """
import io, resource, sys
import django
from django.conf import settings
settings.configure(USE_I18N=False)
django.setup()
from fileshare.storage import StoreFull
from fileshare.storage.local import LocalStore
store = LocalStore(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.write("files/a", io.BytesIO(bytes(200_000)), size_limit=1_000_000)
except StoreFull:
    print("full")
"""


def test_a_limit_of_the_system_is_a_full_store(store):
    answer = subprocess.run(
        [sys.executable, "-c", LIMITED, store.root],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert answer.stdout == "full\n"
    assert files_in(store, "objects", "meta", "staged") == []


# --- Parts at once ------------------------------------------------------------------------------


def test_a_part_that_is_being_sent_is_busy(store, monkeypatch, beside):
    monkeypatch.setattr(part_writer, "PART_WAIT_SECONDS", 0)
    upload_id = begin(store)
    body = Stalling(b"old")
    first = beside.submit(send, store, upload_id, 3, body)
    assert body.stalled.wait(60)

    # The part is busy even for a machine whose clock is ahead of the disk's.
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=1)), pytest.raises(PartBusy) as refusal:
        send(store, upload_id, 3, b"new")
    body.go_on.set()

    assert first.exception(60) is None
    assert (refusal.value.status, refusal.value.code) == (503, "part_busy")
    assert [part.size_bytes for part in store.list_parts(KEY, upload_id)] == [3]
    send(store, upload_id, 3, b"newer")


def test_a_part_whose_sender_stands_still_is_taken_over(store, monkeypatch, beside):
    monkeypatch.setattr(part_writer, "PART_IDLE_SECONDS", -1)
    upload_id = begin(store, size_bytes=5, part_size=10)
    body = Stalling(b"old")
    first = beside.submit(send, store, upload_id, 1, body)
    assert body.stalled.wait(60)

    part = send(store, upload_id, 1, b"newer")
    body.go_on.set()

    assert isinstance(first.exception(60), PartTakenOver)
    finish(store, upload_id, [part])
    assert content(store) == b"newer"


def test_a_late_sender_never_touches_a_published_object(store, monkeypatch, beside):
    monkeypatch.setattr(part_writer, "PART_IDLE_SECONDS", -1)
    upload_id = begin(store, size_bytes=5, part_size=10)
    body = Stalling(b"old")
    first = beside.submit(send, store, upload_id, 1, body)
    assert body.stalled.wait(60)
    finish(store, upload_id, [send(store, upload_id, 1, b"newer")])

    body.go_on_with(b"X")

    assert isinstance(first.exception(60), MultipartMissing)
    assert content(store) == b"newer"
    assert files_in(store, "multipart") == []


def test_a_part_on_its_way_does_not_count(store, beside):
    upload_id = begin(store, size_bytes=3, part_size=10)
    old = send(store, upload_id, 1, b"old")
    body = Stalling(b"new")
    first = beside.submit(send, store, upload_id, 1, body)
    assert body.stalled.wait(60)

    with pytest.raises(PartsInvalid) as refusal:
        finish(store, upload_id, [old])
    body.go_on.set()

    assert first.exception(60) is None
    assert refusal.value.code == "missing_part"
    finish(store, upload_id, store.list_parts(KEY, upload_id))
    assert content(store) == b"new"


def test_an_upload_aborted_under_its_sender_is_gone(store, beside):
    upload_id = begin(store)
    body = Stalling()
    first = beside.submit(send, store, upload_id, 1, body)
    assert body.stalled.wait(60)

    store.abort_multipart(KEY, upload_id)
    body.go_on.set()

    assert isinstance(first.exception(60), MultipartMissing)
    assert files_in(store, "multipart", "objects") == []


def test_a_part_refused_at_its_end_does_not_count(store):
    upload_id = begin(store)

    def refuse():
        raise MultipartMissing

    with pytest.raises(MultipartMissing):
        send(store, upload_id, 1, b"0123456789", before_publish=refuse)

    assert store.list_parts(KEY, upload_id) == []
    send(store, upload_id, 1, b"0123456789")


class CutOff(io.BytesIO):
    """A body whose connection breaks after its bytes."""

    def read(self, size):
        block = super().read(size)
        if not block:
            raise Refused(400, "incomplete_body", "cut")
        return block


def test_a_part_whose_connection_is_cut_goes_on_where_it_was(store):
    upload_id = begin(store)
    for sent, known in ((b"0123", {1: 4}), (b"45", {1: 6})):
        with pytest.raises(Refused, match="incomplete_body"):
            send(store, upload_id, 1, CutOff(sent), span=(known[1] - len(sent), 10))
        assert store.begun_parts(KEY, upload_id) == known
        assert store.list_parts(KEY, upload_id) == [], "what has begun does not count"

    for start in (0, 4, 5, 7):
        with pytest.raises(WrongOffset) as refused:
            send(store, upload_id, 1, b"6789", span=(start, 10))
        assert refused.value.extra == {"begun_bytes": 6}
    parts = [send(store, upload_id, 1, b"6789", span=(6, 10))]

    assert (parts[0].size_bytes, store.begun_parts(KEY, upload_id)) == (10, {})
    parts += [send(store, upload_id, number, body) for number, body in ((2, b"abcdefghij"), (3, b"ABCDE"))]
    info = finish(store, upload_id, parts)
    assert content(store) == b"0123456789abcdefghijABCDE"
    assert info.crc32 == zlib.crc32(content(store))


def test_a_part_may_come_in_pieces(store):
    upload_id = begin(store)
    with pytest.raises(WrongOffset):
        send(store, upload_id, 1, b"345", span=(3, 6))

    assert send(store, upload_id, 1, b"012", span=(0, 3)) is None
    assert store.begun_parts(KEY, upload_id) == {1: 3}
    with pytest.raises(WrongOffset):
        send(store, upload_id, 1, b"012", span=(0, 3))
    with pytest.raises(TooLarge):
        send(store, upload_id, 1, b"3456x", span=(3, 7))
    assert send(store, upload_id, 1, b"3456", span=(3, 7)) is None
    part = send(store, upload_id, 1, b"789", span=(7, 10))

    assert part.size_bytes == 10
    parts = [part] + [send(store, upload_id, number, body) for number, body in ((2, b"abcdefghij"), (3, b"ABCDE"))]
    assert finish(store, upload_id, parts).crc32 == zlib.crc32(b"0123456789abcdefghijABCDE")


def test_a_part_sent_anew_from_its_beginning_forgets_what_had_begun(store):
    upload_id = begin(store)
    with pytest.raises(Refused):
        send(store, upload_id, 2, CutOff(b"old"))

    part = send(store, upload_id, 2, b"new bytes.")

    assert (part.size_bytes, store.begun_parts(KEY, upload_id)) == (10, {})
    with pytest.raises(WrongOffset):
        send(store, upload_id, 2, b"bytes", span=(3, 10))


def test_the_rest_of_a_part_may_not_be_too_long(store):
    upload_id = begin(store)
    with pytest.raises(Refused):
        send(store, upload_id, 1, CutOff(b"01234567"))

    with pytest.raises(TooLarge):
        send(store, upload_id, 1, b"89x", span=(8, 10))

    assert store.begun_parts(KEY, upload_id) == {1: 8}
    assert send(store, upload_id, 1, b"89", span=(8, 10)).size_bytes == 10


def test_a_long_part_is_noted_on_its_way_after_its_bytes_are_on_the_disk(tmp_path, monkeypatch):
    store, synced = LocalStore(tmp_path / "store", fsync=True), []
    upload_id = begin(store, size_bytes=MIB, part_size=MIB)
    monkeypatch.setattr(part_writer, "NOTE_SECONDS", 0)
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda file: (synced.append(store.begun_parts(KEY, upload_id)), real(file)))
    body = os.urandom(MIB)

    class Killed(io.BytesIO):
        def read(self, size):
            if self.tell() >= MIB // 2:
                raise KeyboardInterrupt
            return super().read(size)

    with pytest.raises(KeyboardInterrupt):
        send(store, upload_id, 1, Killed(body))
    size = store.begun_parts(KEY, upload_id)[1]
    send(store, upload_id, 1, body[size:], span=(size, MIB))

    assert size >= MIB // 2
    assert synced[0] == {}, "the note follows the bytes"
    assert store.list_parts(KEY, upload_id)[0].size_bytes == MIB
    assert finish(store, upload_id, store.list_parts(KEY, upload_id)).crc32 == zlib.crc32(body)


def test_little_is_read_at_a_time_from_a_slow_line_and_more_from_a_fast_one(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(part_writer.time, "monotonic", lambda: now[0])
    pace, sizes = part_writer.Pace(), []
    for seconds in [0.001] * 8 + [1, 1, 1]:
        sizes.append(pace.block_size)
        now[0] += seconds
        pace.is_time_to_note()

    least = part_writer.LEAST_BLOCK
    assert sizes == [least, *[least * 2**power for power in range(1, 7)], MIB, MIB, MIB // 2, MIB // 4]


@pytest.mark.parametrize("number", [0, -1, 4])
def test_a_part_the_upload_does_not_have_is_refused(store, number):
    upload_id = begin(store)

    with pytest.raises(PartsInvalid):
        send(store, upload_id, number, b"x")


def test_a_part_never_runs_into_the_next(store):
    upload_id = begin(store)
    parts = {2: send(store, upload_id, 2, b"2" * 10), 3: send(store, upload_id, 3, b"3" * 5)}

    for body in (b"1" * 11, b"1" * 25):
        with pytest.raises(TooLarge):
            send(store, upload_id, 1, body)
    finish(store, upload_id, [send(store, upload_id, 1, b"1" * 10), parts[2], parts[3]])

    assert content(store) == b"1" * 10 + b"2" * 10 + b"3" * 5


# --- Deleting and sweeping ----------------------------------------------------------------------


def test_a_deletion_leaves_no_empty_folders(store):
    write(store)
    write(store, "files/other")

    store.delete(KEY)

    assert os.listdir(Path(store.root, "objects", "files")) == ["other"]
    assert os.listdir(Path(store.root, "meta", "files")) == ["other.json"]


def test_folders_may_come_and_go_under_each_other(store, beside):
    def write_and_delete(name):
        for _ in range(60):
            write(store, f"files/shared/{name}")
            assert content(store, f"files/shared/{name}") == b"some bytes"
            store.delete(f"files/shared/{name}")

    assert list(beside.map(write_and_delete, "abcd")) == [None] * 4
    assert files_in(store, "objects", "meta", "staged") == []


def test_a_sweep_takes_what_is_old_and_nothing_else(store):
    write(store)
    stage(store, "files/staged")
    upload_id = begin(store)
    Path(store.root, "staged", "left.tmp").write_bytes(b"x")
    now = datetime.now(UTC)

    assert store.sweep(older_than=now - FAR_FUTURE) == 0
    assert store.received("files/staged")
    assert store.list_parts(KEY, upload_id) == []
    assert store.sweep(older_than=now + FAR_FUTURE) == 3
    assert files_in(store, "staged", "multipart") == []
    assert content(store) == b"some bytes"


def test_a_store_can_be_moved(store, tmp_path):
    before = write(store)
    shutil.move(store.root, tmp_path / "moved")

    assert LocalStore(tmp_path / "moved").head(KEY) == before


def test_an_object_that_shrank_is_not_read_past_its_end(store):
    write(store)

    with pytest.raises(StoreUnavailable):
        list(store.read_range(KEY, 5, 100))


def test_an_open_object_outlives_its_deletion(store):
    write(store)

    with store.open(KEY) as file:
        store.delete(KEY)
        assert file.read() == b"some bytes"
