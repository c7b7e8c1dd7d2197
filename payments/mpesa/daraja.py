"""Safaricom's Daraja API over HTTP: fetch a token, push to a phone, query a push. Does not access payments' rows.

Every call ends in one of three ways: a result; a Refusal, when certainly nothing happened; or Unclear, when the request
may have had its effect. The caller may retry only after a Refusal. So only errors known to come before any effect are
Refusals; all others are Unclear.

A Daraja that hangs must block only few threads for a short time. `place` admits few threads at once, and none for some
seconds after a time-out. Each operation has a deadline, which includes fetching the token.
"""

import base64
import contextlib
import functools
import hashlib
import json
import logging
import re
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.cache import cache

from config.lazy import LazyModule
from config.outside import outbound
from config.outside.outage import Outage

from . import results
from .callbacks import NotACallback, Outcome, plain_text, plain_words

httpx = LazyModule("httpx")
logger = logging.getLogger(__name__)

NAIROBI = ZoneInfo("Africa/Nairobi")
MAX_ANSWER_BYTES = 64 * 1024
ACCOUNT_REFERENCE_LENGTH = 12
DESCRIPTION_LENGTH = 13
# A token lasts 3,599 s. Do not use its last minute: it could expire before the request arrives.
TOKEN_MARGIN_SECONDS = 60
# The most seconds of an operation that fetching a token may take.
TOKEN_SECONDS = 10
# Seconds for a query. No payer waits for it, but other queries do.
QUERY_SECONDS = 8
# How many threads of a process may push at once, and how many seconds another waits for its turn.
PLACES = 2
PLACE_WAIT_SECONDS = 1
OUTAGE_SECONDS = 15
BUSY_CODE = "500.001.1001"
# Errors that Daraja returns before it asks the phone. 500.001.1001 has many meanings; its words decide.
REFUSAL_STARTS = ("400.", "401.", "404.", "429")
REFUSAL_CODES = ("401", "403", "404", "405", "429", "500.003.02")
REFUSAL_WORDS = ("wrong credentials", "merchant does not exist", "unable to lock subscriber", "already in process")
# Words in a message that a secret may follow.
SECRET_WORDS = re.compile(r"(token|password|passkey|secret|bearer)(\s*[-:=]\s*|\s+['\"])\S+", re.IGNORECASE)


class DarajaError(Exception):
    """Daraja did not do what was asked. `code` is Daraja's or ours, `message` its words; both are free of secrets."""

    def __init__(self, code, message=""):
        super().__init__(f"{code} {message}".strip())
        self.code = code
        self.message = message

    @property
    def is_silence(self):
        """Daraja could not be reached, or did not answer in time."""
        return self.code in ("unreachable", "no_token", "no_answer", "too_late")


class Refusal(DarajaError):
    """Daraja refused, or could not be reached: certainly nothing happened.

    `is_passing`: the same request may succeed later.
    """

    @property
    def is_passing(self):
        """Daraja is down, busy, or over its limit; the request itself is not at fault."""
        return self.code in ("unreachable", "no_token") or self.code.startswith(("500.", "503.", "429"))


class NoPlace(Refusal):
    """Too many threads wait for Daraja, or it did not answer a moment ago: nothing was sent."""


class Unclear(DarajaError):
    """No readable answer: the request may have had its effect.

    `pushed` is the Pushed of an answer that held the ids but no result code.
    """

    def __init__(self, code, message="", pushed=None):
        super().__init__(code, message)
        self.pushed = pushed


class StillPending(DarajaError):
    """The payer has not decided yet."""


@dataclass(frozen=True)
class Pushed:
    """Daraja accepted the push; the phone will ask for the PIN."""

    merchant_request_id: str
    checkout_request_id: str
    customer_message: str


outage = Outage(OUTAGE_SECONDS, lambda: NoPlace("unreachable", "It did not answer a moment ago."))
_places = threading.BoundedSemaphore(PLACES)


@contextlib.contextmanager
def place():
    """Admits few of this process's threads to Daraja at once. Raises NoPlace."""
    with outage.passed():
        if not _places.acquire(timeout=PLACE_WAIT_SECONDS):
            raise NoPlace("unreachable", "Others wait for it already.")
        try:
            yield
        finally:
            _places.release()


def deadline():
    """The time, by the monotonic clock, when an operation that begins now gives up."""
    return time.monotonic() + settings.MPESA_CONNECT_TIMEOUT_SECONDS + settings.MPESA_TIMEOUT_SECONDS


def push(*, phone_number, amount, reference, description, callback_url, until=None):
    """Ask the phone `phone_number` (2547…) to pay `amount` whole shillings. Returns Pushed.

    Cuts `reference` and `description` to Daraja's limits. `until` is the deadline of the whole operation. Raises
    Refusal or Unclear.
    """
    till = settings.MPESA_TRANSACTION_TYPE == "CustomerBuyGoodsOnline"
    body = {
        **_signed(),
        "TransactionType": settings.MPESA_TRANSACTION_TYPE,
        "Amount": amount,
        "PartyA": phone_number,
        "PartyB": settings.MPESA_TILL_NUMBER if till else settings.MPESA_SHORTCODE,
        "PhoneNumber": phone_number,
        "CallBackURL": callback_url,
        "AccountReference": plain(reference, most=ACCOUNT_REFERENCE_LENGTH),
        "TransactionDesc": plain(description, most=DESCRIPTION_LENGTH),
    }
    answer = _ask("/mpesa/stkpush/v1/processrequest", body, until=until or deadline())
    code = _code(answer.get("ResponseCode"))
    if code and code.strip("0"):
        raise Refusal(code, plain_words(answer.get("ResponseDescription")))
    pushed = _ids(answer)
    if not code:
        raise Unclear("no_code", pushed=pushed)
    if pushed is None:
        raise Unclear("no_ids")
    return pushed


def _code(value):
    """A code as text; "" for an invalid one."""
    try:
        return plain_text(value, most=30)
    except NotACallback:
        return ""


def _ids(answer):
    """The Pushed of an answer; None if one of the ids is missing."""
    try:
        return Pushed(
            merchant_request_id=plain_text(answer.get("MerchantRequestID")),
            checkout_request_id=plain_text(answer.get("CheckoutRequestID")),
            customer_message=plain_words(answer.get("CustomerMessage")),
        )
    except NotACallback:
        return None


def query(*, checkout_request_id):
    """How the push of that id ended, as an Outcome without metadata.

    Raises StillPending, also for a code that is not certainly an end, Refusal or Unclear.
    """
    try:
        answer = _ask(
            "/mpesa/stkpushquery/v1/query",
            {**_signed(), "CheckoutRequestID": checkout_request_id},
            until=min(deadline(), time.monotonic() + QUERY_SECONDS),
        )
    except (Refusal, Unclear) as error:
        # The same code also means a wrong shortcode: only the words tell.
        if error.code == BUSY_CODE and "process" in error.message.lower():
            raise StillPending(error.code) from None
        raise
    try:
        outcome = Outcome(
            merchant_request_id=plain_text(answer.get("MerchantRequestID")),
            checkout_request_id=plain_text(answer.get("CheckoutRequestID")),
            result_code=plain_text(answer.get("ResultCode"), most=30),
            result_desc=plain_words(answer.get("ResultDesc")),
        )
    except NotACallback:
        raise Unclear("no_result") from None
    if not results.is_end(outcome.result_code):
        raise StillPending(outcome.result_code)
    if outcome.checkout_request_id != checkout_request_id:
        raise Unclear("another_payment")
    return outcome


def plain(text, *, most):
    """At most `most` letters, digits, spaces and dashes; never empty. Others make Daraja fail without a reason."""
    kept = "".join(letter for letter in text if letter.isascii() and (letter.isalnum() or letter in " -"))
    return " ".join(kept.split())[:most].strip() or "Portal"


def timestamp(now=None):
    """The time in Nairobi as yyyyMMddHHmmss."""
    return (now or datetime.now(NAIROBI)).astimezone(NAIROBI).strftime("%Y%m%d%H%M%S")


def _signed():
    moment = timestamp()
    password = f"{settings.MPESA_SHORTCODE}{settings.MPESA_PASSKEY}{moment}"
    return {
        "BusinessShortCode": settings.MPESA_SHORTCODE,
        "Password": base64.b64encode(password.encode()).decode(),
        "Timestamp": moment,
    }


# --- The token ------------------------------------------------------------------------------------


def access_token(*, instead_of=None, until=None):
    """The token that all processes share. One thread at a time fetches a new one: each new token invalidates the last.

    `instead_of` is a token that Daraja no longer accepts. A caller that waited for a failed fetch, or past `until`,
    does not start its own. Raises Refusal when there is no token.
    """
    try:
        return _shared_token(instead_of, until or deadline())
    except DarajaError:
        raise
    except Exception as error:  # the cache is down; without a token nothing was asked
        logger.exception("The token could not be looked up")
        raise Refusal("no_token", type(error).__name__) from None


def _shared_token(instead_of, until):
    key = _token_key()
    failed_before = cache.get(f"{key}:failed")
    while True:
        token = cache.get(key)
        if token and token != instead_of:
            return token
        if cache.add(f"{key}:lock", "1", TOKEN_SECONDS + 5):
            try:
                token = cache.get(key)
                if token and token != instead_of:
                    return token
                if cache.get(f"{key}:failed") == failed_before:
                    return _fetch_token(key, until)
            except DarajaError:
                cache.set(f"{key}:failed", time.monotonic_ns(), 60)
                raise
            finally:
                cache.delete(f"{key}:lock")
        if time.monotonic() > until or cache.get(f"{key}:failed") != failed_before:
            raise Refusal("no_token", "Somebody else could not fetch it.")
        time.sleep(0.05)


def _token_key():
    """The cache key for these credentials' token; a hash, so that it does not show them."""
    owner = f"{settings.MPESA_BASE_URL} {settings.MPESA_CONSUMER_KEY} {settings.MPESA_CONSUMER_SECRET}"
    return f"mpesa-token:{hashlib.sha256(owner.encode()).hexdigest()[:32]}"


def _fetch_token(key, until):
    credentials = (settings.MPESA_CONSUMER_KEY, settings.MPESA_CONSUMER_SECRET)
    until = min(until, time.monotonic() + TOKEN_SECONDS)
    try:
        answer = _send("GET", "/oauth/v1/generate?grant_type=client_credentials", auth=credentials, until=until)
        token, seconds = str(answer["access_token"]), int(answer["expires_in"])
    except Unclear as error:
        # Without a token nothing was asked, so Unclear becomes a Refusal.
        raise Refusal("unreachable", error.code) from None
    except (KeyError, TypeError, ValueError):
        raise Refusal("no_token", "The answer held none.") from None
    if not token or not token.isascii() or not token.isprintable():
        raise Refusal("no_token", "The answer held none.")
    cache.set(key, token, max(1, seconds - TOKEN_MARGIN_SECONDS))
    return token


# --- HTTP -----------------------------------------------------------------------------------------


def _ask(path, body, *, until):
    """POST with the token; if Daraja rejects the token, once more with a new one."""
    token = access_token(until=until)
    try:
        return _in_time(path, body, token, until)
    except Refusal as refusal:
        if refusal.code != "404.001.03" and not refusal.code.startswith("401"):
            raise
    return _in_time(path, body, access_token(instead_of=token, until=until), until)


def _in_time(path, body, token, until):
    """Send only if there is time for an answer. A request cut off early would leave its effect unknown."""
    if until - time.monotonic() < min(settings.MPESA_TIMEOUT_SECONDS, QUERY_SECONDS) / 2:
        raise Refusal("unreachable", "Too little time was left.")
    return _send("POST", path, body=body, token=token, until=until)


def _send(method, path, *, until, body=None, token=None, auth=None):
    """The JSON object that Daraja answers. Raises Refusal or Unclear.

    Each request opens a new connection. On a kept connection that has died, nothing tells whether a push was sent.
    """
    if not settings.MPESA_BASE_URL:
        raise Refusal("unreachable", "There is no address to ask.")
    headers = {"Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    left = max(0.1, until - time.monotonic())
    timeout = httpx.Timeout(
        min(settings.MPESA_TIMEOUT_SECONDS, left), connect=min(settings.MPESA_CONNECT_TIMEOUT_SECONDS, left)
    )
    client = outbound.client(timeout=timeout, verify=_trusted(), allow_local=settings.MPESA_ENV == "simulator")
    try:
        with (
            client,
            client.stream(
                method, f"{settings.MPESA_BASE_URL}{path}", json=body, headers=headers, auth=auth
            ) as response,
        ):
            content = b""
            for block in response.iter_bytes():
                content += block
                if len(content) > MAX_ANSWER_BYTES:
                    raise Unclear("too_much")
                # httpx's time-out counts between bytes; a slow trickle of bytes would never reach it.
                if time.monotonic() > until:
                    outage.began()
                    raise Unclear("too_late")
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, outbound.ForbiddenAddress) as error:
        if isinstance(error, httpx.ConnectTimeout):
            outage.began()
        raise Refusal("unreachable", type(error).__name__) from None
    except httpx.HTTPError as error:
        if isinstance(error, httpx.TimeoutException):
            outage.began()
        raise Unclear("no_answer", type(error).__name__) from None
    outage.ended()
    return _understood(response.status_code, content, secrets=[token, (body or {}).get("Password")])


@functools.cache
def _trusted():
    """The TLS context with the trusted certificates. Reading them for each request costs more than the request."""
    return httpx.create_ssl_context()


def _understood(status, content, *, secrets):
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    code, message = f"http_{status}", ""
    if isinstance(answer, dict):
        for name in ("errorCode", "errorMessage", "ResponseDescription", "CustomerMessage", "ResultDesc"):
            if isinstance(answer.get(name), str):
                answer[name] = _without(secrets, answer[name])
        if status == 200 and "errorCode" not in answer:
            return answer
        if isinstance(answer.get("errorCode"), str) and answer["errorCode"]:
            code, message = answer["errorCode"][:30], plain_words(answer.get("errorMessage"))
            if status >= 400 and _is_refusal(code, message):
                raise Refusal(code, message)
            raise Unclear(code, message)
    if str(status) in REFUSAL_CODES:
        # Refused by the HTTP status alone.
        raise Refusal(f"{status}", "")
    raise Unclear(code, message)


def _is_refusal(code, message):
    """True when this error is known to come before Daraja asks the phone."""
    if code == BUSY_CODE:
        return any(words in message.lower() for words in REFUSAL_WORDS)
    return code in REFUSAL_CODES or code.startswith(REFUSAL_STARTS)


def _without(secrets, text):
    """The answer's words without our secrets, which Daraja may repeat."""
    ours = [settings.MPESA_PASSKEY, settings.MPESA_CONSUMER_SECRET, settings.MPESA_CALLBACK_SECRET]
    for secret in [*secrets, *ours]:
        # A shorter text occurs in too many words, and no real secret is so short.
        if secret and len(secret) >= 6:
            text = text.replace(secret, "…")
    return SECRET_WORDS.sub(r"\1 …", text)
