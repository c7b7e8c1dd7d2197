"""Check that the parts a client names to complete a multipart upload make the declared file."""

from django.utils.translation import gettext as _

from . import PartsInvalid


def size_of(number, *, size_bytes, part_size):
    """The size of part `number` (from 1) in bytes. Raises PartsInvalid for a number the upload does not have."""
    start = (number - 1) * part_size
    if not 0 <= start < size_bytes:
        raise PartsInvalid("missing_part", _("This upload has no part %(number)d.") % {"number": number})
    return min(part_size, size_bytes - start)


def count(*, size_bytes, part_size):
    """The number of parts."""
    return -(-size_bytes // part_size)


def check(named, received, *, size_bytes, part_size):
    """Raise PartsInvalid unless `named` lists all parts, each once, ascending, with the ETags of `received`."""
    numbers = [part.part_number for part in named]
    if numbers != sorted(set(numbers)):
        raise PartsInvalid("parts_out_of_order", _("Parts must be named once each, in ascending order."))
    there = {part.part_number: part for part in received}
    for number in range(1, count(size_bytes=size_bytes, part_size=part_size) + 1):
        if number not in there:
            raise PartsInvalid("missing_part", _("Part %(number)d has not been received.") % {"number": number})
        if number not in numbers:
            raise PartsInvalid("missing_part", _("Part %(number)d is not named.") % {"number": number})
        if there[number].size_bytes != size_of(number, size_bytes=size_bytes, part_size=part_size):
            raise PartsInvalid("wrong_part_size", _("Part %(number)d is not complete.") % {"number": number})
    for part in named:
        size_of(part.part_number, size_bytes=size_bytes, part_size=part_size)
        if part.etag.strip('"') != there[part.part_number].etag:
            raise PartsInvalid(
                "wrong_etag", _("Part %(number)d is not the one that was received.") % {"number": part.part_number}
            )
