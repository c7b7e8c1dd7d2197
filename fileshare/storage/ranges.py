"""Which bytes a request asks for (RFC 9110 §13 and §14). The portal serves one range for each request.

Two places need this: the code that sends bytes, and the code that counts downloads and spends links. Both use this
module, so they never read a request differently. Behind nginx, this module reads the request as nginx will.
"""

import re
from typing import NamedTuple

from django.conf import settings
from django.utils.http import http_date, parse_etags, quote_etag

UNSATISFIABLE = object()
"""What `parse` returns for a range that begins behind the end of the object: the answer is 416."""

_ONE_RANGE = re.compile(r"bytes=([0-9]{0,40})-([0-9]{0,40})", re.IGNORECASE)


class Selection(NamedTuple):
    """The answer to a request: `status` 200, 206, 304 or 416. With 200 and 206, the bytes from `start` to `end`."""

    status: int
    start: int
    end: int

    @property
    def has_bytes(self):
        """True when the answer holds bytes of the object."""
        return self.status in (200, 206)


def validators(info, *, own=False):
    """(ETag, Last-Modified) of an object, as the answer will have them.

    With X_ACCEL_PREFIX nginx sends the object and makes its own ETag. `own` is True when the portal sends it even then.
    """
    modified = info.modified_at.timestamp()
    if settings.X_ACCEL_PREFIX and not own:
        return f'"{int(modified):x}-{info.size_bytes:x}"', http_date(modified)
    return quote_etag(info.etag), http_date(modified)


def select(headers, info, *, own=False):
    """The Selection for a request with `headers` for an object; `info` has etag, modified_at and size_bytes."""
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
    """True when an If-None-Match header names the ETag. Compares weakly, as RFC 9110 requires."""
    tags = parse_etags(header) if header else []
    return "*" in tags or etag in (tag.removeprefix("W/") for tag in tags)


def parse(header, size):
    """(start, end) with `end` exclusive, None for the whole object, or UNSATISFIABLE.

    A header that is malformed, uses another unit or asks for several ranges is ignored, as the RFC
    allows and S3 does. The caller then sends the whole object with a 200.
    """
    match = _ONE_RANGE.fullmatch(header or "")
    if not match or match[1] == match[2] == "":
        return None
    if match[1] == "":
        length = int(match[2])
        if length == 0:
            return UNSATISFIABLE
        # "The last n bytes" of an empty object is a valid range, but no Content-Range header can express it.
        return (max(0, size - length), size) if size else None
    start = int(match[1])
    last = int(match[2]) if match[2] else size - 1
    if match[2] and last < start:
        return None
    if start >= size:
        return UNSATISFIABLE
    return start, min(last + 1, size)
