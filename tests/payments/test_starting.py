"""Starting a payment, and its whole course over real HTTP against the simulator: at most one push and one credit."""

import json
import socket
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils import timezone

from audit.models import Event
from config.errors import Refused
from fileshare import folders
from fileshare.models import QuotaGrant
from payments import transactions
from payments.bookkeeping import reviews
from payments.models import CallbackRecord, Plan, Review, Status, Transaction, Verdict
from payments.mpesa import callback_records, results, status_queries
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once
from tests.payments.daraja import PHONE, callback, fresh, phone_of, say, settle
from tests.payments.test_settling import ACCEPTED, GARBAGE
from tests.plugin import ROOT
from tests.processes import environment_of

pytestmark = pytest.mark.django_db
STKPUSH = "/api/mpesa/stkpush"


@pytest.fixture
def portal(transactional_db, seeded, live_server, settings, daraja):
    """A portal that the simulator calls back."""
    settings.MPESA_CALLBACK_URL = live_server.url
    return live_server.url


def begin(user, plan, digits="99", **facts):
    return transactions.start(user=user, phone_number=phone_of(digits), plan_id=plan.pk, **facts)


def later(row, **delay):
    """Move the times of a payment back, as if `delay` had passed."""
    row = fresh(row)
    passed = timedelta(**delay)
    for name in ("created_at", "submitted_at", "next_query_at"):
        if getattr(row, name):
            Transaction.objects.filter(pk=row.pk).update(**{name: getattr(row, name) - passed})


def ask_until_settled(row):
    """Ask for the payment's status as often as the schedule does; returns the payment."""
    for _ in range(len(transactions.QUERY_SCHEDULE) + 2):
        later(row, hours=2)
        status_queries.ask_due()
        callback_records.process_waiting()
    return fresh(row)


def credited(folder):
    return sum(QuotaGrant.objects.filter(folder=folder).values_list("extra_bytes", flat=True))


def test_a_push_makes_a_pending_payment(daraja, payer, plan, api_as):
    answer = api_as("client").post(STKPUSH, {"phone_number": "0712 345 699", "plan_id": str(plan.pk)})

    assert answer.status_code == 202
    row = Transaction.objects.get()
    assert answer.json() == {
        "id": str(row.pk),
        "checkout_request_id": daraja.pushes[0].checkout_request_id,
        "status": "pending",
        "customer_message": "Success. Request accepted for processing",
    }
    assert (row.phone_number, row.amount, row.folder) == ("254712345699", 100, folders.personal_folder(payer))
    assert row.status == Status.SUBMITTED
    assert Event.objects.get(action="payment_started").target_id == str(row.pk)
    shown = api_as("client").get(f"/api/mpesa/transactions/{row.pk}").json()
    assert set(shown) == {
        "id",
        "plan",
        "amount",
        "phone_number",
        "status",
        "merchant_request_id",
        "checkout_request_id",
        "result_code",
        "result_desc",
        "receipt_number",
        "created_at",
        "updated_at",
    }
    assert (shown["status"], shown["plan"]["name"]) == ("pending", "Small")


@pytest.mark.parametrize(
    "typed",
    [
        "0712345678",
        "0110345678",
        "+254712345678",
        "254712345678",
        "0712 345-678",
        "(0712) 345 678",
        "712345678",
        "+ 254712345678",
        "+ 254 712 345 678",
    ],
)
def test_numbers_as_people_write_them(typed, daraja, plan, api_as):
    answer = api_as("client").post(STKPUSH, {"phone_number": typed, "plan_id": str(plan.pk)})

    assert answer.status_code == 202
    assert Transaction.objects.get().phone_number in ("254712345678", "254110345678")


@pytest.mark.parametrize(
    "typed",
    ["", " ", "0", "123", "0812345678", "0202345678", "07123456789", "071234567", "+255712345678", "+4479460000", "x",
     "0712 FLOWER", "٠٧١٢٣٤٥٦٧٨", "0712345678;ext=5", "0712345678 ext 5", "0712345678\n", "2547123456780", "9" * 400,
     "+", "tel:0712345678", "0712\u0000345678", "1e9", "-712345678", "२५४७१२३४५६७८"],
)  # fmt: skip
def test_what_is_no_kenyan_mobile_is_refused(typed, daraja, plan, api_as):
    answer = api_as("client").post(STKPUSH, {"phone_number": typed, "plan_id": str(plan.pk)})

    if typed == "0712345678\n":
        # The portal strips white space around a number.
        assert answer.status_code == 202
        return
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["phone_number"])
    assert not Transaction.objects.exists()
    assert not daraja.pushes


@pytest.mark.parametrize("plan_id", ["", "x", 1, None, [], {}, "0" * 32, "00000000-0000-4000-8000-000000000000", True])
def test_a_plan_that_is_none_is_refused(plan_id, daraja, api_as, plan):
    answer = api_as("client").post(STKPUSH, {"phone_number": PHONE, "plan_id": plan_id})

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["plan_id"])
    assert not Transaction.objects.exists()


def test_a_plan_taken_off_sale_is_refused_and_a_payment_keeps_its_terms(submitted, daraja, plan, api_as):
    row = submitted()
    Plan.objects.filter(pk=plan.pk).update(is_active=False, amount=1, extra_bytes=1, days=1)

    answer = api_as("client").post(STKPUSH, {"phone_number": phone_of("98"), "plan_id": str(plan.pk)})
    settle(callback(row))

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["plan_id"])
    assert (fresh(row).status, credited(row.folder)) == (Status.PAID, 5_000)


def test_no_folder_is_the_personal_one(daraja, plan, payer, api_as):
    body = {"phone_number": PHONE, "plan_id": str(plan.pk), "folder_id": None}

    assert api_as("client").post(STKPUSH, body).status_code == 202
    assert Transaction.objects.get().folder == folders.personal_folder(payer)


@pytest.mark.parametrize("folder_id", ["x", 1, [], "00000000-0000-4000-8000-000000000000", {}, True])
def test_a_folder_that_is_none_is_refused(folder_id, daraja, plan, api_as):
    body = {"phone_number": PHONE, "plan_id": str(plan.pk), "folder_id": folder_id}

    assert api_as("client").post(STKPUSH, body).status_code in (400, 404)
    assert not Transaction.objects.exists()


@pytest.mark.parametrize(
    ("who", "status"),
    [("client", 404), ("colleague", 202), ("stranger", 404), ("ops", 404), ("uploader", 403), ("super", 202)],
)
def test_a_companys_folder_is_raised_by_its_people_and_supers(who, status, daraja, plan, api_as, company_folder):
    body = {"phone_number": PHONE, "plan_id": str(plan.pk), "folder_id": str(company_folder.pk)}

    assert api_as(who).post(STKPUSH, body).status_code == status
    assert Transaction.objects.exists() is (status == 202)


def test_nobody_raises_somebody_elses_folder(daraja, plan, people, api_as):
    other = folders.personal_folder(people["stranger"])
    body = {"phone_number": PHONE, "plan_id": str(plan.pk), "folder_id": str(other.pk)}

    assert api_as("client").post(STKPUSH, body).status_code == 404
    assert api_as("super").post(STKPUSH, body).status_code == 202


@REAL_TRANSACTIONS
def test_a_double_click_pushes_once(daraja, payer, plan):
    daraja.delay = 60

    def click(number):
        try:
            return begin(payer, plan).pk
        except transactions.PaymentPending as refusal:
            return refusal.transaction_id

    assert len(set(at_once(6, click))) == 1
    assert len(daraja.pushes) == Transaction.objects.count() == 1


def test_a_pending_payment_is_named_to_its_payer_only(daraja, plan, api_as):
    body = {"phone_number": PHONE, "plan_id": str(plan.pk)}
    first = api_as("client").post(STKPUSH, body).json()["id"]

    own, other = api_as("client").post(STKPUSH, body), api_as("stranger").post(STKPUSH, body)

    assert (own.status_code, own.json()["code"]) == (409, "payment_pending")
    assert own.json()["errors"] == {"transaction_id": [first]}
    assert (other.status_code, other.json()["code"]) == (409, "payment_pending")
    assert "errors" not in other.json()
    assert own["Retry-After"] == other["Retry-After"] == "30"
    assert len(daraja.pushes) == 1


def test_one_push_per_phone_per_minute(daraja, payer, plan, api_as, settings):
    settings.RATELIMIT_ENABLE = True
    row = begin(payer, plan)
    settle(callback(row, code=1032))
    body = {"phone_number": phone_of("99"), "plan_id": str(plan.pk)}

    soon = api_as("client").post(STKPUSH, body)
    assert (soon.status_code, soon.json()["code"]) == (429, "push_too_soon")
    assert 1 <= int(soon["Retry-After"]) <= 60
    assert len(daraja.pushes) == 1

    later(row, seconds=61)
    assert api_as("client").post(STKPUSH, body).status_code == 202


def test_the_portals_own_limit_holds(daraja, plan, api_as, limits_on):
    answers = [
        api_as("client").post(STKPUSH, {"phone_number": f"07123450{number}0", "plan_id": str(plan.pk)}).status_code
        for number in range(7)
    ]

    assert sorted(answers) == [202] * 5 + [429] * 2


def test_payments_can_be_off(plan, api_as, settings, daraja):
    settings.MPESA_ENV = "off"

    answer = api_as("client").post(STKPUSH, {"phone_number": PHONE, "plan_id": str(plan.pk)})

    assert (answer.status_code, answer.json()["code"]) == (409, "payments_off")
    assert not Transaction.objects.exists()


@pytest.mark.parametrize(("digits", "status", "code"), [("32", 409, "phone_busy"), ("33", 503, "mpesa_unavailable"),
                                                        ("35", 400, "invalid")])  # fmt: skip
def test_a_push_daraja_refuses_is_told_and_may_be_tried_again_at_once(digits, status, code, daraja, plan, api_as):
    body = {"phone_number": phone_of(digits), "plan_id": str(plan.pk)}

    for _ in range(2):
        answer = api_as("client").post(STKPUSH, body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("Retry-After" in answer) == (status != 400)
    assert set(Transaction.objects.values_list("status", flat=True)) == {Status.FAILED}
    assert not daraja.pushes


@pytest.mark.parametrize("answer", [{}, {"MerchantRequestID": "1-2-3", "CheckoutRequestID": "ws_CO_1"}], ids=str)
def test_an_answer_that_is_neither_yes_nor_no_is_never_pushed_again(answer, payer, plan, daraja, monkeypatch):
    monkeypatch.setattr(daraja, "push", lambda body: answer)

    row = begin(payer, plan)

    assert fresh(row).is_pending
    assert fresh(row).checkout_request_id == answer.get("CheckoutRequestID", "")
    with pytest.raises(transactions.PaymentPending):
        begin(payer, plan)
    if answer:
        settle(callback(fresh(row)))
        assert credited(row.folder) == 5_000


def test_daraja_down_is_told_and_nothing_is_stuck(payer, plan, api_as, settings):
    settings.MPESA_ENV, settings.MPESA_BASE_URL = "simulator", "http://127.0.0.1:9"

    answer = api_as("client").post(STKPUSH, {"phone_number": PHONE, "plan_id": str(plan.pk)})

    assert (answer.status_code, answer.json()["code"]) == (503, "mpesa_unavailable")
    assert Transaction.objects.get().status == Status.FAILED
    assert results.of_payment(Transaction.objects.get()) == results.NOT_ASKED


@pytest.mark.parametrize("digits", ["30", "31", "34", "39"])
def test_of_a_lost_answer_nothing_is_lost_and_nothing_is_pushed_again(digits, portal, daraja, payer, plan, settings):
    settings.MPESA_TIMEOUT_SECONDS = 1
    daraja.slow = 20

    row = begin(payer, plan, digits)

    assert (row.status, row.checkout_request_id) == (Status.CREATED, "") or fresh(row).status == Status.PAID
    with pytest.raises(transactions.PaymentPending):
        begin(payer, plan, digits)
    daraja.wait_for_calls()
    callback_records.process_waiting()
    if digits == "30":
        # The push never reached the phone: after an hour a super reviews the payment.
        assert fresh(row).status == Status.CREATED
        assert ask_until_settled(row).review_reason == Review.UNKNOWN_PUSH
        assert credited(row.folder) == 0
    else:
        assert len(daraja.pushes) == 1
        assert (fresh(row).status, fresh(row).receipt_number) == (Status.PAID, daraja.pushes[0].receipt)
        assert credited(row.folder) == 5_000


CREDITED = ["20", "21", "22", "23", "24", "26", "29", "37", "40", "41", "42", "43", "99"]
NOT_PAID = ["01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "28"]


@pytest.mark.parametrize("digits", CREDITED)
def test_each_disorder_credits_once(digits, portal, daraja, payer, plan):
    row = begin(payer, plan, digits)
    daraja.wait_for_calls()
    callback_records.process_waiting()

    row = ask_until_settled(row)

    assert row.status == Status.PAID
    assert row.receipt_number == ("" if digits == "22" else daraja.pushes[0].receipt)
    assert credited(row.folder) == 5_000
    assert len(daraja.pushes) == 1
    assert set(daraja.pushes[0].callbacks) <= {200}


@pytest.mark.parametrize("digits", NOT_PAID)
def test_each_refusal_of_the_payer_credits_nothing(digits, portal, daraja, payer, plan):
    row = begin(payer, plan, digits)
    daraja.wait_for_calls()
    callback_records.process_waiting()

    row = ask_until_settled(row)

    code = daraja.pushes[0].person.code
    assert (row.status, row.result_code) == (results.result_of(code).status, code)
    assert credited(row.folder) == 0


@pytest.mark.parametrize("digits", ["25", "27"])
def test_each_mismatch_waits_for_a_person(digits, portal, daraja, payer, plan, people):
    row = begin(payer, plan, digits)
    daraja.wait_for_calls()
    callback_records.process_waiting()

    row = ask_until_settled(row)

    assert (row.status, row.review_reason) == (Status.NEEDS_REVIEW, Review.MISMATCH)
    assert credited(row.folder) == 0
    reviews.decide(user=people["super"], transaction_id=row.pk, approve=True, receipt_number="RLA0R69NXM")
    assert (fresh(row).status, credited(row.folder)) == (Status.PAID, 5_000)


@pytest.mark.parametrize("digits", ["36", "38"])
def test_who_never_answers_is_asked_six_times_and_then_looked_at(digits, portal, daraja, payer, plan):
    row = begin(payer, plan, digits)
    asked = []
    for _ in range(9):
        asked.append(round((fresh(row).next_query_at - fresh(row).submitted_at).total_seconds()))
        Transaction.objects.filter(pk=row.pk).update(next_query_at=timezone.now())
        status_queries.ask_due()
        if not fresh(row).is_pending:
            break

    assert asked == [30, 60, 120, 300, 900, 3600]
    assert len(daraja.queries) == 6
    assert (fresh(row).status, fresh(row).review_reason) == (Status.NEEDS_REVIEW, Review.NO_ANSWER)
    assert fresh(row).next_query_at is None

    settle(callback(fresh(row)))
    assert (fresh(row).status, credited(row.folder)) == (Status.PAID, 5_000)


def test_a_receipt_that_comes_after_the_query_is_kept(portal, daraja, payer, plan):
    row = begin(payer, plan, "22")
    ask_until_settled(row)
    assert (fresh(row).status, fresh(row).receipt_number) == (Status.PAID, "")

    settle(daraja.callback_of(daraja.pushes[0]))

    assert fresh(row).receipt_number == daraja.pushes[0].receipt
    assert credited(row.folder) == 5_000
    settle(daraja.callback_of(daraja.pushes[0], receipt="ANOTHER123"))
    assert fresh(row).receipt_number == daraja.pushes[0].receipt


@REAL_TRANSACTIONS
def test_a_query_and_callbacks_that_race_credit_once(portal, daraja, payer, plan):
    row = begin(payer, plan, "22")
    later(row, minutes=10)
    body = daraja.callback_of(daraja.pushes[0])

    at_once(8, lambda number: status_queries.ask_due() if number % 2 else settle(body))

    assert (fresh(row).status, fresh(row).receipt_number) == (Status.PAID, daraja.pushes[0].receipt)
    assert credited(row.folder) == 5_000
    assert QuotaGrant.objects.count() == 1


def cut_off(address, content):
    """The status of a POST whose body is shorter than its Content-Length."""
    place = urlsplit(address)
    head = [
        f"POST {place.path}?{place.query} HTTP/1.1",
        f"Host: {place.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(content) + 100}",
        "Connection: close",
    ]
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + content)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            return int(answer.readline().split()[1])


@REAL_TRANSACTIONS
def test_forgeries_garbage_and_ten_repeats_at_once_over_http_credit_once(portal, daraja, payer, plan, settings):
    row = begin(payer, plan, "36")
    daraja.wait_for_calls()
    before = Transaction.objects.values().get(pk=row.pk)
    address = daraja.pushes[0].body["CallBackURL"]
    forged = address.replace(settings.MPESA_CALLBACK_SECRET, "0" * len(settings.MPESA_CALLBACK_SECRET))
    paid = json.dumps(callback(fresh(row))).encode()
    assert address.startswith(portal)
    assert forged != address

    with httpx.Client(timeout=60) as stranger:
        refused = [stranger.post(forged, content=body) for body in (paid, *GARBAGE.values())]
        nonsense = [stranger.post(address, content=body) for body in GARBAGE.values()]
    halves = [cut_off(address, paid[: len(paid) // 2]), cut_off(forged, paid[: len(paid) // 2])]
    callback_records.process_waiting()

    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(400, "callback_refused")}
    assert [answer.json() for answer in nonsense] == [ACCEPTED] * len(GARBAGE)
    assert {answer.status_code for answer in nonsense} == {200}
    assert halves == [200, 400]
    assert Transaction.objects.values().get(pk=row.pk) == before
    assert credited(row.folder) == 0
    counts = Counter(CallbackRecord.objects.values_list("verdict", flat=True))
    assert counts == {Verdict.REFUSED: len(GARBAGE) + 2, Verdict.GARBAGE: len(GARBAGE) + 1}

    def deliver(number):
        answer = httpx.post(address, content=paid, timeout=60)
        callback_records.process_waiting()
        return answer.status_code, answer.json()

    answers = at_once(10, deliver)
    callback_records.process_waiting()

    assert answers == [(200, ACCEPTED)] * 10
    assert (fresh(row).status, fresh(row).receipt_number) == (Status.PAID, "RLA0R69NXM")
    assert credited(row.folder) == 5_000
    assert Event.objects.filter(action="space_granted").count() == QuotaGrant.objects.count() == 1
    told = Counter(CallbackRecord.objects.values_list("verdict", flat=True)) - counts
    assert told == {Verdict.APPLIED: 1, Verdict.REPEATED: 9}


@REAL_TRANSACTIONS
def test_two_workers_do_not_ask_twice(portal, daraja, payer, plan):
    row = begin(payer, plan, "36")
    Transaction.objects.filter(pk=row.pk).update(next_query_at=timezone.now())

    at_once(6, lambda number: status_queries.ask_due())

    assert len(daraja.queries) == 1
    assert fresh(row).queries == 1


def test_a_query_never_lowers_a_paid_payment(portal, daraja, payer, plan, monkeypatch):
    row = begin(payer, plan, "28")
    paid = callback(fresh(row))
    ask = status_queries.daraja.query

    def meanwhile(**facts):
        settle(paid)
        return ask(**facts)

    monkeypatch.setattr(status_queries.daraja, "query", meanwhile)
    Transaction.objects.filter(pk=row.pk).update(next_query_at=timezone.now())
    status_queries.ask_due()

    assert (fresh(row).status, fresh(row).result_code) == (Status.PAID, "0")
    assert credited(row.folder) == 5_000


def test_a_dead_token_costs_a_payer_nothing(portal, daraja, payer, plan):
    begin(payer, plan, "98")
    daraja.invalidate_tokens()

    assert begin(payer, plan, "97").status == Status.SUBMITTED


# --- Killed ---------------------------------------------------------------------------------------


def killed_in(act, row, *, settings, **environment):
    """How often a process that did `act` was killed, once at each of its steps."""
    command = [sys.executable, "-m", "tests.payments.crash", act, str(row.pk)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment_of(settings, **environment), timeout=300, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.strip())


@REAL_TRANSACTIONS
def test_a_worker_killed_between_store_and_credit_credits_once_in_the_end(submitted, settings):
    row = submitted()
    say(callback(row))

    assert killed_in("process", row, settings=settings) >= 5

    assert (fresh(row).status, credited(row.folder)) == (Status.PAID, 5_000)
    assert QuotaGrant.objects.count() == 1
    assert CallbackRecord.objects.get().verdict == Verdict.APPLIED
    assert Event.objects.filter(action="space_granted").count() == 1


@REAL_TRANSACTIONS
def test_a_portal_killed_while_it_begins_a_payment_never_pushes_twice(portal, daraja, submitted, settings):
    daraja.delay = 60
    row = submitted(phone_number="254110999999")
    settle(callback(row, code=1032))

    killed = killed_in("start", row, settings=settings, SIMULATOR=daraja.url)

    assert killed >= 3
    assert len(daraja.pushes) <= 1
    assert Transaction.objects.pending().filter(phone_number=PHONE).count() <= 1


def test_supers_decide_and_nobody_else(submitted, people):
    row = submitted(status=Status.NEEDS_REVIEW, review_reason=Review.NO_ANSWER, next_query_at=None)
    for who in ("client", "stranger", "ops", "off"):
        with pytest.raises((Http404, PermissionDenied)):
            reviews.decide(user=people[who], transaction_id=row.pk, approve=True)
        assert fresh(row).status == Status.NEEDS_REVIEW

    reviews.decide(user=people["super"], transaction_id=row.pk, approve=False)

    assert (fresh(row).status, credited(row.folder)) == (Status.FAILED, 0)
    assert Event.objects.get(action="payment_reviewed").detail["decision"] == "rejected"
    with pytest.raises(Refused) as refusal:
        reviews.decide(user=people["super"], transaction_id=row.pk, approve=True)
    assert refusal.value.code == "not_in_review"

    settle(callback(row))
    assert (fresh(row).status, fresh(row).review_reason) == (Status.NEEDS_REVIEW, Review.AFTER_REJECTION)
    assert credited(row.folder) == 0


@REAL_TRANSACTIONS
def test_two_supers_who_approve_at_once_credit_once(submitted, people):
    row = submitted(status=Status.NEEDS_REVIEW, review_reason=Review.MISMATCH, next_query_at=None)

    def approve(number):
        try:
            return reviews.decide(user=people["super"], transaction_id=row.pk, approve=True).status
        except Refused as refusal:
            return refusal.code

    assert sorted(at_once(4, approve)) == ["not_in_review"] * 3 + ["paid"]
    assert credited(row.folder) == 5_000


def test_an_approval_takes_no_other_payments_receipt(submitted, people):
    paid = submitted()
    settle(callback(paid))
    row = submitted(status=Status.NEEDS_REVIEW, review_reason=Review.MISMATCH, next_query_at=None)

    with pytest.raises(Refused) as refusal:
        reviews.decide(user=people["super"], transaction_id=row.pk, approve=True, receipt_number="RLA0R69NXM")

    assert (refusal.value.status, list(refusal.value.errors)) == (400, ["receipt_number"])
    assert fresh(row).status == Status.NEEDS_REVIEW
    assert credited(row.folder) == 5_000
