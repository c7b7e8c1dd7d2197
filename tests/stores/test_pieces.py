"""The parts of the stores that need no disk or network: ranges, joined checksums, digests, signed tokens."""

import os
import threading
import time
import zlib
from hashlib import sha256

import pytest
import time_machine

from config.errors import Refused
from fileshare.storage import crc, ranges, signing
from fileshare.storage.digests import Digests

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=0-9", 10, (0, 10)),
        ("bytes=0-10", 10, (0, 10)),
        ("bytes=3-", 10, (3, 10)),
        ("bytes=9-", 10, (9, 10)),
        ("bytes=-1", 10, (9, 10)),
        ("bytes=-10", 10, (0, 10)),
        ("bytes=-11", 10, (0, 10)),
        ("bytes=0-99999999999999999999999", 10, (0, 10)),
        ("Bytes=2-3", 10, (2, 4)),
        ("bytes = 2-3", 10, None),
        ("bytes=10-", 10, ranges.UNSATISFIABLE),
        ("bytes=10-20", 10, ranges.UNSATISFIABLE),
        ("bytes=-0", 10, ranges.UNSATISFIABLE),
        ("bytes=0-", 0, ranges.UNSATISFIABLE),
        ("bytes=-5", 0, None),
        ("bytes=5-4", 10, None),
        ("bytes=-", 10, None),
        ("bytes=", 10, None),
        ("bytes=a-", 10, None),
        ("bytes=1-2,4-5", 10, None),
        ("bytes=--1", 10, None),
        ("bytes=+1-2", 10, None),
        ("bytes=1_0-20", 100, None),
        ("bytes=\u0661-\u0662", 10, None),
        ("bytes=" + "9" * 5000 + "-", 10, None),
        ("items=0-1", 10, None),
        ("0-1", 10, None),
        ("", 10, None),
        (None, 10, None),
    ],
)
def test_a_range_is_read_as_the_rfc_says(header, size, expected):
    assert ranges.parse(header, size) == expected


@pytest.mark.parametrize("sizes", [[0, 0], [0, 5], [5, 0], [1, 1], [7, 1000, 3], [1 << 16, 1 << 16, 1 << 16, 17]])
def test_the_checksum_of_a_whole_comes_from_its_parts(sizes):
    pieces = [os.urandom(size) for size in sizes]
    whole = 0
    for piece in pieces:
        whole = crc.combine(whole, zlib.crc32(piece), len(piece))

    assert whole == zlib.crc32(b"".join(pieces))


def test_checksums_are_joined_at_any_size():
    zeros = zlib.crc32(bytes(1 << 20))
    mebi = 0
    for _ in range(64):
        mebi = crc.combine(mebi, zeros, 1 << 20)

    doubled = zeros
    for step in range(6):
        doubled = crc.combine(doubled, doubled, 1 << (20 + step))

    assert mebi == doubled == zlib.crc32(bytes(64 << 20))


@pytest.mark.parametrize("sizes", [[], [0], [10], [10, 20], [1 << 20] * 9 + [3]])
@pytest.mark.parametrize("with_sha256", [True, False])
def test_digests_are_those_of_all_blocks_in_order(sizes, with_sha256):
    blocks = [os.urandom(size) for size in sizes]
    with Digests(sha256=with_sha256) as digests:
        for block in blocks:
            digests.update(block)
        result = digests.finish()

    whole = b"".join(blocks)
    assert result == (sha256(whole).hexdigest() if with_sha256 else None, zlib.crc32(whole))


def test_digests_that_are_given_up_leave_no_thread_behind():
    with Digests() as digests:
        for _ in range(5):
            digests.update(bytes(1000))

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("digests")]


def refusal_of(token, *purposes):
    with pytest.raises(Refused) as refusal:
        signing.verify(token, *purposes)
    return refusal.value.status, refusal.value.code


def test_a_token_gives_back_what_was_signed():
    token = signing.sign("put", {"key": "a/b", "size": 5}, expires_in=60)

    assert signing.verify(token, "put", "part") == ("put", {"key": "a/b", "size": 5})


def test_a_token_is_good_for_its_purpose_only():
    token = signing.sign("get", {"key": "a/b"}, expires_in=60)

    assert refusal_of(token, "put", "part") == (403, "signature_invalid")
    assert refusal_of("put" + token[3:], "put") == (403, "signature_invalid")


@pytest.mark.parametrize("token", ["", "put", "put.", "put.:", "put.e30:", "get.a:b", "put.\u00e9:x", "other.e30:x"])
def test_what_was_never_signed_is_refused(token):
    assert refusal_of(token, "put", "get") == (403, "signature_invalid")


def test_a_token_ends_with_its_time():
    with time_machine.travel(time.time(), tick=False) as clock:
        token = signing.sign("put", {}, expires_in=60)
        clock.shift(59)
        assert signing.verify(token, "put")
        clock.shift(1)
        assert refusal_of(token, "put") == (403, "url_expired")


def test_a_token_outlives_a_change_of_keys_as_long_as_the_old_one_is_kept(settings):
    token = signing.sign("put", {}, expires_in=60)
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another key " * 5

    assert refusal_of(token, "put") == (403, "signature_invalid")
    settings.SECRET_KEY_FALLBACKS = [old]
    assert signing.verify(token, "put")


def test_a_url_is_absolute_where_the_site_is_known(settings):
    settings.SITE_URL = "https://portal.example.org/"

    assert signing.url("put.x").startswith("https://portal.example.org/store/put.x")
    assert signing.url("put.x", base_url="http://127.0.0.1:8000") == "http://127.0.0.1:8000/store/put.x"
    assert signing.url("put.x", base_url="") == "/store/put.x"
