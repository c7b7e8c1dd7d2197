"""What every object store promises its callers: its methods, and its URLs over HTTP."""

import errno
import io
import os
import time
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256, shake_256
from itertools import pairwise

import pytest
import time_machine

from fileshare.storage import (
    BLOCK_SIZE,
    MultipartMissing,
    ObjectMissing,
    Part,
    PartsInvalid,
    TooLarge,
    WrongSize,
    get_store,
)

pytestmark = pytest.mark.once

PART_SIZE = 5 * 1024 * 1024  # the smallest that S3 accepts
REPORT = b"%PDF-1.7 " + shake_256(b"report").digest(3000)
LARGE = shake_256(b"large").digest(2 * PART_SIZE + 12_345)
PIECES = [LARGE[start : start + PART_SIZE] for start in range(0, len(LARGE), PART_SIZE)]
PDF = "application/pdf"


def ask_to_put(store, key, file_id, *, size_bytes=None, content_type=PDF, expires_in=900):
    size_bytes = len(REPORT) if size_bytes is None else size_bytes
    return store.presign_put(
        key, file_id=file_id, size_bytes=size_bytes, content_type=content_type, expires_in=expires_in
    )


def put(web, signed, body=REPORT, **headers):
    return web.put(signed.url, content=body, headers={**signed.headers, **headers})


def published(store, key, body=REPORT):
    return store.write(key, io.BytesIO(body), size_limit=len(body), content_type=PDF)


def begin(store, key):
    return store.create_multipart(key, content_type=PDF, size_bytes=len(LARGE), part_size=PART_SIZE)


def put_part(store, web, key, upload_id, number, file_id, body=None):
    body = PIECES[number - 1] if body is None else body
    url = store.presign_part(key, upload_id, number, file_id=file_id, size_bytes=len(body), expires_in=900)
    response = web.put(url, content=body)
    assert response.status_code == 200, response.text
    return Part(number, response.headers["ETag"], len(body))


def finish(store, key, upload_id, parts):
    return store.complete_multipart(key, upload_id, parts, size_bytes=len(LARGE), part_size=PART_SIZE)


def url_of(store, key, file_id, *, filename="report.pdf", content_type=PDF, expires_in=900):
    return store.presign_get(
        key,
        filename=filename,
        content_type=content_type,
        expires_in=expires_in,
        claims={"file": file_id, "object_key": key},
    )


def content(store, key):
    with store.open(key) as file:
        return file.read()


def gone_by_now(sign):
    """What `sign(expires_in)` returned an hour ago, good for one minute."""
    with time_machine.travel(time.time() - 3600, tick=False):
        return sign(60)


# --- Single PUT ---------------------------------------------------------------------------------


def test_a_put_is_published_by_its_completion_and_not_before(store, web, key, file_id):
    response = put(web, ask_to_put(store, key, file_id))

    assert response.status_code == 200
    assert response.headers["ETag"] == f'"{store.received(key).etag}"'
    assert store.received(key).size_bytes == len(REPORT)
    info = store.complete_put(key, size_bytes=len(REPORT))
    assert info == store.head(key)
    assert info.size_bytes == len(REPORT)
    assert info.sha256 in (None, sha256(REPORT).hexdigest())
    assert info.crc32 in (None, zlib.crc32(REPORT))
    assert content(store, key) == REPORT


def test_nothing_can_be_read_before_the_completion(local_store, web, key, file_id):
    put(web, ask_to_put(local_store, key, file_id))

    assert local_store.head(key) is None
    assert list(local_store.list(key)) == []
    with pytest.raises(ObjectMissing):
        local_store.open(key)
    assert web.get(url_of(local_store, key, file_id)).status_code == 404


def test_a_completion_repeated_gives_the_same_answer(store, web, key, file_id):
    put(web, ask_to_put(store, key, file_id))

    assert store.complete_put(key) == store.complete_put(key) == store.received(key)


def test_a_completion_without_bytes_is_refused(store, key):
    assert store.received(key) is None
    with pytest.raises(ObjectMissing):
        store.complete_put(key)


def test_bytes_of_the_wrong_size_are_not_published_and_can_be_sent_again(store, web, key, file_id):
    signed = ask_to_put(store, key, file_id, size_bytes=len(REPORT))
    put(web, ask_to_put(store, key, file_id, size_bytes=5), b"short")

    with pytest.raises(WrongSize) as refusal:
        store.complete_put(key, size_bytes=len(REPORT))
    put(web, signed)

    assert (refusal.value.status, refusal.value.code) == (409, "wrong_size")
    assert store.complete_put(key, size_bytes=len(REPORT)).size_bytes == len(REPORT)


def test_the_last_put_counts(store, web, key, file_id):
    signed = ask_to_put(store, key, file_id, size_bytes=100)
    first, second = put(web, signed, b"a" * 100), put(web, signed, b"b" * 100)

    assert first.headers["ETag"] != second.headers["ETag"]
    store.complete_put(key)
    assert content(store, key) == b"b" * 100


def test_what_is_published_stays_whatever_is_sent_after_it(store, web, key, file_id):
    signed = ask_to_put(store, key, file_id, size_bytes=100)
    put(web, signed, b"a" * 100)
    store.complete_put(key)
    put(web, signed, b"b" * 100)

    store.complete_put(key)

    assert content(store, key) == b"a" * 100


def test_an_encoding_the_sender_claims_is_not_kept(wary_store, web, key, file_id):
    put(web, ask_to_put(wary_store, key, file_id), **{"Content-Encoding": "gzip", "Content-Language": "sw"})
    wary_store.complete_put(key)

    answer = web.get(url_of(wary_store, key, file_id))

    assert answer.content == REPORT
    assert not {"Content-Encoding", "Content-Language"} & set(answer.headers)


def test_an_empty_file_is_a_file(store, web, key, file_id):
    put(web, ask_to_put(store, key, file_id, size_bytes=0), b"")

    assert store.complete_put(key, size_bytes=0).size_bytes == 0
    assert web.get(url_of(store, key, file_id)).content == b""


def test_a_discarded_put_is_forgotten(store, web, key, file_id):
    put(web, ask_to_put(store, key, file_id))

    store.discard_put(key)
    store.discard_put(key)

    assert store.received(key) is None
    assert store.head(key) is None


def test_a_put_beyond_its_declared_size_is_refused(wary_store, web, key, file_id):
    response = put(web, ask_to_put(wary_store, key, file_id, size_bytes=100), b"x" * 101)

    assert response.status_code in (403, 413)
    assert wary_store.received(key) is None


def test_a_put_of_another_content_type_is_refused(wary_store, web, key, file_id):
    signed = ask_to_put(wary_store, key, file_id)

    assert put(web, signed, **{"Content-Type": "text/html"}).status_code == 403
    assert wary_store.received(key) is None


def test_an_expired_url_is_refused(wary_store, web, key, file_id):
    published(wary_store, key)
    late_put = gone_by_now(lambda seconds: ask_to_put(wary_store, key, file_id, expires_in=seconds))
    late_get = gone_by_now(lambda seconds: url_of(wary_store, key, file_id, expires_in=seconds))

    assert put(web, late_put).status_code == 403
    assert web.get(late_get).status_code == 403


def test_a_changed_url_is_refused(wary_store, web, key, file_id):
    signed = ask_to_put(wary_store, key, file_id)

    for place in (-1, -20, -60):
        other = "A" if signed.url[place] != "A" else "B"
        changed = signed.url[:place] + other + signed.url[place:][1:]
        assert web.put(changed, content=REPORT, headers=signed.headers).status_code == 403
    assert web.put(signed.url[:-8], content=REPORT, headers=signed.headers).status_code == 403
    assert wary_store.received(key) is None


def test_a_url_is_good_for_one_method_only(wary_store, web, key, file_id):
    published(wary_store, key)

    assert web.put(url_of(wary_store, key, file_id), content=b"new").status_code == 403
    assert web.get(ask_to_put(wary_store, key, file_id).url).status_code == 403
    assert content(wary_store, key) == REPORT


# --- Multipart ----------------------------------------------------------------------------------


def test_parts_may_come_in_any_order_and_at_once(store, web, key, file_id):
    upload_id = begin(store, key)
    with ThreadPoolExecutor(3) as pool:
        parts = list(pool.map(lambda number: put_part(store, web, key, upload_id, number, file_id), [3, 1, 2]))

    assert store.head(key) is None
    info = finish(store, key, upload_id, sorted(parts, key=lambda part: part.part_number))

    assert info == store.head(key)
    assert info.size_bytes == len(LARGE)
    assert info.crc32 in (None, zlib.crc32(LARGE))
    assert info.sha256 is None
    assert content(store, key) == LARGE


def test_what_was_received_is_listed(store, web, key, file_id):
    upload_id = begin(store, key)
    sent = [put_part(store, web, key, upload_id, number, file_id) for number in (3, 1)]

    assert [(part.part_number, f'"{part.etag}"', part.size_bytes) for part in store.list_parts(key, upload_id)] == [
        (1, sent[1].etag, PART_SIZE),
        (3, sent[0].etag, len(PIECES[2])),
    ]


def test_a_part_may_be_sent_again(store, web, key, file_id):
    upload_id = begin(store, key)
    put_part(store, web, key, upload_id, 1, file_id, body=b"x" * PART_SIZE)
    parts = [put_part(store, web, key, upload_id, number, file_id) for number in (1, 2, 3)]

    finish(store, key, upload_id, parts)

    assert content(store, key) == LARGE


def test_a_part_that_was_replaced_is_not_there_any_more(local_store, moto_store, web, key, file_id):
    for store in (local_store, moto_store):
        upload_id = begin(store, key)
        old = put_part(store, web, key, upload_id, 1, file_id, body=b"x" * PART_SIZE)
        parts = [put_part(store, web, key, upload_id, number, file_id) for number in (1, 2, 3)]

        with pytest.raises(PartsInvalid) as refusal:
            finish(store, key, upload_id, [old, *parts[1:]])

        assert (refusal.value.status, refusal.value.code) == (409, "wrong_etag")
        finish(store, key, upload_id, parts)
        assert content(store, key) == LARGE


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(lambda parts: parts[:2], "missing_part", id="the last part is not named"),
        pytest.param(lambda parts: parts[1:], "missing_part", id="the first part is not named"),
        pytest.param(lambda parts: [], "missing_part", id="nothing is named"),
        pytest.param(lambda parts: parts[::-1], "parts_out_of_order", id="descending"),
        pytest.param(lambda parts: [*parts, parts[2]], "parts_out_of_order", id="one is named twice"),
        pytest.param(lambda parts: [*parts, Part(4, "0" * 32, 1)], "missing_part", id="one too many"),
        pytest.param(lambda parts: [*parts[:2], Part(3, "0" * 32, 1)], "wrong_etag", id="another etag"),
    ],
)
def test_parts_that_do_not_add_up_are_refused_and_can_be_mended(store, web, key, file_id, spoil, code):
    upload_id = begin(store, key)
    parts = [put_part(store, web, key, upload_id, number, file_id) for number in (1, 2, 3)]

    with pytest.raises(PartsInvalid) as refusal:
        finish(store, key, upload_id, spoil(parts))

    assert (refusal.value.status, refusal.value.code) == (409, code)
    assert store.head(key) is None
    assert finish(store, key, upload_id, parts).size_bytes == len(LARGE)


def test_a_part_never_sent_is_missed(store, web, key, file_id):
    upload_id = begin(store, key)
    parts = [put_part(store, web, key, upload_id, number, file_id) for number in (1, 3)]

    with pytest.raises(PartsInvalid) as refusal:
        finish(store, key, upload_id, [parts[0], Part(2, parts[0].etag, PART_SIZE), parts[1]])

    assert refusal.value.code == "missing_part"


def test_a_part_that_is_too_short_is_refused_and_can_be_mended(store, web, key, file_id):
    upload_id = begin(store, key)
    short = put_part(store, web, key, upload_id, 3, file_id, body=b"short")
    parts = [put_part(store, web, key, upload_id, number, file_id) for number in (1, 2)]

    with pytest.raises(PartsInvalid) as refusal:
        finish(store, key, upload_id, [*parts, short])
    mended = put_part(store, web, key, upload_id, 3, file_id)

    assert refusal.value.code == "wrong_part_size"
    assert finish(store, key, upload_id, [*parts, mended]).size_bytes == len(LARGE)


def test_a_multipart_completion_repeated_gives_the_same_answer(store, web, key, file_id):
    upload_id = begin(store, key)
    parts = [put_part(store, web, key, upload_id, number, file_id) for number in (1, 2, 3)]

    assert finish(store, key, upload_id, parts) == finish(store, key, upload_id, parts)


def test_an_aborted_upload_is_gone(store, web, key, file_id):
    upload_id = begin(store, key)
    part = put_part(store, web, key, upload_id, 1, file_id)
    url = store.presign_part(key, upload_id, 1, file_id=file_id, size_bytes=4, expires_in=900)

    store.abort_multipart(key, upload_id)
    store.abort_multipart(key, upload_id)

    assert web.put(url, content=b"late").is_error
    with pytest.raises(MultipartMissing):
        store.list_parts(key, upload_id)
    with pytest.raises(MultipartMissing):
        finish(store, key, upload_id, [part])
    assert store.head(key) is None


def test_an_upload_belongs_to_its_key(wary_store, web, key, file_id):
    upload_id = begin(wary_store, key)

    with pytest.raises(MultipartMissing):
        wary_store.list_parts(key + ".other", upload_id)
    wary_store.abort_multipart(key + ".other", upload_id)
    assert wary_store.list_parts(key, upload_id) == []


# --- Published objects --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, BLOCK_SIZE, 3 * BLOCK_SIZE + 7])
def test_a_stream_is_written_whole(store, key, size):
    body = LARGE[:size]

    info = published(store, key, body)

    # A store may forget the checksums that it computed while it wrote. It keeps the rest.
    assert store.head(key) in (info, replace(info, sha256=None, crc32=None))
    assert (info.size_bytes, content(store, key)) == (size, body)
    assert info.sha256 in (None, sha256(body).hexdigest())
    assert info.crc32 in (None, zlib.crc32(body))


def test_a_stream_beyond_the_limit_leaves_nothing(store, key):
    with pytest.raises(TooLarge) as refusal:
        store.write(key, io.BytesIO(LARGE), size_limit=len(LARGE) - 1)

    assert refusal.value.status == 413
    assert store.head(key) is None


def test_a_range_is_read_in_blocks(store, key):
    published(store, key, LARGE)

    blocks = list(store.read_range(key, 10, len(LARGE) - 10))

    assert b"".join(blocks) == LARGE[10:-10]
    assert max(map(len, blocks)) <= BLOCK_SIZE
    assert list(store.read_range(key, 5, 5)) == []


def test_an_object_can_be_read_from_anywhere(store, key):
    published(store, key, LARGE)

    with store.open(key) as file:
        file.seek(-22, io.SEEK_END)
        assert file.read() == LARGE[-22:]
        assert file.tell() == len(LARGE)
        file.seek(4)
        assert file.read(4) == LARGE[4:8]


@pytest.mark.parametrize("moves", [False, True])
def test_a_copy_has_the_same_bytes_and_outlives_its_source(store, key, moves):
    copied = key.replace("reports", "other")
    published(store, key)

    info = store.copy(key, copied, moves=moves)
    again = store.copy(key, copied, moves=moves)
    store.delete(key)

    assert info.size_bytes == again.size_bytes == len(REPORT)
    assert store.head(key) is None
    assert store.head(copied).etag == again.etag
    assert content(store, copied) == REPORT
    assert [(name, size) for name, size, _time in store.list(copied)] == [(copied, len(REPORT))]


def test_a_copy_of_nothing_is_refused(store, key):
    for moves in (False, True):
        with pytest.raises(ObjectMissing):
            store.copy(key, key.replace("reports", "other"), moves=moves)
    assert list(store.list(key.replace("reports", "other"))) == []


def test_a_copy_is_as_young_as_it_is_so_that_it_is_no_old_orphan(local_store, key):
    copied, moved = key.replace("reports", "copied"), key.replace("reports", "moved")
    published(local_store, key)
    path = local_store._path(local_store._objects, key)
    os.utime(path, (1_000_000_000, 1_000_000_000))

    assert local_store.copy(key, copied).modified_at.year > 2020
    assert local_store.copy(key, moved, moves=True).modified_at.year == 2001
    assert os.path.samefile(path, local_store._path(local_store._objects, moved)), "no byte was written again"


def test_a_disk_without_links_gets_a_copy(local_store, key, monkeypatch):
    def refuse(*_names, **_options):
        raise OSError(errno.EPERM, "no links here")

    published(local_store, key)
    monkeypatch.setattr("os.link", refuse)

    assert local_store.copy(key, f"{key}.new", moves=True).size_bytes == len(REPORT)
    assert content(local_store, f"{key}.new") == REPORT


def test_a_large_object_is_copied_in_parts(s3_store, key, monkeypatch):
    monkeypatch.setattr("fileshare.storage.s3.COPY_PART_BYTES", PART_SIZE)
    published(s3_store, key, LARGE)

    info = s3_store.copy(key, f"{key}.new")

    assert info.etag.endswith("-3")
    assert content(s3_store, f"{key}.new") == LARGE
    assert s3_store.client.head_object(Bucket=s3_store.bucket, Key=f"{key}.new")["ContentType"] == PDF


def test_what_is_not_there_is_said_so(wary_store, web, key, file_id):
    assert wary_store.head(key) is None
    with pytest.raises(ObjectMissing):
        wary_store.open(key)
    with pytest.raises(ObjectMissing):
        next(wary_store.read_range(key, 0, 1))
    assert web.get(url_of(wary_store, key, file_id)).status_code == 404


def test_a_deleted_object_is_gone_and_its_neighbours_stay(store, key):
    neighbour = key.replace("report.pdf", "other.pdf")
    published(store, key)
    published(store, neighbour)

    store.delete(key)
    store.delete(key)

    assert store.head(key) is None
    assert content(store, neighbour) == REPORT


def test_objects_are_listed_by_prefix(store):
    base = f"files/{uuid.uuid4()}"
    keys = [f"{base}/{tail}" for tail in ("a-b/1", "a.b/1", "a/1", "a/2/3", "a0", "b/1")]
    for name in keys:
        published(store, name, b"12345")

    assert sorted(key for key, _size, _time in store.list(base)) == keys
    assert sorted(key for key, _size, _time in store.list(f"{base}/a")) == keys[:5]
    assert sorted(key for key, _size, _time in store.list(f"{base}/a/")) == keys[2:4]
    assert {size for _key, size, _time in store.list(base)} == {5}
    assert all(time.utcoffset().total_seconds() == 0 for _key, _size, time in store.list(base))
    assert list(store.list(f"{base}/none/")) == []


def test_what_is_staged_is_not_listed(store, web, key, file_id):
    put(web, ask_to_put(store, key, file_id))

    assert key not in {name for name, _size, _time in store.list()}
    store.complete_put(key)
    assert key in {name for name, _size, _time in store.list()}


def test_a_sweep_removes_what_is_old_and_unfinished(wary_store, web, key, file_id):
    put(web, ask_to_put(wary_store, key, file_id))
    upload_id = begin(wary_store, key)
    other = key + ".kept"
    published(wary_store, other)

    wary_store.sweep(older_than=datetime.now(UTC) - timedelta(hours=1))
    assert wary_store.received(key) is not None
    assert wary_store.list_parts(key, upload_id) == []
    assert wary_store.sweep(older_than=datetime.now(UTC) + timedelta(hours=1)) >= 2

    assert wary_store.received(key) is None
    with pytest.raises(MultipartMissing):
        wary_store.list_parts(key, upload_id)
    assert content(wary_store, other) == REPORT


# --- Downloads ----------------------------------------------------------------------------------


def test_a_download_is_an_attachment_under_its_true_name(store, web, key, file_id):
    published(store, key)

    response = web.get(url_of(store, key, file_id, filename="Ripoti ya Ñandú €.pdf"))

    assert (response.status_code, response.content) == (200, REPORT)
    assert response.headers["Content-Type"] == PDF
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert "Ripoti%20ya%20%C3%91and%C3%BA%20%E2%82%AC.pdf" in response.headers["Content-Disposition"]
    assert response.headers["Content-Length"] == str(len(REPORT))
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["ETag"] == f'"{store.head(key).etag}"'
    assert response.headers["Last-Modified"].endswith("GMT")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, len(LARGE)),
        ("bytes=5-9", 5, 10),
        (f"bytes=10-{len(LARGE) + 99}", 10, len(LARGE)),
        (f"bytes={len(LARGE) - 1}-", len(LARGE) - 1, len(LARGE)),
        ("bytes=-7", len(LARGE) - 7, len(LARGE)),
        (f"bytes=-{len(LARGE) + 1}", 0, len(LARGE)),
        (f"bytes=1-{3 * BLOCK_SIZE}", 1, 3 * BLOCK_SIZE + 1),
    ],
)
def test_one_range_is_answered_with_it_alone(store, web, key, file_id, asked, start, end):
    published(store, key, LARGE)

    response = web.get(url_of(store, key, file_id), headers={"Range": asked})

    assert response.status_code == 206
    assert response.content == LARGE[start:end]
    assert response.headers["Content-Length"] == str(end - start)
    assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(LARGE)}"


@pytest.mark.parametrize("asked", ["bytes=a-b", "lines=0-1", "bytes=9-5", "0-5"])
def test_a_range_that_makes_no_sense_is_ignored(local_store, web, key, file_id, asked):
    published(local_store, key)

    response = web.get(url_of(local_store, key, file_id), headers={"Range": asked})

    assert (response.status_code, response.content) == (200, REPORT)


def test_a_range_behind_the_end_is_refused(wary_store, web, key, file_id):
    published(wary_store, key)

    response = web.get(url_of(wary_store, key, file_id), headers={"Range": f"bytes={len(REPORT)}-"})

    assert response.status_code == 416
    assert response.headers["Content-Range"] == f"bytes */{len(REPORT)}"


def test_a_range_of_an_older_state_gives_the_whole(local_store, web, key, file_id):
    etag = f'"{published(local_store, key).etag}"'
    url = url_of(local_store, key, file_id)

    assert web.get(url, headers={"Range": "bytes=1-2", "If-Range": etag}).content == REPORT[1:3]
    assert web.get(url, headers={"Range": "bytes=1-2", "If-Range": '"another"'}).content == REPORT


def test_what_the_reader_has_is_not_sent_again(store, web, key, file_id):
    etag = f'"{published(store, key).etag}"'
    url = url_of(store, key, file_id)

    response = web.get(url, headers={"If-None-Match": etag})

    assert (response.status_code, response.content) == (304, b"")
    assert web.get(url, headers={"If-None-Match": '"another"'}).status_code == 200


def test_a_download_cut_in_two_adds_up(store, web, key, file_id):
    published(store, key, LARGE)
    url = url_of(store, key, file_id)
    with web.stream("GET", url) as response:
        head = next(response.iter_raw(BLOCK_SIZE))
        etag = response.headers["ETag"]

    tail = web.get(url, headers={"Range": f"bytes={len(head)}-", "If-Range": etag})

    assert head + tail.content == LARGE


def test_many_ranges_at_once_add_up(store, web, key, file_id):
    published(store, key, LARGE)
    url = url_of(store, key, file_id)
    edges = [round(len(LARGE) * eighth / 8) for eighth in range(9)]

    def fetch(span):
        return web.get(url, headers={"Range": f"bytes={span[0]}-{span[1] - 1}"}).content

    with ThreadPoolExecutor(8) as pool:
        assert b"".join(pool.map(fetch, pairwise(edges))) == LARGE


# --- What the settings give ---------------------------------------------------------------------


def test_there_is_one_store_per_process(settings, tmp_path):
    settings.STORAGE, settings.DATA_DIR = "local", tmp_path

    assert get_store() is get_store()
    assert published(get_store(), "files/a") == get_store().head("files/a")


def test_a_store_of_another_name_is_refused(settings):
    settings.STORAGE = "tape"

    with pytest.raises(KeyError, match="tape"):
        get_store()
