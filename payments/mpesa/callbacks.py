"""Checks that an M-Pesa callback is authentic, reads its body and parses it into an Outcome. Queries use Outcome too.

Does not access the database.
"""

import hmac
import ipaddress
import json
import re
from dataclasses import dataclass

from django.conf import settings

from payments.models import MAX_CALLBACK_BYTES

from . import results

MAX_ID = 100
SHILLINGS = re.compile(r"[0-9]{1,12}(\.0{1,4})?", re.ASCII)


class NotACallback(ValueError):
    """The body is not a callback of M-Pesa."""


@dataclass(frozen=True)
class Outcome:
    """How a payment ended, as M-Pesa reports it. Missing texts are "", missing numbers None.

    `phone_number` is as it came: in full, masked, hashed, local or "". It is evidence for a person who looks into a
    payment, and decides nothing. With `metadata` False it is a query's answer, which holds no amount, phone or receipt.
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


def is_authentic(*, secret, address):
    """True when a call with `secret` from `address` is M-Pesa's.

    Also while payments are off: callbacks of payments started before must still count.
    """
    known = settings.MPESA_CALLBACK_SECRET.encode()
    if not known:
        return False
    # Always check both, so that the time of the answer does not tell which one was wrong.
    right = hmac.compare_digest(secret.encode("utf-8", "replace"), known)
    return _may_call(address) and right


def _may_call(address):
    if not settings.MPESA_CALLBACK_ADDRESSES:
        return True
    try:
        caller = ipaddress.ip_address(address)
    except ValueError:
        return False
    caller = getattr(caller, "ipv4_mapped", None) or caller
    return any(caller in ipaddress.ip_network(network) for network in settings.MPESA_CALLBACK_ADDRESSES)


def read_body(request, most):
    """At most `most` bytes of a request's body; None when the end of the body is unknown.

    For a chunked body (no Content-Length) the server must mark where it ends.
    """
    chunked = "HTTP_TRANSFER_ENCODING" in request.META
    if chunked and not request.META.get("wsgi.input_terminated"):
        return None
    source = request.META["wsgi.input"] if chunked else request
    blocks, left = [], most
    try:
        while left and (block := source.read(left)):
            blocks.append(block)
            left -= len(block)
    except OSError:
        # The client broke off while sending.
        return b""
    return b"".join(blocks)


def parse(raw):
    """The Outcome of a callback's body, a text. Raises NotACallback.

    Metadata items may come in any order, without a value, and with numbers as texts; a failure has none.
    """
    try:
        if len(raw) > MAX_CALLBACK_BYTES:
            raise NotACallback("too long")
        # json.loads limits the size of numbers and the depth by exceptions, which are caught below.
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
            phone_number=_evidence(items.get("PhoneNumber")),
            metadata=True,
        )
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise NotACallback(type(error).__name__) from None


def said(raw):
    """The Outcome of a callback's body, or None if it is not a callback."""
    try:
        return parse(raw)
    except NotACallback:
        return None


def _no_constant(name):
    raise NotACallback(name)


def _items(metadata):
    """The metadata as a dict. Raises NotACallback for a repeated name: two amounts would be ambiguous."""
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
    """An id, code or number from M-Pesa as text. Raises NotACallback for fractions, empty or unprintable values."""
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


def _evidence(value):
    """A number, mask or hash of any form as text; never raises, for nothing depends on it."""
    return plain_words(f"{value:.0f}" if isinstance(value, float) else "" if value is None else str(value))


def plain_words(value):
    """A sentence to show, cut to 300 characters and made printable."""
    text = value if isinstance(value, str) else ""
    return "".join(letter if letter.isprintable() else " " for letter in text[:300]).encode("utf-8", "replace").decode()


def _shillings(value):
    """Whole shillings, from 100, 100.0, "100" or "100.00"; None if missing or not a whole number."""
    if value is None or isinstance(value, bool):
        return None
    # float() would also read digits of other scripts, underscores and exponents.
    if isinstance(value, str) and not SHILLINGS.fullmatch(value):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    # Infinity and NaN fail the first comparison, so int() never gets them.
    return int(number) if abs(number) < 10**12 and number == int(number) else None
