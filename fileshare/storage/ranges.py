"""The Range header of RFC 9110, as far as the portal serves it: one range of bytes."""

import re

UNSATISFIABLE = object()
"""What `parse` returns for a range that begins behind the end: the answer is 416."""

_ONE_RANGE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]{0,40})-([0-9]{0,40})[ \t]*", re.IGNORECASE)


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
