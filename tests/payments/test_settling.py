"""What M-Pesa says, and what it does to a payment: one credit, however often and in whatever order M-Pesa says it."""

import json
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from accounts.models import Notification, OutgoingMail
from accounts.notices import preferences
from audit.models import Event
from config.errors import Conflict
from fileshare import folders
from fileshare.models import Folder, QuotaGrant
from fileshare.space import quotas
from payments import transactions
from payments.bookkeeping import reviews
from payments.models import CallbackRecord, Review, Status, Transaction, Verdict
from payments.mpesa import callback_records, results
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once
from tests.payments.daraja import callback, fresh, say, settle

pytestmark = pytest.mark.django_db
ACCEPTED = {"ResultCode": 0, "ResultDesc": "Accepted"}


def granted(folder):
    return Folder.objects.with_quota().get(pk=folder.pk).granted_bytes


def assert_credited_once(row, receipt="RLA0R69NXM"):
    row = fresh(row)
    assert (row.status, row.receipt_number) == (Status.PAID, receipt)
    grant = QuotaGrant.objects.get()
    assert (row.grant, grant.extra_bytes, grant.folder) == (grant, 5_000, row.folder)
    assert grant.ends_at - grant.starts_at == timedelta(days=30)
    assert grant.starts_at == row.paid_at
    assert granted(row.folder) == 5_000
    assert Event.objects.filter(action="space_granted").count() == 1
    assert Notification.objects.filter(user=row.user, type="payment_settled", payload__status="paid").count() == 1
    assert OutgoingMail.objects.filter(letter="payment_receipt").count() == 1


def assert_not_credited(row, status):
    assert fresh(row).status == status
    assert not QuotaGrant.objects.exists()
    assert granted(row.folder) == 0


def test_a_paid_payment_raises_the_quota_at_once(submitted):
    row = submitted()
    room = row.folder.quota_bytes
    with pytest.raises(quotas.QuotaExceeded):
        quotas.reserve(folder_id=row.folder_id, size_bytes=room + 1)

    assert settle(callback(row)).json() == ACCEPTED

    assert_credited_once(row)
    quotas.reserve(folder_id=row.folder_id, size_bytes=room + 5_000)
    with pytest.raises(quotas.QuotaExceeded):
        quotas.reserve(folder_id=row.folder_id, size_bytes=1)


def test_when_the_days_are_over_nothing_goes_but_nothing_more_comes(submitted):
    row = submitted()
    settle(callback(row))
    quotas.reserve(folder_id=row.folder_id, size_bytes=row.folder.quota_bytes + 10)

    QuotaGrant.objects.update(starts_at=timezone.now() - timedelta(days=31), ends_at=timezone.now())

    folder = Folder.objects.with_quota().get(pk=row.folder_id)
    assert (folder.granted_bytes, folder.room_bytes, folder.used_percent) == (0, folder.quota_bytes, 100)
    assert folder.reserved_bytes == folder.quota_bytes + 10
    with pytest.raises(quotas.QuotaExceeded):
        quotas.reserve(folder_id=row.folder_id, size_bytes=1)


def test_a_plan_bought_twice_counts_twice(submitted):
    first, second = submitted(), submitted(phone_number="254110000000")

    settle(callback(first))
    settle(callback(second, receipt="RLA0R69NXN"))

    assert granted(first.folder) == 10_000


@pytest.mark.parametrize("code", sorted(set(results.RESULTS) - {"0"}) + ["SFC_IC0003", "777"])
def test_each_result_code_ends_a_payment_as_it_means(code, submitted):
    row = submitted()

    assert settle(callback(row, code=int(code) if code.isdigit() else code)).json() == ACCEPTED

    assert_not_credited(row, results.result_of(code).status)
    row = fresh(row)
    assert (row.result_code, row.result_desc) == (code, "Said so.")
    assert results.of_payment(row) == results.result_of(code)
    assert row.next_query_at is None


@pytest.mark.both
@pytest.mark.parametrize("times", [2, 5])
def test_a_repeated_callback_changes_nothing(times, submitted):
    row = submitted()

    for _ in range(times):
        assert settle(callback(row)).json() == ACCEPTED

    assert_credited_once(row)
    assert sorted(CallbackRecord.objects.values_list("verdict", flat=True)) == ["applied", *["repeated"] * (times - 1)]


@pytest.mark.both
@REAL_TRANSACTIONS
def test_ten_callbacks_at_once_credit_once(submitted):
    row = submitted()
    body = callback(row)

    answers = at_once(10, lambda number: settle(body).status_code)

    assert answers == [200] * 10
    callback_records.process_waiting()
    assert_credited_once(row)
    assert CallbackRecord.objects.filter(verdict=Verdict.APPLIED).count() == 1
    assert CallbackRecord.objects.filter(verdict=Verdict.REPEATED).count() == 9


@pytest.mark.both
@REAL_TRANSACTIONS
def test_one_callback_processed_by_ten_workers_credits_once(submitted):
    row = submitted()
    say(callback(row))
    record = CallbackRecord.objects.get()

    verdicts = at_once(10, lambda number: callback_records.process_callback(record.pk))

    assert sorted(map(str, verdicts)) == ["None"] * 9 + ["applied"]
    assert_credited_once(row)


@pytest.mark.parametrize("before", [1032, 1037, 1019, 2001, 1])
def test_a_paid_callback_after_another_end_still_credits(before, submitted):
    row = submitted()
    settle(callback(row, code=before))
    assert_not_credited(row, results.result_of(str(before)).status)

    settle(callback(row))

    assert_credited_once(row)


@pytest.mark.parametrize("after", [1032, 1037, 2001, 777])
def test_paid_is_final(after, submitted):
    row = submitted()
    settle(callback(row))

    assert settle(callback(row, code=after)).json() == ACCEPTED

    assert_credited_once(row)
    assert fresh(row).result_code == "0"


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 99},
        {"amount": 101},
        {"amount": 100.5},
        {"amount": 0},
        {"amount": -100},
        {"amount": None},
        {"amount": "1e2e"},
        {"amount": True},
        {"merchant": "1-2-3"},
        {"receipt": None},
        {"receipt": ""},
    ],
    ids=str,
)
def test_what_does_not_agree_is_kept_flagged_and_never_credited(wrong, submitted):
    row = submitted()

    assert settle(callback(row, **wrong)).json() == ACCEPTED

    assert_not_credited(row, Status.NEEDS_REVIEW)
    assert fresh(row).review_reason == Review.MISMATCH
    record = CallbackRecord.objects.get()
    assert (record.verdict, record.transaction_id) == (Verdict.MISMATCH, row.pk)
    assert Event.objects.filter(action="payment_callback_refused", target_id=str(row.pk)).exists()

    settle(callback(row))
    assert_not_credited(row, Status.NEEDS_REVIEW)


@pytest.mark.parametrize(
    "phone",
    [
        "2547*****678",
        "254712XXX678",
        "0712 *** 678",
        "2547•••••678",
        "0712345678",
        "6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090" * 2,
        254700000001,
        254712345678.0,
        None,
        "",
        [],
        {"masked": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("named", [False, True], ids=["by its ids", "by its address"])
def test_a_number_in_any_form_stops_no_payment(named, phone, submitted):
    facts = {"status": Status.CREATED, "checkout_request_id": "", "merchant_request_id": "", "submitted_at": None}
    row = submitted(**(facts if named else {}))
    ids = {"checkout": "ws_CO_lost", "merchant": "1-1-1"} if named else {}

    settle(callback(row, phone=phone, **ids), ref=row.pk.hex if named else "")

    assert_credited_once(row)
    assert fresh(row).phone_number == row.phone_number


def test_a_failure_of_another_request_leaves_the_payment_pending(submitted):
    row = submitted()

    settle(callback(row, code=1032, merchant="9-9-9"))

    assert_not_credited(row, Status.SUBMITTED)
    assert CallbackRecord.objects.get().verdict == Verdict.MISMATCH


@pytest.mark.both
def test_a_receipt_pays_for_one_payment(submitted):
    first, second = submitted(), submitted(phone_number="254110000000")
    settle(callback(first))

    settle(callback(second))

    assert fresh(second).status == Status.NEEDS_REVIEW
    assert fresh(second).review_reason == Review.RECEIPT_USED
    assert granted(first.folder) == 5_000
    assert_credited_once(first)


@pytest.mark.both
def test_space_that_cannot_be_given_is_no_question_of_the_receipt(submitted, people, monkeypatch):
    paid = submitted()
    waiting = submitted(status=Status.NEEDS_REVIEW, review_reason=Review.MISMATCH, next_query_at=None)

    def fails(**facts):
        raise IntegrityError("fileshare_quotagrant")

    monkeypatch.setattr("fileshare.space.grants.give", fails)
    say(callback(paid))
    assert callback_records.process_waiting() == 0
    with pytest.raises(IntegrityError):
        reviews.decide(user=people["super"], transaction_id=waiting.pk, approve=True, receipt_number="RLA0R69NXN")

    assert (fresh(paid).status, fresh(paid).review_reason) == (Status.SUBMITTED, "")
    assert CallbackRecord.objects.get().verdict == Verdict.RECEIVED
    monkeypatch.undo()
    assert callback_records.process_waiting() == 1
    assert_credited_once(paid)


@pytest.mark.parametrize("way", ["reversed", "texts", "floats", "more", "one", "no_balance"])
def test_metadata_may_come_in_any_form(way, submitted):
    row = submitted()
    body = callback(row)
    items = body["Body"]["stkCallback"]["CallbackMetadata"]["Item"]
    if way == "reversed":
        items.reverse()
    elif way == "texts":
        items[0]["Value"], items[4]["Value"] = "100.00", row.phone_number
        body["Body"]["stkCallback"]["ResultCode"] = "0"
    elif way == "floats":
        items[0]["Value"], items[4]["Value"] = 100.0, float(row.phone_number)
    elif way == "more":
        items.append({"Name": "FirstName", "Value": "Wanjiru"})
    elif way == "no_balance":
        del items[2]

    settle(body)

    assert_credited_once(row)


def test_a_repeated_fact_is_no_fact(submitted):
    row = submitted()
    body = callback(row)
    body["Body"]["stkCallback"]["CallbackMetadata"]["Item"].append({"Name": "Amount", "Value": 100})

    settle(body)

    assert_not_credited(row, Status.SUBMITTED)
    assert CallbackRecord.objects.get().verdict == Verdict.GARBAGE


DEEP = "[" * 30_000
GARBAGE = {
    "empty": "",
    "cut": '{"Body": {"stkCallback": {"MerchantRequestID": "1',
    "deep": DEEP,
    "deep and closed": DEEP + "]" * 30_000,
    "deep inside": '{"Body": {"stkCallback": ' + DEEP + "}}",
    "not UTF-8": b"\xff\xfe\x00\x01",
    "NUL": '{"Body": "\\u0000"}',
    "raw NUL": b"\x00\x00",
    "list": "[]",
    "number": "1",
    "null": "null",
    "NaN": '{"Body": NaN}',
    "infinite": '{"Body": {"stkCallback": {"MerchantRequestID": 1e999, "CheckoutRequestID": "x", "ResultCode": 0}}}',
    "huge number": '{"Body": ' + "9" * 10_000 + "}",
    "no code": '{"Body": {"stkCallback": {"MerchantRequestID": "1", "CheckoutRequestID": "2"}}}',
    "odd code": '{"Body": {"stkCallback": {"MerchantRequestID": "1", "CheckoutRequestID": "2", "ResultCode": {}}}}',
    "half": '{"Body": {"stkCallback": {"MerchantRequestID": "\\ud800", "CheckoutRequestID": "2", "ResultCode": 0}}}',
    "huge": b"x" * 3_000_000,
    "huge and good at first": '{"Body": {"stkCallback": {}}}' + " " * 100_000,
    "form": "a=b&c=d",
}


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.parametrize("secret", [None, "nonsense"])
def test_garbage_is_answered_fast_and_changes_nothing(name, secret, submitted):
    row = submitted()

    answer = settle(GARBAGE[name], secret=secret)

    if secret is None:
        assert (answer.status_code, answer.json()) == (200, ACCEPTED)
    else:
        assert (answer.status_code, answer.json()["code"]) == (400, "callback_refused")
    assert_not_credited(row, Status.SUBMITTED)
    record = CallbackRecord.objects.get()
    assert record.verdict == (Verdict.GARBAGE if secret is None else Verdict.REFUSED)
    assert len(record.raw) <= 64 * 1024
    assert record.processed_at is not None


@pytest.mark.parametrize("secret", ["", "x", "0" * 64, "é", "%00", "a/b"])
def test_a_forged_secret_credits_nothing_and_tells_nothing(secret, submitted, settings):
    row = submitted()
    known = say(callback(row), secret=secret or "none")
    unknown = say(callback(row, checkout="ws_CO_nobody"), secret=secret or "none")

    callback_records.process_waiting()

    assert known.status_code == unknown.status_code
    assert known.status_code in (400, 404)
    assert known.content == unknown.content
    assert_not_credited(row, Status.SUBMITTED)


def test_the_address_of_the_contract_takes_the_secret_as_a_header(submitted, client, settings):
    row = submitted()
    body = json.dumps(callback(row))

    refused = client.post("/api/mpesa/callback", body, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (400, "callback_refused")
    assert_not_credited(row, Status.SUBMITTED)

    headers = {"X-Callback-Secret": settings.MPESA_CALLBACK_SECRET}
    assert client.post("/api/mpesa/callback", body, content_type="application/json", headers=headers).json() == ACCEPTED
    callback_records.process_waiting()
    assert_credited_once(row)


@pytest.mark.parametrize(
    ("address", "forwarded", "proxies", "status"),
    [
        ("196.201.214.200", "", 0, 200),
        ("10.0.0.1", "", 0, 400),
        ("10.0.0.1", "196.201.214.200", 0, 400),
        ("10.0.0.1", "196.201.214.200", 1, 200),
        ("10.0.0.1", "196.201.214.200, 10.9.9.9", 1, 400),
        ("::ffff:196.201.214.200", "", 0, 200),
        ("nonsense", "", 0, 400),
    ],
)
def test_callbacks_come_from_listed_addresses_only(address, forwarded, proxies, status, submitted, settings):
    settings.MPESA_CALLBACK_ADDRESSES = ["196.201.214.0/24", "2001:db8::/32"]
    settings.TRUSTED_PROXY_COUNT = proxies
    row = submitted()

    answer = settle(callback(row), REMOTE_ADDR=address, HTTP_X_FORWARDED_FOR=forwarded)

    assert answer.status_code == status
    assert fresh(row).status == (Status.PAID if status == 200 else Status.SUBMITTED)


def test_a_flood_of_forgeries_fills_no_table(settings, monkeypatch):
    settings.RATELIMIT_ENABLE = True
    monkeypatch.setattr("payments.api.REFUSALS_KEPT", "20/d")
    for _ in range(50):
        assert say("{}", secret="nonsense").status_code == 400

    assert CallbackRecord.objects.count() == 20


def test_a_callback_before_the_push_was_answered_waits_for_it(submitted):
    row = submitted(status=Status.CREATED, checkout_request_id="", merchant_request_id="", submitted_at=None)
    early = callback(row, checkout="ws_CO_early", merchant="1-1-1")

    settle(early)
    assert_not_credited(row, Status.CREATED)
    assert CallbackRecord.objects.get().verdict == Verdict.UNMATCHED

    transactions._accepted(
        row.pk,
        transactions.daraja.Pushed(
            merchant_request_id="1-1-1", checkout_request_id="ws_CO_early", customer_message="Fine"
        ),
    )
    callback_records.process_waiting()
    assert_credited_once(row)


def test_a_callback_that_came_too_early_by_hours_is_left_to_a_person(submitted):
    row = submitted(status=Status.CREATED, checkout_request_id="", merchant_request_id="", submitted_at=None)
    settle(callback(row, checkout="ws_CO_early", merchant="1-1-1"))
    CallbackRecord.objects.update(received_at=timezone.now() - callback_records.EARLY)
    Transaction.objects.filter(pk=row.pk).update(checkout_request_id="ws_CO_early", status=Status.SUBMITTED)

    assert callback_records.process_waiting() == 0
    assert_not_credited(row, Status.SUBMITTED)


def test_a_callback_that_names_the_payment_needs_no_answer_of_the_push(submitted):
    row = submitted(status=Status.CREATED, checkout_request_id="", merchant_request_id="", submitted_at=None)

    settle(callback(row, checkout="ws_CO_lost", merchant="1-1-1"), ref=row.pk.hex)

    assert_credited_once(row)
    assert (fresh(row).checkout_request_id, fresh(row).merchant_request_id) == ("ws_CO_lost", "1-1-1")

    late = transactions.daraja.Pushed(
        merchant_request_id="1-1-1", checkout_request_id="ws_CO_lost", customer_message="Fine"
    )
    transactions._accepted(row.pk, late)
    assert_credited_once(row)


def test_to_name_a_payment_is_not_to_pay_it(submitted):
    row = submitted(status=Status.CREATED, checkout_request_id="", merchant_request_id="", submitted_at=None)

    settle(callback(row, checkout="ws_CO_lost", merchant="1-1-1", amount=1), ref=row.pk.hex)

    assert_not_credited(row, Status.NEEDS_REVIEW)


def test_money_for_a_named_payment_under_another_id_waits_for_a_person(submitted):
    row = submitted()

    settle(callback(row, checkout="ws_CO_another", code=1032), ref=row.pk.hex)
    assert_not_credited(row, Status.SUBMITTED)
    settle(callback(row, checkout="ws_CO_another"), ref=row.pk.hex)

    assert_not_credited(row, Status.NEEDS_REVIEW)
    assert fresh(row).review_reason == Review.MISMATCH
    assert set(CallbackRecord.objects.values_list("verdict", "transaction")) == {(Verdict.MISMATCH, row.pk)}


def test_another_id_for_a_paid_payment_changes_nothing(submitted):
    row = submitted()
    settle(callback(row))

    settle(callback(row, checkout="ws_CO_another", receipt="ANOTHER123"), ref=row.pk.hex)

    assert_credited_once(row)
    assert CallbackRecord.objects.filter(verdict=Verdict.MISMATCH).count() == 1


def test_money_of_no_payment_is_told_once(submitted, caplog, client, people):
    row = submitted()
    settle(callback(row, checkout="ws_CO_nobody"))
    settle(callback(row, checkout="ws_CO_nobody_either", code=1032))
    assert callback_records.report_strays() == 0

    CallbackRecord.objects.update(received_at=timezone.now() - timedelta(minutes=11))
    assert [callback_records.report_strays(), callback_records.report_strays()] == [1, 0]

    stray = CallbackRecord.objects.get(verdict=Verdict.STRAY)
    assert [line.levelname for line in caplog.records if str(stray.pk) in line.getMessage()] == ["ERROR"]
    client.force_login(people["super"])
    assert "ws_CO_nobody&quot;" in client.get("/payments/review/").content.decode()
    CallbackRecord.objects.update(received_at=timezone.now() - timedelta(days=31))
    assert "ws_CO_nobody&quot;" not in client.get("/payments/review/").content.decode()
    assert callback_records.forget_old_callbacks() == 1
    assert CallbackRecord.objects.get() == stray


@pytest.mark.parametrize("code", ["4998", "4999"])
def test_a_callback_that_tells_no_end_changes_nothing(code, submitted):
    row = submitted()

    settle(callback(row, code=int(code)))

    assert_not_credited(row, Status.SUBMITTED)
    assert fresh(row).next_query_at is not None
    settle(callback(row))
    assert_credited_once(row)


@pytest.mark.parametrize("wrong", [{}, {"amount": 1}], ids=str)
def test_a_repeat_does_not_reopen_what_a_person_decided(wrong, submitted, people):
    row = submitted()
    settle(callback(row, amount=1))
    settle(callback(row, **wrong))
    reviews.decide(user=people["super"], transaction_id=row.pk, approve=False)

    settle(callback(row, **wrong))
    assert_not_credited(row, Status.FAILED)
    assert CallbackRecord.objects.latest("processed_at").verdict == Verdict.REPEATED

    settle(callback(row, receipt="ANOTHER123"))
    assert_not_credited(row, Status.NEEDS_REVIEW)


@pytest.mark.parametrize(("code", "status"), [(1, "failed"), (1032, "cancelled"), (1037, "timed_out")])
def test_payers_are_told_once_how_it_ended(code, status, submitted):
    row = submitted()
    for _ in range(2):
        settle(callback(row, code=code))

    notice = Notification.objects.get(user=row.user, type="payment_settled")
    assert (notice.payload["status"], notice.payload["transaction_id"]) == (status, str(row.pk))
    assert [mail.letter for mail in OutgoingMail.objects.all()] == ["notice"]


@pytest.mark.parametrize(("code", "letters"), [(0, ["payment_receipt"]), (1, [])])
def test_who_wants_no_such_mail_gets_the_receipt_alone(code, letters, submitted):
    row = submitted()
    preferences.choose(user=row.user, wishes={"payment_settled": "off"})

    settle(callback(row, code=code))

    assert [mail.letter for mail in OutgoingMail.objects.all()] == letters
    assert Notification.objects.filter(user=row.user, type="payment_settled").count() == 1


def test_payers_are_told_of_what_waits_and_what_was_rejected(submitted, people):
    row = submitted()
    settle(callback(row, amount=1))
    notices = Notification.objects.filter(user=row.user, type="payment_settled")
    assert notices.get().payload["status"] == "needs_review"

    reviews.decide(user=people["super"], transaction_id=row.pk, approve=False)

    assert notices.get().payload["status"] == "failed"
    assert [mail.context["payload"]["status"] for mail in OutgoingMail.objects.order_by("created_at")] == [
        "needs_review",
        "failed",
    ]


def test_a_folder_with_bought_space_is_not_deleted(submitted, people):
    folder = folders.create_folder(user=people["super"], name="Bought")
    row = submitted(user=people["super"], folder_id=folder.pk)
    settle(callback(row))

    with pytest.raises(Conflict) as refusal:
        folders.delete_folder(user=people["super"], folder_id=folder.pk)
    assert refusal.value.code == "space_running"
    assert 0 < refusal.value.retry_after <= 31 * 86_400

    QuotaGrant.objects.update(starts_at=timezone.now() - timedelta(days=31), ends_at=timezone.now())
    folders.delete_folder(user=people["super"], folder_id=folder.pk)
    assert fresh(row).status == Status.PAID


@pytest.mark.both
@pytest.mark.parametrize("model", [Transaction, CallbackRecord])
def test_an_id_is_looked_up_by_an_index(model):
    plan = model.objects.filter(checkout_request_id="ws_CO_1").order_by().explain()
    if connection.vendor == "sqlite":
        assert "USING INDEX" in plan
        assert "by_checkout_id" in plan


def test_money_for_a_folder_that_is_gone_waits_for_a_person(submitted, people):
    folder = folders.create_folder(user=people["super"], name="Soon gone")
    row = submitted(user=people["super"], folder_id=folder.pk)
    folders.delete_folder(user=people["super"], folder_id=folder.pk)

    settle(callback(row))

    assert (fresh(row).status, fresh(row).review_reason) == (Status.NEEDS_REVIEW, Review.NO_FOLDER)
    reviews.decide(user=people["super"], transaction_id=row.pk, approve=True, receipt_number="RLA0R69NXM")
    assert fresh(row).folder == folders.personal_folder(people["super"])
    assert QuotaGrant.objects.get().folder == folders.personal_folder(people["super"])


def erase(user):
    """Mark the account as erased."""
    now = timezone.now()
    type(user).objects.filter(pk=user.pk).update(is_active=False, closed_at=now, erased_at=now)


def test_money_of_an_erased_account_whose_folder_is_gone_goes_nowhere(submitted, people, payer):
    row = submitted()
    row.folder.delete()
    erase(payer)
    settle(callback(row))
    assert (fresh(row).status, fresh(row).review_reason) == (Status.NEEDS_REVIEW, Review.NO_FOLDER)

    with pytest.raises(Conflict) as refusal:
        reviews.decide(user=people["super"], transaction_id=row.pk, approve=True, receipt_number="RLA0R69NXM")

    assert refusal.value.code == "no_folder"
    assert fresh(row).status == Status.NEEDS_REVIEW
    assert not QuotaGrant.objects.exists()
    assert not Folder.objects.filter(owner=payer).exists()


def test_an_erased_account_is_told_nothing(submitted, people, company_folder):
    payer = people["colleague"]
    row = submitted(user=payer, folder_id=company_folder.pk)
    erase(payer)

    settle(callback(row))

    assert (fresh(row).status, fresh(row).grant.folder) == (Status.PAID, company_folder)
    assert not Notification.objects.filter(user=payer).exists()
    assert not OutgoingMail.objects.exists()


def test_the_secrets_of_payments_are_in_no_log_and_no_row(submitted, settings, caplog, client):
    row = submitted()
    settle(callback(row))
    settle("garbage", secret="wrong")

    texts = [caplog.text, *map(str, Event.objects.values_list("detail", flat=True))]
    texts += CallbackRecord.objects.values_list("raw", flat=True)
    assert not [text for text in texts if settings.MPESA_CALLBACK_SECRET in text]
    assert fresh(row).status == Status.PAID


def test_what_belongs_to_no_payment_is_forgotten_after_a_month(submitted):
    row = submitted()
    settle(callback(row))
    say("garbage")
    say("garbage", secret="wrong")
    callback_records.process_waiting()
    CallbackRecord.objects.update(received_at=timezone.now() - timedelta(days=31))

    assert callback_records.forget_old_callbacks() == 2
    assert CallbackRecord.objects.get().transaction == row
    assert Transaction.objects.count() == 1
