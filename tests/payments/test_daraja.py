"""The client against the simulator, over real HTTP: pushes, queries, the token, and every way an answer goes wrong."""

import base64
import socket
import threading
from datetime import UTC, datetime

import httpx
import pytest
from django.core.cache import cache

from payments.mpesa import daraja as client
from payments.simulator import PEOPLE, beside
from payments.simulator.server import Fault
from tests.fileshare.helpers import at_once
from tests.payments.daraja import phone_of

pytestmark = pytest.mark.once

URL = "http://127.0.0.1:9/api/payments/cb/secret?ref=1"


def push(digits="99", **facts):
    return client.push(
        **{
            "phone_number": phone_of(digits),
            "amount": 100,
            "reference": "ABCDEF012345",
            "description": "Small",
            "callback_url": URL,
            **facts,
        }
    )


def test_a_push_bears_what_daraja_wants(daraja, settings):
    pushed = push(reference="a much too long reference", description="5 GiB, für 30 days & more")

    (asked,) = daraja.pushes
    assert pushed == client.Pushed(
        asked.merchant_request_id, asked.checkout_request_id, "Success. Request accepted for processing"
    )
    body = asked.body
    assert (body["BusinessShortCode"], body["PartyB"], body["Amount"]) == ("174379", "174379", 100)
    assert body["PartyA"] == body["PhoneNumber"] == phone_of("99")
    assert (body["AccountReference"], body["TransactionDesc"]) == ("a much too l", "5 GiB fr 30 d")
    assert base64.b64decode(body["Password"]).decode() == f"174379simulator{body['Timestamp']}"
    assert None not in body.values()


def test_a_till_is_paid_at_its_own_number(daraja, settings):
    settings.MPESA_TRANSACTION_TYPE, settings.MPESA_TILL_NUMBER = "CustomerBuyGoodsOnline", "5551234"
    daraja.till = "5551234"

    push()

    body = daraja.pushes[0].body
    assert (body["TransactionType"], body["PartyB"], body["BusinessShortCode"]) == (
        "CustomerBuyGoodsOnline",
        "5551234",
        "174379",
    )


@pytest.mark.parametrize("text", ["", "   ", "éé", "&&&", "\n"])
def test_a_text_of_nothing_daraja_takes_is_still_a_text(text):
    assert client.plain(text, most=12) == "Portal"


def test_times_are_nairobis():
    assert client.timestamp(datetime(2026, 12, 31, 22, 30, 5, tzinfo=UTC)) == "20270101013005"


def test_one_token_serves_everybody(daraja):
    tokens = at_once(8, lambda number: client.access_token())

    assert len(set(tokens)) == 1
    assert len(daraja.tokens) == 1
    push("98")
    push("97")
    assert len(daraja.tokens) == 1


def test_a_dead_token_is_replaced_once(daraja):
    push("98")
    daraja.invalidate_tokens()

    push("97")

    assert [phone.body["PhoneNumber"] for phone in daraja.pushes] == [phone_of("98"), phone_of("97")]
    assert len([token for token, _ends in daraja.tokens if token]) == 2


def test_many_with_a_dead_token_fetch_one_new_one(daraja):
    push("98")
    daraja.invalidate_tokens()

    at_once(6, lambda number: push(f"{80 + number}"))

    assert len(daraja.pushes) == 7
    assert len([token for token, _ends in daraja.tokens if token]) == 2


def test_a_token_nobody_takes_is_a_refusal(daraja, monkeypatch):
    monkeypatch.setattr(daraja, "check_token", lambda given: (_ for _ in ()).throw(fault("404.001.03")))

    with pytest.raises(client.Refusal) as refusal:
        push()

    assert refusal.value.code == "404.001.03"
    assert len(daraja.tokens) == 2


def fault(code):

    return Fault(404, code, "Invalid Access Token")


def test_the_token_is_kept_until_shortly_before_its_end(daraja, monkeypatch):
    kept = []
    monkeypatch.setattr(cache, "set", lambda key, value, seconds: kept.append(seconds))

    client.access_token()

    assert kept == [3599 - 60]


@pytest.mark.parametrize("wrong", ["MPESA_CONSUMER_KEY", "MPESA_CONSUMER_SECRET", "MPESA_PASSKEY", "MPESA_SHORTCODE"])
def test_wrong_credentials_are_a_refusal_that_shows_none(wrong, daraja, settings, caplog):
    setattr(settings, wrong, "12345")

    with pytest.raises(client.Refusal) as refusal:
        push()

    assert not refusal.value.is_passing or refusal.value.code == client.BUSY_CODE
    assert "12345" not in str(refusal.value) + caplog.text
    assert not daraja.pushes


@pytest.mark.parametrize(
    ("digits", "error", "reached"),
    [
        ("30", client.Unclear, 0),
        ("31", None, 1),
        ("32", client.Refusal, 0),
        ("33", client.Refusal, 0),
        ("34", client.Unclear, 1),
        ("35", client.Refusal, 0),
        ("39", client.Unclear, 1),
    ],
)
def test_each_bad_answer_is_what_it_is(digits, error, reached, daraja):
    if error is None:
        assert push(digits).checkout_request_id
    else:
        with pytest.raises(error):
            push(digits)

    assert len(daraja.pushes) == reached


def test_an_answer_that_takes_too_long_is_unclear(daraja, settings):
    settings.MPESA_TIMEOUT_SECONDS = 1
    daraja.slow = 20

    with pytest.raises(client.Unclear):
        push("31")

    assert len(daraja.pushes) == 1


def test_nobody_there_is_a_refusal(settings):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings.MPESA_ENV, settings.MPESA_BASE_URL = "simulator", f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(client.Refusal) as refusal:
            push()

    assert refusal.value.is_passing


def raw_server(content):
    """The address of a server that sends `content` once to each client."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(content)

    threading.Thread(target=serve, daemon=True).start()
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def http(status, body, kind="application/json"):
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (http("200 OK", b"<html>Maintenance</html>", "text/html"), client.Unclear),
        (http("500 Error", b"<html></html>", "text/html"), client.Unclear),
        (http("502 Bad Gateway", b""), client.Unclear),
        (http("200 OK", b"[]"), client.Unclear),
        (http("200 OK", b"null"), client.Unclear),
        (http("200 OK", b"[" * 60_000), client.Unclear),
        (http("200 OK", b"x" * 200_000), client.Unclear),
        (http("200 OK", b'{"ResponseCode": "0"}'), client.Unclear),
        (http("200 OK", b'{"ResponseCode": "0", "MerchantRequestID": [], "CheckoutRequestID": {}}'), client.Unclear),
        (http("200 OK", b'{"ResponseCode": "1", "ResponseDescription": "No"}'), client.Refusal),
        (http("200 OK", b'{"ResponseCode": 1, "ResponseDescription": "No"}'), client.Refusal),
        (http("200 OK", b"{}"), client.Unclear),
        (http("200 OK", b'{"ResponseCode": null}'), client.Unclear),
        (http("200 OK", b'{"ResponseCode": []}'), client.Unclear),
        (http("200 OK", b'{"ResponseCode": ""}'), client.Unclear),
        (http("500 Error", b'{"errorCode": "500.003.1001", "errorMessage": "Internal Server Error"}'), client.Unclear),
        (http("500 Error", b'{"errorCode": "500.001.1001", "errorMessage": "Server Error"}'), client.Unclear),
        (http("500 Error", b'{"errorCode": "500.001.1001", "errorMessage": "Wrong credentials"}'), client.Refusal),
        (http("500 Error", b'{"errorCode": "500.003.02", "errorMessage": "System is busy"}'), client.Refusal),
        (http("503 Error", b'{"errorCode": "503.001.01", "errorMessage": "Unavailable"}'), client.Unclear),
        (http("504 Error", b'{"errorCode": "whatever"}'), client.Unclear),
        (http("429 Too Many Requests", b""), client.Refusal),
        (http("403 Forbidden", b"<html>Blocked</html>"), client.Refusal),
        (http("302 Found", b""), client.Unclear),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", client.Unclear),
        (b"nonsense\r\n\r\n", client.Unclear),
        (b"", client.Unclear),
    ],
    ids=str,
)
def test_whatever_answers_a_push_nothing_breaks(content, error, settings, monkeypatch):
    listener, settings.MPESA_BASE_URL = raw_server(content)
    settings.MPESA_ENV, settings.MPESA_TIMEOUT_SECONDS = "simulator", 5
    monkeypatch.setattr(client, "access_token", lambda **options: "token")

    with listener, pytest.raises(error):
        push()


def test_an_answer_without_a_code_keeps_its_ids(settings, monkeypatch):
    listener, settings.MPESA_BASE_URL = raw_server(
        http("200 OK", b'{"MerchantRequestID": "1-2-3", "CheckoutRequestID": "ws_CO_1", "CustomerMessage": "Fine"}')
    )
    settings.MPESA_ENV, settings.MPESA_TIMEOUT_SECONDS = "simulator", 5
    monkeypatch.setattr(client, "access_token", lambda **options: "token")

    with listener, pytest.raises(client.Unclear) as error:
        push()

    assert error.value.pushed == client.Pushed("1-2-3", "ws_CO_1", "Fine")


@pytest.mark.parametrize("code", ["4998", "4999", "777", "1e3"])
def test_a_number_nobody_knows_as_a_result_code_is_no_end(code, settings, monkeypatch):
    body = f'{{"MerchantRequestID": "1", "CheckoutRequestID": "ws_CO_1", "ResultCode": "{code}"}}'.encode()
    listener, settings.MPESA_BASE_URL = raw_server(http("200 OK", body))
    settings.MPESA_ENV, settings.MPESA_TIMEOUT_SECONDS = "simulator", 5
    monkeypatch.setattr(client, "access_token", lambda **options: "token")

    with listener, pytest.raises(client.StillPending):
        client.query(checkout_request_id="ws_CO_1")


@pytest.mark.parametrize(("status", "code"), [(401, "401.002.01"), (401, ""), (404, "404.001.03"), (401, "401.003.01")])
def test_however_daraja_says_that_the_token_is_dead_a_new_one_is_fetched_once(status, code, daraja, monkeypatch):

    check = daraja.check_token

    def strict(given):
        if len(daraja.tokens) < 2:
            raise Fault(status, code, "Invalid Access Token" if code else "<html>No</html>")
        return check(given)

    monkeypatch.setattr(daraja, "check_token", strict)

    assert push().checkout_request_id
    assert (len(daraja.pushes), len(daraja.tokens)) == (1, 2)


def test_what_daraja_repeats_of_our_secrets_is_not_kept(settings, monkeypatch):
    settings.MPESA_PASSKEY = "passkey-7c1"
    words = "Invalid Access Token - SECRETTOKENVALUE, not the-token-itself, passkey-7c1"
    body = f'{{"errorCode": "400.002.02", "errorMessage": "{words}"}}'.encode()
    listener, settings.MPESA_BASE_URL = raw_server(http("400 Bad Request", body))
    settings.MPESA_ENV, settings.MPESA_TIMEOUT_SECONDS = "simulator", 5
    monkeypatch.setattr(client, "access_token", lambda **options: "the-token-itself")

    with listener, pytest.raises(client.Refusal) as refusal:
        push()

    assert "Invalid Access Token" in refusal.value.message
    for secret in ("SECRETTOKENVALUE", "the-token-itself", "passkey-7c1"):
        assert secret not in str(refusal.value)


def test_a_drip_is_not_waited_for_for_ever(settings, monkeypatch):
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def drip():
        connection, _address = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
            while not ended.wait(0.1):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    threading.Thread(target=drip, daemon=True).start()
    settings.MPESA_ENV, settings.MPESA_BASE_URL = "simulator", f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings.MPESA_TIMEOUT_SECONDS = settings.MPESA_CONNECT_TIMEOUT_SECONDS = 1
    monkeypatch.setattr(client, "access_token", lambda **options: "token")

    with listener, pytest.raises(client.Unclear):
        push()
    ended.set()


@pytest.mark.parametrize("digits", sorted(digits for digits, person in PEOPLE.items() if person.push == "well"))
def test_a_query_tells_what_became_of_a_push(digits, daraja):
    pushed = push(digits)
    person = PEOPLE[digits]

    if person.query == "pending_4999":
        with pytest.raises(client.StillPending):
            client.query(checkout_request_id=pushed.checkout_request_id)
    elif person.query == "html":
        with pytest.raises(client.Unclear):
            client.query(checkout_request_id=pushed.checkout_request_id)
    else:
        outcome = client.query(checkout_request_id=pushed.checkout_request_id)
        assert (outcome.result_code, outcome.checkout_request_id) == (person.code, pushed.checkout_request_id)
        assert (outcome.amount, outcome.metadata) == (None, False)


def test_a_query_before_the_end_is_pending(daraja):
    daraja.delay = 60
    pushed = push()

    with pytest.raises(client.StillPending):
        client.query(checkout_request_id=pushed.checkout_request_id)


def test_a_query_of_nothing_is_a_refusal(daraja):
    with pytest.raises(client.Refusal):
        client.query(checkout_request_id="ws_CO_nobody")


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"amount": 0}, "Amount"),
        ({"amount": 250_001}, "Amount"),
        ({"amount": 1.5}, "Amount"),
        ({"phone_number": "254812345678"}, "PhoneNumber"),
        ({"phone_number": "0712345678"}, "PhoneNumber"),
        ({"callback_url": "http://127.0.0.1/mpesa"}, "CallBackURL"),
        ({"callback_url": "http://127.0.0.1/Safaricom"}, "CallBackURL"),
        ({"callback_url": "https://example.org/cb"}, "CallBackURL"),
        ({"callback_url": "nonsense"}, "CallBackURL"),
    ],
    ids=str,
)
def test_the_simulator_is_as_strict_as_daraja(facts, name, daraja):
    with pytest.raises(client.Refusal) as refusal:
        push(**facts)

    assert (refusal.value.code, refusal.value.message) == ("400.002.02", f"Bad Request - Invalid {name}")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/oauth/v1/generate", {}, 400),
        ("GET", "/oauth/v1/generate?grant_type=client_credentials", {}, 400),
        ("GET", "/oauth/v1/generate?grant_type=client_credentials", {"Authorization": "Basic eDp5"}, 400),
        ("POST", "/mpesa/stkpush/v1/processrequest", {}, 401),
        ("POST", "/mpesa/stkpush/v1/processrequest", {"Authorization": "Bearer x"}, 404),
        ("POST", "/mpesa/stkpushquery/v1/query", {"Authorization": "Bearer x"}, 404),
        ("GET", "/", {}, 404),
        ("POST", "/nothing", {}, 404),
    ],
)
def test_the_simulators_doors_are_shut(method, path, headers, status, daraja):
    answer = httpx.request(method, daraja.url + path, headers=headers, content=b"x", trust_env=False)

    assert answer.status_code == status
    assert answer.json()["errorCode"]


def test_a_second_push_to_a_busy_phone_is_refused(daraja):
    daraja.delay = 60
    push("98")

    with pytest.raises(client.Refusal) as refusal:
        push("98")

    assert refusal.value.code == client.BUSY_CODE


def test_the_simulator_listens_on_loopback_only():
    simulator = beside.make()
    try:
        assert simulator._server.server_address[0] == "127.0.0.1"
    finally:
        simulator._server.server_close()


def test_no_log_line_holds_a_secret_however_much_is_logged(daraja, settings, caplog):
    secrets = {"MPESA_CONSUMER_SECRET": "consumer-9f3", "MPESA_PASSKEY": "passkey-7c1"}
    for name, value in secrets.items():
        setattr(settings, name, value)
    daraja.secret, daraja.passkey = secrets.values()
    caplog.set_level("DEBUG")

    pushed = push(callback_url="http://127.0.0.1:9/api/payments/cb/callback-5d2?ref=1")
    client.query(checkout_request_id=pushed.checkout_request_id)
    daraja.invalidate_tokens()
    push("98")

    told = [*secrets.values(), "callback-5d2", *[token for token, _ends in daraja.tokens if token]]
    told.append(base64.b64encode(b"simulator:consumer-9f3").decode())
    assert "send_request_headers" in caplog.text
    assert not [text for text in told if text in caplog.text]
