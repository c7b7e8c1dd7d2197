"""Safaricom's Daraja API over HTTP: a token, a push to a phone, a question about it. Knows no rows.

Every answer is one of three things: what was asked for, a Refusal (certainly nothing happened), or
Unclear (the request may have had its effect, and nobody knows). Only a Refusal may be tried again,
hence a Refusal is what is known to be one; whatever else goes wrong is Unclear.

A Daraja that hangs takes few of our threads for a short while: `place` lets few in at a time, and
nobody for some seconds after a time-out; each operation has a deadline that the token counts to.
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

import httpx
from django.conf import settings
from django.core.cache import cache

from config import outbound
from config.outage import Outage

from . import results
from .callbacks import NotACallback, Outcome, plain_text, plain_words

logger = logging.getLogger(__name__)

NAIROBI = ZoneInfo("Africa/Nairobi")
MAX_ANSWER_BYTES = 64 * 1024
ACCOUNT_REFERENCE_LENGTH = 12
DESCRIPTION_LENGTH = 13
# A token is good for 3,599 s; the last minute may be over by the time a request arrives.
TOKEN_MARGIN_SECONDS = 60
# Of an operation's time, the most that goes into fetching a token.
TOKEN_SECONDS = 10
# A query has no payer waiting for it, but other work behind it.
QUERY_SECONDS = 8
# So many threads of a process may be with a push at once, and so long another waits for its turn.
PLACES = 2
PLACE_WAIT_SECONDS = 1
OUTAGE_SECONDS = 15
BUSY_CODE = "500.001.1001"
# Said before anything is asked of the phone. 500.001.1001 is said for everything; its words decide.
REFUSAL_STARTS = ("400.", "401.", "404.", "429")
REFUSAL_CODES = ("401", "403", "404", "405", "429", "500.003.02")
REFUSAL_WORDS = ("wrong credentials", "merchant does not exist", "unable to lock subscriber", "already in process")
# Words that a message may hold after which a secret may come.
SECRET_WORDS = re.compile(r"(token|password|passkey|secret|bearer)(\s*[-:=]\s*|\s+['\"])\S+", re.IGNORECASE)


class DarajaError(Exception):
    """Daraja did not do what was asked. `code` is its own or ours, `message` its words; neither holds a secret."""

    def __init__(self, code, message=""):
        super().__init__(f"{code} {message}".strip())
        self.code = code
        self.message = message

    @property
    def is_silence(self):
        """It could not be reached, or nothing came of it in time."""
        return self.code in ("unreachable", "no_token", "no_answer", "too_late")


class Refusal(DarajaError):
    """It said no, or could not be reached at all: certainly nothing happened.

    `is_passing` when the same request may do better later.
    """

    @property
    def is_passing(self):
        """Down, busy, or over its limit: nothing of ours is wrong."""
        return self.code in ("unreachable", "no_token") or self.code.startswith(("500.", "503.", "429"))


class NoPlace(Refusal):
    """Others wait for Daraja already, or it did not answer a moment ago: nothing was sent."""


class Unclear(DarajaError):
    """No answer, or none that can be read: whatever was asked may have happened.

    `pushed` is the Pushed of an answer that told the ids, though not whether it was a yes.
    """

    def __init__(self, code, message="", pushed=None):
        super().__init__(code, message)
        self.pushed = pushed


class StillPending(DarajaError):
    """The payer has not decided yet."""


@dataclass(frozen=True)
class Pushed:
    """Daraja has taken the push; the phone will ask for the PIN."""

    merchant_request_id: str
    checkout_request_id: str
    customer_message: str


outage = Outage(OUTAGE_SECONDS, lambda: NoPlace("unreachable", "It did not answer a moment ago."))
_places = threading.BoundedSemaphore(PLACES)


@contextlib.contextmanager
def place():
    """The right to be with Daraja, for few of this process's threads at once. Raises NoPlace."""
    with outage.passed():
        if not _places.acquire(timeout=PLACE_WAIT_SECONDS):
            raise NoPlace("unreachable", "Others wait for it already.")
        try:
            yield
        finally:
            _places.release()


def deadline():
    """When (of the monotonic clock) an operation that begins now is given up."""
    return time.monotonic() + settings.MPESA_CONNECT_TIMEOUT_SECONDS + settings.MPESA_TIMEOUT_SECONDS


def push(*, phone_number, amount, reference, description, callback_url, until=None):
    """Ask the phone `phone_number` (2547…) to pay `amount` whole shillings. Returns Pushed.

    `reference` and `description` are cut to what Daraja takes; `until` is the deadline of the operation
    it belongs to. Raises Refusal or Unclear.
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
    """A code as text; "" for what is none."""
    try:
        return plain_text(value, most=30)
    except NotACallback:
        return ""


def _ids(answer):
    """The Pushed of an answer; None when it does not tell both ids."""
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

    Only a result code we know is an end: what Daraja says of a payment under way changes. Raises
    StillPending, Refusal or Unclear.
    """
    try:
        answer = _ask(
            "/mpesa/stkpushquery/v1/query",
            {**_signed(), "CheckoutRequestID": checkout_request_id},
            until=min(deadline(), time.monotonic() + QUERY_SECONDS),
        )
    except (Refusal, Unclear) as error:
        # The same code also says that a shop number is wrong: only the words tell.
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
    if outcome.result_code not in results.RESULTS:
        raise StillPending(outcome.result_code)
    if outcome.checkout_request_id != checkout_request_id:
        raise Unclear("another_payment")
    return outcome


def plain(text, *, most):
    """At most `most` letters, digits, spaces and dashes: others make Daraja fail without a word. Never empty."""
    kept = "".join(letter for letter in text if letter.isascii() and (letter.isalnum() or letter in " -"))
    return " ".join(kept.split())[:most].strip() or "Portal"


def timestamp(now=None):
    """yyyyMMddHHmmss of Nairobi's clock."""
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
    """The token everybody shares; a new one is fetched by one at a time, since each kills the one before.

    `instead_of` is one that Daraja no longer takes. Whoever waited for a fetch that failed, or until
    `until`, does not begin one of their own. Raises Refusal when there is none to be had.
    """
    try:
        return _shared_token(instead_of, until or deadline())
    except DarajaError:
        raise
    except Exception as error:  # the cache is away: without a token nothing was asked
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
    """Where the token of these credentials is kept; the key tells neither of them."""
    owner = f"{settings.MPESA_BASE_URL} {settings.MPESA_CONSUMER_KEY} {settings.MPESA_CONSUMER_SECRET}"
    return f"mpesa-token:{hashlib.sha256(owner.encode()).hexdigest()[:32]}"


def _fetch_token(key, until):
    credentials = (settings.MPESA_CONSUMER_KEY, settings.MPESA_CONSUMER_SECRET)
    until = min(until, time.monotonic() + TOKEN_SECONDS)
    try:
        answer = _send("GET", "/oauth/v1/generate?grant_type=client_credentials", auth=credentials, until=until)
        token, seconds = str(answer["access_token"]), int(answer["expires_in"])
    except Unclear as error:
        # Without a token nothing was asked yet.
        raise Refusal("unreachable", error.code) from None
    except (KeyError, TypeError, ValueError):
        raise Refusal("no_token", "The answer held none.") from None
    if not token or not token.isascii() or not token.isprintable():
        raise Refusal("no_token", "The answer held none.")
    cache.set(key, token, max(1, seconds - TOKEN_MARGIN_SECONDS))
    return token


# --- HTTP -----------------------------------------------------------------------------------------


def _ask(path, body, *, until):
    """POST with the token; once more with a new one when Daraja says that the token is no good."""
    token = access_token(until=until)
    try:
        return _in_time(path, body, token, until)
    except Refusal as refusal:
        if refusal.code != "404.001.03" and not refusal.code.startswith("401"):
            raise
    return _in_time(path, body, access_token(instead_of=token, until=until), until)


def _in_time(path, body, token, until):
    """Sent only while there is time for an answer: what is cut off early leaves nobody the wiser."""
    if until - time.monotonic() < min(settings.MPESA_TIMEOUT_SECONDS, QUERY_SECONDS) / 2:
        raise Refusal("unreachable", "Too little time was left.")
    return _send("POST", path, body=body, token=token, until=until)


def _send(method, path, *, until, body=None, token=None, auth=None):
    """The JSON object that Daraja answers. Raises Refusal or Unclear.

    Each request has a connection of its own: on a kept one that has died meanwhile, nobody could
    tell whether a push went out.
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
                # A time-out counts from byte to byte; a drop a second would go on for ever.
                if time.monotonic() > until:
                    outage.began()
                    raise Unclear("too_late")
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
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
    """Whom TLS trusts; to read that anew for each request costs more than the request."""
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
        # Turned away at the door, by its status alone.
        raise Refusal(f"{status}", "")
    raise Unclear(code, message)


def _is_refusal(code, message):
    """Whether this error is known to come before anything is asked of the phone."""
    if code == BUSY_CODE:
        return any(words in message.lower() for words in REFUSAL_WORDS)
    return code in REFUSAL_CODES or code.startswith(REFUSAL_STARTS)


def _without(secrets, text):
    """The words of an answer without what Daraja may repeat in them of ours."""
    ours = [settings.MPESA_PASSKEY, settings.MPESA_CONSUMER_SECRET, settings.MPESA_CALLBACK_SECRET]
    for secret in [*secrets, *ours]:
        # A shorter one is part of too many words, and none that anybody was ever given.
        if secret and len(secret) >= 6:
            text = text.replace(secret, "…")
    return SECRET_WORDS.sub(r"\1 …", text)
