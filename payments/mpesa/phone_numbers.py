"""Kenyan mobile numbers: from what users type to M-Pesa's form. Pure functions."""

import re

import phonenumbers
from django.utils.translation import gettext as _

from config.errors import Invalid

REGION = "KE"
MAX_TYPED = 40
TYPED = re.compile(r"(\+ ?|\()?[0-9][0-9 ().-]*")


def normalise(text, *, field="phone_number"):
    """`07…`, `01…`, `+254…` or `254…`, with spaces or dashes, as `2547…` or `2541…` (12 digits).

    Raises Invalid (400) on `field` for anything else: a landline, a foreign number, letters.
    """
    refusal = Invalid(field, _("Enter a Kenyan mobile number, such as 0712 345 678."))
    typed = text.strip() if isinstance(text, str) and len(text) <= MAX_TYPED else ""
    # Check first: phonenumbers would also accept digits of other scripts, words and extensions.
    if not TYPED.fullmatch(typed):
        raise refusal
    typed = typed.replace("+ ", "+")
    try:
        number = phonenumbers.parse(f"+{typed}" if typed.startswith("254") else typed, REGION)
    except phonenumbers.NumberParseException:
        raise refusal from None
    digits = f"{number.country_code}{number.national_number}"
    good = (
        number.country_code == 254
        and not number.extension
        and len(digits) == 12
        and digits[3] in "17"
        and phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE
    )
    if not good:
        raise refusal
    return digits


def shown(digits):
    """`254712345678` in the form for users: 0712 345 678."""
    local = f"0{digits[3:]}"
    return f"{local[:4]} {local[4:7]} {local[7:]}"
