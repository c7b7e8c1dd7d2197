"""Which bytes a request asks for (RFC 9110 §13 and §14), as far as the portal serves it: one range.

Whoever sends the bytes and whoever decides whether they may be sent read the request here, so the two
never understand it differently; behind nginx, as nginx will read it.
"""

import re
from typing import NamedTuple

from django.conf import settings
from django.utils.http import http_date, parse_etags, quote_etag

UNSATISFIABLE = object()
"""What `parse` returns for a range that begins behind the end: the answer is 416."""

_ONE_RANGE = re.compile(r"bytes=([0-9]{0,40})-([0-9]{0,40})", re.IGNORECASE)


class Selection(NamedTuple):
    """What a request gets: `status` 200, 206, 304 or 416, and for the first two the bytes from `start` to `end`."""

    status: int
    start: int
    end: int

    @property
    def has_bytes(self):
        """True when bytes of the object are sent."""
        return self.status in (200, 206)


def validators(info, *, own=False):
    """(ETag, Last-Modified) of an object as its sender writes them: nginx, where it sends and not we (`own`)."""
    modified = info.modified_at.timestamp()
    if settings.X_ACCEL_PREFIX and not own:
        return f'"{int(modified):x}-{info.size_bytes:x}"', http_date(modified)
    return quote_etag(info.etag), http_date(modified)


def select(headers, info, *, own=False):
    """The Selection of a request's headers from the object of `info` (etag, modified_at, size_bytes)."""
    etag, modified = validators(info, own=own)
    if _names(headers.get("If-None-Match"), etag):
        return Selection(304, 0, 0)
    if headers.get("If-Range", etag) in (etag, modified):
        match parse(headers.get("Range"), info.size_bytes):
            case (start, end):
                return Selection(206, start, end)
            case found if found is UNSATISFIABLE:
                return Selection(416, 0, 0)
    return Selection(200, 0, info.size_bytes)


def _names(header, etag):
    """Whether an If-None-Match names the ETag; weakly compared, as RFC 9110 asks."""
    tags = parse_etags(header) if header else []
    return "*" in tags or etag in (tag.removeprefix("W/") for tag in tags)


def parse(header, size):
    """(start, end) with `end` exclusive, None for the whole object, or UNSATISFIABLE.

    A header that is malformed, in another unit or asks for several ranges is ignored, as the RFC
    allows and S3 does: the caller then sends the whole object with a 200.
    """
    match = _ONE_RANGE.fullmatch(header or "")
    if not match or match[1] == match[2] == "":
        return None
    if match[1] == "":
        length = int(match[2])
        if length == 0:
            return UNSATISFIABLE
        # The last bytes of nothing are satisfiable, yet no Content-Range can say so.
        return (max(0, size - length), size) if size else None
    start = int(match[1])
    last = int(match[2]) if match[2] else size - 1
    if match[2] and last < start:
        return None
    if start >= size:
        return UNSATISFIABLE
    return start, min(last + 1, size)
