"""Daraja does not answer: few threads wait for it, for a short time, and everything else goes on."""

import socket
import threading
import time
import uuid

import pytest
import redis
from django.core.cache import cache
from django.http import Http404
from django.utils import timezone

from config.contributions.schedule import JOBS
from config.errors import Invalid
from payments import tasks, transactions
from payments.models import CallbackRecord, Review, Status, Transaction
from payments.mpesa import callback_records, results, status_queries
from payments.mpesa import daraja as client
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once
from tests.payments.daraja import PHONE, callback, fresh, phone_of, say

pytestmark = pytest.mark.django_db
STKPUSH = "/api/mpesa/stkpush"


@pytest.fixture
def silent(settings):
    """A Daraja that accepts connections and never answers; gives the list of these connections."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    taken, some = [], threading.Condition()

    def accept():
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            with some:
                taken.append(connection)
                some.notify_all()

    threading.Thread(target=accept, daemon=True).start()
    settings.MPESA_ENV, settings.MPESA_BASE_URL = "simulator", f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings.MPESA_TIMEOUT_SECONDS = settings.MPESA_CONNECT_TIMEOUT_SECONDS = 1
    yield taken
    listener.close()
    for connection in taken:
        connection.close()


@pytest.fixture
def token(monkeypatch):
    """Give the portal an access token, so that it sends only pushes and queries."""
    monkeypatch.setattr(client, "access_token", lambda **options: "token")


def due(*rows):
    Transaction.objects.filter(pk__in=[row.pk for row in rows]).update(next_query_at=timezone.now())


def test_only_few_threads_are_with_daraja_at_once(payer, plan, settings, api_as, monkeypatch):
    monkeypatch.setattr(client, "PLACE_WAIT_SECONDS", 0.01)
    settings.MPESA_ENV = "simulator"
    body = {"phone_number": PHONE, "plan_id": str(plan.pk)}

    with client.place(), client.place():
        answer = api_as("client").post(STKPUSH, body)

    assert (answer.status_code, answer.json()["code"]) == (503, "mpesa_unavailable")
    assert int(answer["Retry-After"]) > 0
    assert not Transaction.objects.exists()


def test_places_are_given_back_whatever_happens(monkeypatch):
    monkeypatch.setattr(client, "PLACE_WAIT_SECONDS", 0.01)
    for _ in range(5):
        with pytest.raises(KeyError), client.place():
            raise KeyError

    with client.place(), client.place(), pytest.raises(client.NoPlace), client.place():
        pass


def test_after_a_time_out_the_next_is_refused_at_once(silent, token, payer, plan):
    first = transactions.start(user=payer, phone_number=PHONE, plan_id=plan.pk)

    with pytest.raises(transactions.PaymentPending) as same:
        transactions.start(user=payer, phone_number=PHONE, plan_id=plan.pk)
    with pytest.raises(transactions.PaymentsUnavailable):
        transactions.start(user=payer, phone_number=phone_of("98"), plan_id=plan.pk)

    assert same.value.transaction_id == first.pk
    assert Transaction.objects.get().status == Status.CREATED
    assert len(silent) == 1


def test_an_outage_ends_with_the_first_answer(daraja, payer, plan, monkeypatch):
    client.outage.began()
    with pytest.raises(transactions.PaymentsUnavailable):
        transactions.start(user=payer, phone_number=PHONE, plan_id=plan.pk)

    now = time.monotonic()
    monkeypatch.setattr(client.time, "monotonic", lambda: now + client.OUTAGE_SECONDS + 1)
    assert transactions.start(user=payer, phone_number=PHONE, plan_id=plan.pk).status == Status.SUBMITTED
    with client.outage.passed():
        pass


@pytest.fixture
def outage_is_over(monkeypatch):
    """An outage began, and its seconds have passed: the next call tries Daraja again."""
    client.outage.began()
    now = time.monotonic()
    monkeypatch.setattr(client.time, "monotonic", lambda: now + client.OUTAGE_SECONDS + 1)


def test_a_request_that_asks_nothing_leaves_it_to_the_next_to_find_out(daraja, outage_is_over, payer, plan, submitted):
    submitted()
    for facts in ({"phone_number": PHONE}, {"phone_number": phone_of("98"), "folder_id": uuid.uuid4()}):
        with pytest.raises((transactions.PaymentPending, Http404)):
            transactions.start(user=payer, plan_id=plan.pk, **facts)
    with pytest.raises(Invalid):
        transactions.start(user=payer, phone_number=phone_of("98"), plan_id=uuid.uuid4())
    assert not daraja.tokens

    row = transactions.start(user=payer, phone_number=phone_of("98"), plan_id=plan.pk)

    assert row.status == Status.SUBMITTED


def test_nor_does_a_payment_that_cannot_be_asked_after(daraja, outage_is_over, submitted):
    unknown, known = submitted(checkout_request_id=""), submitted()
    due(unknown)
    due(known)

    status_queries.ask_due()

    assert fresh(unknown).review_reason == Review.UNKNOWN_PUSH
    assert len(daraja.queries) == 1


def test_one_alone_finds_out(outage_is_over):
    with client.outage.passed():
        with pytest.raises(client.NoPlace), client.outage.passed():
            pass
        client.outage.began()
    with pytest.raises(client.NoPlace), client.outage.passed():
        pass


@REAL_TRANSACTIONS
def test_who_waits_for_a_token_does_not_fetch_it_after_the_other(silent):
    begun = threading.Barrier(5)

    def fetch(number):
        begun.wait()
        with pytest.raises(client.Refusal) as refusal:
            client.access_token()
        return refusal.value.code

    codes = at_once(5, fetch)

    assert set(codes) <= {"unreachable", "no_token"}
    assert len(silent) == 1


def test_a_token_that_came_late_leaves_no_push_cut_short(daraja, settings):
    settings.MPESA_TIMEOUT_SECONDS = 25
    client.access_token()

    with pytest.raises(client.Refusal) as refusal:
        client.push(
            phone_number=PHONE,
            amount=100,
            reference="A",
            description="A",
            callback_url="http://127.0.0.1:9/cb",
            until=time.monotonic() + 1,
        )

    assert refusal.value.is_passing

    assert not daraja.pushes


def test_a_run_of_questions_stops_at_the_first_silence(silent, token, submitted):
    rows = [submitted(), submitted(), submitted()]
    due(*rows)

    status_queries.ask_due()
    assert len(silent) == 1
    status_queries.ask_due()

    assert len(silent) == 1
    assert sum(fresh(row).queries for row in rows) == 1


def test_one_run_of_questions_at_a_time(daraja, submitted):
    row = submitted()
    due(row)
    cache.add("payments:asking", "another", 60)

    assert status_queries.ask_due() == 0
    assert cache.get("payments:asking") == "another"
    assert not daraja.queries

    cache.delete("payments:asking")
    status_queries.ask_due()
    assert len(daraja.queries) == 1
    assert cache.get("payments:asking") is None


def test_a_run_has_little_time(daraja, submitted, monkeypatch):
    rows = [submitted(), submitted(), submitted()]
    due(*rows)
    monkeypatch.setattr(status_queries, "ASKING_SECONDS", -1)

    status_queries.ask_due()

    assert len(daraja.queries) == 1


def test_callbacks_wait_for_no_question(silent, token, submitted, settings):
    asked, paid = submitted(), submitted()
    due(asked)
    say(callback(paid))

    tasks.process_waiting_callbacks()

    assert fresh(paid).status == Status.PAID
    assert not silent
    schedule = {entry["task"] for entry in JOBS.values()}
    assert {"payments.tasks.process_waiting_callbacks", "payments.tasks.settle_payments"} <= schedule


def test_a_cache_that_is_away_ends_the_payment_as_not_asked(daraja, payer, plan, monkeypatch):
    def away(*args, **options):
        raise redis.exceptions.ConnectionError

    monkeypatch.setattr(client.cache, "get", away)

    with pytest.raises(transactions.PaymentsUnavailable):
        transactions.start(user=payer, phone_number=PHONE, plan_id=plan.pk)

    row = Transaction.objects.get()
    assert (row.status, results.of_payment(row)) == (Status.FAILED, results.NOT_ASKED)
    assert not daraja.pushes


@pytest.mark.parametrize(("facts", "reason"), [({}, Review.NO_ANSWER), ({"checkout_request_id": ""},
                                               Review.UNKNOWN_PUSH)])  # fmt: skip
def test_switched_off_what_is_under_way_is_heard_of_or_looked_at(facts, reason, submitted, settings):
    settings.MPESA_ENV = "off"
    paid, quiet = submitted(), submitted(**facts)
    due(quiet)

    assert say(callback(paid)).status_code == 200
    callback_records.process_waiting()
    status_queries.ask_due()

    assert fresh(paid).status == Status.PAID
    assert (fresh(quiet).status, fresh(quiet).review_reason) == (Status.NEEDS_REVIEW, reason)


def test_without_a_secret_nobody_is_heard(submitted, settings):
    row = submitted()
    settings.MPESA_CALLBACK_SECRET = ""

    assert say(callback(row), secret="x").status_code == 400
    assert CallbackRecord.objects.get().verdict == "refused"
