"""What M-Pesa says about a payment, in its callback or in answer to a query, made into an Outcome. Pure."""

import json
import re
from dataclasses import dataclass

from . import results
from .models import MAX_CALLBACK_BYTES

MAX_ID = 100
SHILLINGS = re.compile(r"[0-9]{1,12}(\.0{1,4})?", re.ASCII)


class NotACallback(ValueError):
    """The body is not what M-Pesa sends."""


@dataclass(frozen=True)
class Outcome:
    """How a payment ended, by M-Pesa's word. Texts are "" and numbers None where nothing was said.

    A query tells neither amount, nor phone, nor receipt: `metadata` is False.
    """

    merchant_request_id: str
    checkout_request_id: str
    result_code: str
    result_desc: str
    amount: int | None = None
    receipt_number: str = ""
    phone_number: str = ""
    metadata: bool = False

    @property
    def is_paid(self):
        """True when the money was taken."""
        return self.result_code == results.PAID


def parse(raw):
    """The Outcome of a callback's body, a text. Raises NotACallback.

    Metadata items may come in any order, without a value, and with numbers as texts; a failure has none.
    """
    try:
        if len(raw) > MAX_CALLBACK_BYTES:
            raise NotACallback("too long")
        # Without a fixed size for numbers and depths: both are refused by what they raise.
        body = json.loads(raw, parse_constant=_no_constant)
        said = body["Body"]["stkCallback"]
        code = plain_text(said["ResultCode"], most=30)
        items = _items(said.get("CallbackMetadata")) if code == results.PAID else {}
        return Outcome(
            merchant_request_id=plain_text(said["MerchantRequestID"]),
            checkout_request_id=plain_text(said["CheckoutRequestID"]),
            result_code=code,
            result_desc=plain_words(said.get("ResultDesc")),
            amount=_shillings(items.get("Amount")),
            receipt_number=plain_text(items["MpesaReceiptNumber"], most=30) if items.get("MpesaReceiptNumber") else "",
            phone_number=plain_text(items["PhoneNumber"], most=20) if items.get("PhoneNumber") else "",
            metadata=True,
        )
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise NotACallback(type(error).__name__) from None


def said(raw):
    """The same, or None for what is no callback."""
    try:
        return parse(raw)
    except NotACallback:
        return None


def _no_constant(name):
    raise NotACallback(name)


def _items(metadata):
    """The metadata as a dict, a repeated name refused: which of two amounts would count?"""
    if metadata is None:
        return {}
    items = metadata["Item"]
    if isinstance(items, dict):
        items = [items]
    found = {}
    for item in items:
        name = item["Name"]
        if name in found:
            raise NotACallback("twice")
        found[name] = item.get("Value")
    return found


def plain_text(value, *, most=MAX_ID):
    """An id, code or number of M-Pesa's as text. Raises NotACallback; whole numbers only, never empty."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise NotACallback("no text")
    if isinstance(value, float):
        if value != int(value):
            raise NotACallback("a fraction")
        value = int(value)
    text = str(value).strip()
    if not text or len(text) > most or not text.isascii() or not text.isprintable():
        raise NotACallback("no plain text")
    return text


def plain_words(value):
    """A sentence for people; whatever it holds, it is cut and made printable."""
    text = value if isinstance(value, str) else ""
    return "".join(letter if letter.isprintable() else " " for letter in text[:300]).encode("utf-8", "replace").decode()


def _shillings(value):
    """Whole shillings, from 100, 100.0, "100" or "100.00"; None for what is missing or no such number."""
    if value is None or isinstance(value, bool):
        return None
    # float() would read digits of every script, underscores and exponents.
    if isinstance(value, str) and not SHILLINGS.fullmatch(value):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    # Neither inf nor nan is equal to its whole part.
    return int(number) if abs(number) < 10**12 and number == int(number) else None
