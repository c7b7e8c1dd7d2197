"""Reads and writes sizes such as 500 MB or 1.5 GB. Units are those of filesizeformat, in steps of 1024."""

import re
from decimal import Decimal

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

UNITS = {"": 1, "B": 1, "BYTES": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40, "PB": 2**50}
_SIZE = re.compile(r"(-?\d{1,18}(?:[.,]\d{1,6})?)\s*([KMGTP]?)(I?)(B?|BYTES)", re.IGNORECASE)


def parse_size(text):
    """Bytes of "20 GB", "1.5 TiB" or "1048576"; None for text that is not a size."""
    found = _SIZE.fullmatch(" ".join(str(text).split()).replace("\N{NO-BREAK SPACE}", " "))
    if found is None:
        return None
    number, prefix, _binary, unit = found.groups()
    factor = UNITS.get(f"{prefix}{'B' if prefix else unit}".upper())
    return None if factor is None else int(Decimal(number.replace(",", ".")) * factor)


def write_size(size_bytes):
    """The shortest text from which parse_size reads exactly these bytes."""
    for unit in ("PB", "TB", "GB", "MB", "KB"):
        if size_bytes and size_bytes % UNITS[unit] == 0:
            return f"{size_bytes // UNITS[unit]} {unit}"
    return str(size_bytes)


class SizeField(forms.IntegerField):
    """A form field for a number of bytes, written with a unit."""

    widget = forms.TextInput
    default_error_messages = {"invalid": _("Give a size, such as 500 MB or 20 GB.")}

    def to_python(self, value):
        if value in self.empty_values:
            return None
        size = parse_size(value)
        if size is None:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return size

    def prepare_value(self, value):
        return write_size(value) if isinstance(value, int) else value

    def has_changed(self, initial, data):
        try:
            return self.to_python(initial) != self.to_python(data)
        except ValidationError:
            return True
