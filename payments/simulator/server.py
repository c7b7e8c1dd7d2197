"""The simulator's HTTP server: OAuth, push, query and callbacks as Daraja has them, with its error codes.

Keeps everything in memory. Listens on loopback, and sends callbacks to loopback only.
"""

import base64
import binascii
import contextlib
import hashlib
import ipaddress
import json
import re
import secrets
import string
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from config.lazy import LazyModule

from .numbers import person_of

httpx = LazyModule("httpx")

NAIROBI = ZoneInfo("Africa/Nairobi")
TOKEN_SECONDS = 3599
MAX_BODY = 64 * 1024
DESCRIPTIONS = {
    "0": "The service request is processed successfully.",
    "1": "The balance is insufficient for the transaction.",
    "17": "Rule limited.",
    "1001": "Unable to lock subscriber, a transaction is already in process for the current subscriber.",
    "1019": "Transaction has expired.",
    "1025": "An error occurred while sending a push request.",
    "1032": "Request cancelled by user.",
    "1036": "SMSC ACK timeout.",
    "1037": "DS timeout user cannot be reached.",
    "2001": "The initiator information is invalid.",
    "9999": "Error sending push request.",
    "SFC_IC0003": "The operator does not exist.",
}
PUSH_FIELDS = (
    "BusinessShortCode",
    "Password",
    "Timestamp",
    "TransactionType",
    "Amount",
    "PartyA",
    "PartyB",
    "PhoneNumber",
    "CallBackURL",
    "AccountReference",
    "TransactionDesc",
)


class Fault(Exception):
    """An error answer of Daraja."""

    def __init__(self, status, code, message):
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


class Cut(Exception):
    """The connection breaks without an answer."""


@dataclass
class Push:
    """One push: the request, the payer, and when the payer decides."""

    merchant_request_id: str
    checkout_request_id: str
    body: dict
    decided_at: float
    receipt: str
    callbacks: list = field(default_factory=list)

    @property
    def person(self):
        """The simulated payer."""
        return person_of(str(self.body["PhoneNumber"]))

    @property
    def is_decided(self):
        """True when the payer has decided."""
        return time.monotonic() >= self.decided_at


class Simulator:
    """A Daraja on 127.0.0.1 at `url`. Use `start()` and `stop()`, or `serve_forever()`.

    `delay` is how many seconds a payer takes, `slow` how many a slow answer, `late` how many a late callback. Tests
    read the requests from `pushes`, `tokens` and `queries`. `wait_for_calls()` returns when all callbacks under way are
    answered.
    """

    def __init__(self, *, port=0, key, secret, shortcode, passkey, till="", delay=2.0, slow=60.0, late=90.0):
        self.key, self.secret, self.shortcode, self.passkey, self.till = key, secret, shortcode, passkey, till
        self.delay, self.slow, self.late = delay, slow, late
        self.pushes, self.tokens, self.queries = [], [], []
        self._lock = threading.Lock()
        self._calls = []
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", port), self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self):
        """Serve in a separate thread."""
        threading.Thread(target=self.serve_forever, daemon=True, name="daraja-simulator").start()
        return self

    def serve_forever(self):
        """Serve until `stop()`."""
        self._server.serve_forever(poll_interval=0.1)

    def stop(self):
        """Stop serving, and give up the callbacks under way."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def let_go(self):
        """Close this process's socket; the child serves on its own copy."""
        self._server.server_close()

    def wait_for_calls(self, seconds=30):
        """Return when every callback begun so far has ended, or after `seconds`."""
        end = time.monotonic() + seconds
        while self._calls:
            self._calls.pop().join(max(0, end - time.monotonic()))

    def invalidate_tokens(self):
        """Invalidate all tokens, as when another client fetches a new one."""
        with self._lock:
            self.tokens.append(("", 0))

    # --- What Daraja does -------------------------------------------------------------------------

    def token(self, query, authorization):
        """A new access token; it invalidates the one before."""
        if parse_qs(query).get("grant_type") != ["client_credentials"]:
            raise Fault(400, "400.008.02", "Invalid grant type passed")
        if not _is_basic(authorization, self.key, self.secret):
            raise Fault(400, "400.008.01", "Invalid Authentication passed")
        with self._lock:
            token = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(28))
            self.tokens.append((token, time.monotonic() + TOKEN_SECONDS))
        return {"access_token": token, "expires_in": str(TOKEN_SECONDS)}

    def check_token(self, authorization):
        """Raises Fault unless the token is the newest and still valid."""
        kind, _space, token = authorization.partition(" ")
        if kind != "Bearer" or not token:
            raise Fault(401, "404.001.04", "Invalid Authentication Header")
        with self._lock:
            newest, ends = self.tokens[-1] if self.tokens else ("", 0)
        if not newest or token != newest or time.monotonic() > ends:
            raise Fault(404, "404.001.03", "Invalid Access Token")

    def push(self, body):
        """Handle a push as Daraja does. Returns the answer; raises Fault or Cut."""
        self._check_push(body)
        phone = str(body["PhoneNumber"])
        person = person_of(phone)
        faults = {
            "busy": Fault(
                500,
                "500.001.1001",
                "[STK_CB - ]Unable to lock subscriber, a transaction is already in process for the current subscriber",
            ),
            "spike": Fault(500, "500.003.02", "System is busy. Please try again in few minutes."),
            "unknown_number": Fault(400, "400.002.02", "Bad Request - Invalid PhoneNumber"),
            "html": Fault(503, "", "<html><body><h1>503 Service Unavailable</h1></body></html>"),
        }
        if person.push in faults:
            raise faults[person.push]
        with self._lock:
            if any(str(other.body["PhoneNumber"]) == phone and not other.is_decided for other in self.pushes):
                raise faults["busy"]
            moment = datetime.now(NAIROBI)
            number = len(self.pushes) + 1
            push = Push(
                merchant_request_id=f"{secrets.randbelow(90000) + 10000}-{secrets.randbelow(10**8)}-{number}",
                checkout_request_id=f"ws_CO_{moment:%d%m%Y%H%M%S}{secrets.randbelow(10**9):09}{phone[-9:]}",
                body=body,
                decided_at=time.monotonic() + self.delay,
                receipt="".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(10)),
            )
            self.pushes.append(push)
        call = threading.Thread(target=self._call_back, args=[push], daemon=True)
        self._calls.append(call)
        call.start()
        if person.callback == "early":
            call.join(30)
        if person.push == "slow":
            self._stopping.wait(self.slow)
        if person.push == "cut":
            raise Cut
        answer = {
            "MerchantRequestID": push.merchant_request_id,
            "CheckoutRequestID": push.checkout_request_id,
            "ResponseCode": "0",
            "ResponseDescription": "Success. Request accepted for processing",
            "CustomerMessage": "Success. Request accepted for processing",
        }
        if person.push == "no_ids":
            del answer["MerchantRequestID"], answer["CheckoutRequestID"]
        return answer

    def _check_push(self, body):
        for name in PUSH_FIELDS:
            if body.get(name) in (None, ""):
                raise Fault(400, "400.002.02", f"Bad Request - Invalid {name}")
        self._check_signature(body)
        amount, url = str(body["Amount"]), str(body["CallBackURL"])
        kind = body["TransactionType"]
        party = self.till if kind == "CustomerBuyGoodsOnline" else self.shortcode
        checks = {
            "TransactionType": kind in ("CustomerPayBillOnline", "CustomerBuyGoodsOnline"),
            "Amount": amount.isascii() and amount.isdigit() and 1 <= int(amount) <= 250_000,
            "PhoneNumber": re.fullmatch(r"254[17][0-9]{8}", str(body["PhoneNumber"])),
            "PartyA": str(body["PartyA"]) == str(body["PhoneNumber"]),
            "PartyB": str(body["PartyB"]) == party,
            "CallBackURL": _may_be_called(url),
            "AccountReference": len(str(body["AccountReference"])) <= 12,
            "TransactionDesc": len(str(body["TransactionDesc"])) <= 13,
        }
        for name, good in checks.items():
            if not good:
                raise Fault(400, "400.002.02", f"Bad Request - Invalid {name}")

    def _check_signature(self, body):
        moment = str(body.get("Timestamp"))
        try:
            at = datetime.strptime(moment, "%Y%m%d%H%M%S").replace(tzinfo=NAIROBI)
        except ValueError:
            raise Fault(400, "400.002.02", "Bad Request - Invalid Timestamp") from None
        if abs(datetime.now(NAIROBI) - at) > timedelta(hours=1):
            raise Fault(400, "400.002.02", "Bad Request - Invalid Timestamp")
        if str(body.get("BusinessShortCode")) != self.shortcode:
            raise Fault(500, "500.001.1001", "Merchant does not exist")
        password = base64.b64encode(f"{self.shortcode}{self.passkey}{moment}".encode()).decode()
        if body.get("Password") != password:
            raise Fault(500, "500.001.1001", "Wrong credentials")

    def query(self, body):
        """The result of a push. Raises Fault 500.001.1001 while the payer has not decided."""
        self._check_signature(body)
        wanted = body.get("CheckoutRequestID")
        with self._lock:
            self.queries.append(wanted)
            push = next((push for push in self.pushes if push.checkout_request_id == wanted), None)
        if push is None:
            raise Fault(400, "400.002.02", "Bad Request - Invalid CheckoutRequestID")
        if push.person.query == "html":
            raise Fault(504, "", "<html><body><h1>504 Gateway Time-out</h1></body></html>")
        if not push.is_decided:
            raise Fault(500, "500.001.1001", "The transaction is being processed")
        code = "4999" if push.person.query == "pending_4999" else push.person.code
        return {
            "ResponseCode": "0",
            "ResponseDescription": "The service request has been accepted successsfully",
            "MerchantRequestID": push.merchant_request_id,
            "CheckoutRequestID": push.checkout_request_id,
            "ResultCode": code,
            "ResultDesc": DESCRIPTIONS.get(code, "The transaction is still under processing"),
        }

    # --- Calling back -----------------------------------------------------------------------------

    def _call_back(self, push):
        way = push.person.callback
        wait = 0 if way == "early" else self.late if way == "late" else self.delay
        if way == "lost" or self._stopping.wait(wait):
            return
        if way == "early":
            push.decided_at = time.monotonic()
        bodies = [self.callback_of(push)]
        if way == "three":
            bodies *= 3
        elif way == "after_failure":
            bodies.insert(0, self.callback_of(push, code="1037"))
        elif way == "garbage_first":
            bodies[:0] = [b"", b"{", b"[" * 20_000, b"\xff\xfe", json.dumps(bodies[0]).encode()[:80]]
        for body in bodies:
            self.call(push, body)

    def callback_of(self, push, *, code=None, amount=None, phone=None, merchant=None, receipt=None):
        """The body of a push's callback; the arguments replace the true values."""
        way = push.person.callback
        code = code or push.person.code
        said = {
            "MerchantRequestID": merchant or ("1-1-1" if way == "merchant" else push.merchant_request_id),
            "CheckoutRequestID": push.checkout_request_id,
            "ResultCode": int(code) if code.isdigit() else code,
            "ResultDesc": DESCRIPTIONS.get(code, "Failed."),
        }
        if code == "0":
            paid = amount if amount is not None else int(push.body["Amount"]) - (1 if way == "amount" else 0)
            number = phone or _told_phone(way, str(push.body["PhoneNumber"]))
            items = [
                {"Name": "Amount", "Value": float(paid)},
                {"Name": "MpesaReceiptNumber", "Value": receipt or push.receipt},
                {"Name": "Balance"},
                {"Name": "TransactionDate", "Value": int(datetime.now(NAIROBI).strftime("%Y%m%d%H%M%S"))},
                {"Name": "PhoneNumber", "Value": number},
            ]
            if number is None:
                items.pop()
            if way == "odd":
                items = [{**item, "Value": str(item["Value"])} for item in reversed(items) if "Value" in item]
                items.append({"Name": "FirstName", "Value": "Wanjiru"})
            said["CallbackMetadata"] = {"Item": items}
        return {"Body": {"stkCallback": said}}

    def call(self, push, body):
        """POST a callback once, as Daraja does, whatever the answer is."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.post(push.body["CallBackURL"], content=content, headers=headers, timeout=30, trust_env=False)
            push.callbacks.append(answer.status_code)


def _told_phone(way, phone):
    """The payer's number as a callback tells it; None leaves it out."""
    forms = {
        "phone": 254700000000,
        "masked": f"{phone[:4]}*****{phone[-3:]}",
        "hashed": hashlib.sha256(phone.encode()).hexdigest(),
        "local": f"0{phone[3:]}",
        "no_phone": None,
    }
    return forms.get(way, int(phone))


def _is_basic(authorization, key, secret):
    kind, _space, given = authorization.partition(" ")
    try:
        return kind == "Basic" and base64.b64decode(given, validate=True) == f"{key}:{secret}".encode()
    except (binascii.Error, ValueError):
        return False


def _may_be_called(url):
    """Daraja's rules for callback addresses, and ours: loopback only."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or re.search(r"m-?pesa|safaricom", url, re.IGNORECASE):
        return False
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost" or (parts.hostname or "").endswith(".localhost")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address, simulator):
        self.simulator = simulator
        super().__init__(address, _Handler)

    def handle_error(self, request, client_address):
        """Ignore clients that break off."""


class _Handler(BaseHTTPRequestHandler):
    """Routes requests, and formats answers as Daraja does."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer({"/oauth/v1/generate": self._token})

    def do_POST(self):
        self._answer({"/mpesa/stkpush/v1/processrequest": self._push, "/mpesa/stkpushquery/v1/query": self._query})

    def log_message(self, *arguments):
        """Log nothing: the portal logs its own side."""

    def _answer(self, routes):
        path = urlsplit(self.path).path
        try:
            if path not in routes:
                raise Fault(404, "404.001.01", "Resource not found")
            status, body = 200, routes[path]()
        except Fault as fault:
            status = fault.status
            request_id = f"{secrets.randbelow(90000) + 10000}-{secrets.randbelow(10**8)}-1"
            body = {"requestId": request_id, "errorCode": fault.code, "errorMessage": fault.message}
            if not fault.code:
                body = fault.message
        except Cut:
            self.close_connection = True
            return
        html = isinstance(body, str)
        content = body.encode() if html else json.dumps(body).encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if html else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def _token(self):
        return self.server.simulator.token(urlsplit(self.path).query, self.headers.get("Authorization", ""))

    def _push(self):
        return self.server.simulator.push(self._body())

    def _query(self):
        return self.server.simulator.query(self._body())

    def _body(self):
        self.server.simulator.check_token(self.headers.get("Authorization", ""))
        length = int(self.headers.get("Content-Length") or 0)
        try:
            body = json.loads(self.rfile.read(min(length, MAX_BODY)))
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Fault(400, "400.002.05", "Invalid Request Payload")
        return body
