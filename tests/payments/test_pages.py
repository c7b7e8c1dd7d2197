"""The pages of payments: choose, pay, watch, keep the receipt; a super's lists, decisions and revenue."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Notification, OutgoingMail
from audit.models import Event
from config.drawing import fonts
from fileshare import folders
from fileshare.models import QuotaGrant
from payments import notices
from payments.bookkeeping import charts
from payments.models import Plan, Review, Status, Transaction
from payments.mpesa import results
from tests.factories import PlanFactory
from tests.fileshare.helpers import content
from tests.payments.daraja import callback, fresh, phone_of, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def signed_in(client, payer):
    client.force_login(payer)
    return client


@pytest.fixture
def boss(client, people):
    client.force_login(people["super"])
    return client


def queries(client, path):
    client.get(path)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        answer = client.get(path)
    assert answer.status_code == 200
    return len(captured)


def test_plans_on_sale_are_shown_and_others_are_not(signed_in, plan):
    PlanFactory(name="Long gone", is_active=False)

    page = signed_in.get("/payments/").content.decode()

    assert "Small" in page
    assert "KES 100" in page
    assert "Long gone" not in page


def test_without_payments_the_page_says_so(signed_in, plan, settings):
    settings.MPESA_ENV = "off"

    page = signed_in.get("/payments/").content.decode()

    assert "switched off" in page
    assert f"/payments/plans/{plan.pk}/" not in page


def test_a_payment_by_the_form(signed_in, plan, payer, daraja):
    answer = signed_in.post(f"/payments/plans/{plan.pk}/", {"phone_number": "0712 345 699"})

    row = Transaction.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/payments/{row.pk}/")
    assert row.folder == folders.personal_folder(payer)
    page = signed_in.get(answer["Location"]).content.decode()
    assert "Check your phone" in page
    assert "0712 345 699" in page

    again = signed_in.post(f"/payments/plans/{plan.pk}/", {"phone_number": "0712345699"}, follow=True)
    assert again.redirect_chain == [(f"/payments/{row.pk}/", 302)]
    assert "nothing was asked a second time" in again.content.decode()
    assert len(daraja.pushes) == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"phone_number": ""}, 400),
        ({}, 400),
        ({"phone_number": "12"}, 400),
        ({"phone_number": "x" * 10_000}, 400),
        ({"phone_number": "0712345699", "folder_id": "x"}, 400),
        ({"phone_number": "0712345699", "folder_id": "00000000-0000-4000-8000-000000000000"}, 404),
        ({"phone_number": "0712345633"}, 503),
        ({"phone_number": "0712345635"}, 400),
        ({"phone_number": "0712345632"}, 409),
    ],
    ids=str,
)
def test_what_goes_wrong_is_said_beside_the_form(fields, status, signed_in, plan, daraja):
    answer = signed_in.post(f"/payments/plans/{plan.pk}/", fields)

    assert answer.status_code == status
    if status != 404:
        assert "errorlist" in answer.content.decode()
    assert not daraja.pushes


def test_who_has_to_wait_is_told_how_long(signed_in, plan, submitted, daraja, settings):
    settings.RATELIMIT_ENABLE = True
    settle(callback(submitted(phone_number="254712345699"), code=1032))

    for phone, status in (("0712345699", 429), ("0712345633", 503)):
        answer = signed_in.post(f"/payments/plans/{plan.pk}/", {"phone_number": phone})
        assert (answer.status_code, 1 <= int(answer["Retry-After"]) <= 60) == (status, True)

    unknown = signed_in.post(f"/payments/plans/{plan.pk}/", {"phone_number": "0712345635"})
    assert (unknown.status_code, "Retry-After" in unknown) == (400, False)


def test_a_plan_that_is_not_on_sale_has_no_page(signed_in, plan):
    Plan.objects.update(is_active=False)

    assert signed_in.get(f"/payments/plans/{plan.pk}/").status_code == 404


def test_the_folders_to_choose_from(client, people, plan, company_folder):
    client.force_login(people["colleague"])
    page = client.get(f"/payments/plans/{plan.pk}/?folder=baobab-files").content.decode()
    assert f'value="{company_folder.pk}" selected' in page

    client.force_login(people["uploader"])
    assert str(company_folder.pk) not in client.get(f"/payments/plans/{plan.pk}/?folder=baobab-files").content.decode()


@pytest.mark.parametrize("code", sorted(results.RESULTS))
def test_each_end_is_told_in_plain_words(code, signed_in, submitted):
    row = submitted()
    settle(callback(row, code=int(code)))

    page = signed_in.get(f"/payments/{row.pk}/").content.decode()

    assert str(results.result_of(code).title) in page.replace("&#x27;", "'")
    state = signed_in.get(f"/payments/{row.pk}/state").json()
    assert state["settled"] is True
    assert state["state"] in page


def test_the_live_question_is_cheap(signed_in, submitted):
    row = submitted()

    assert signed_in.get(f"/payments/{row.pk}/state").json() == {"state": "submitted:", "settled": False}
    assert queries(signed_in, f"/payments/{row.pk}/state") <= 3


def test_a_payment_is_its_payers_and_the_supers(client, people, submitted):
    row = submitted()
    settle(callback(row))
    for who, status in (("client", 200), ("super", 200), ("stranger", 404), ("ops", 404)):
        client.force_login(people[who])
        for path in ("", "state", "receipt", "receipt.pdf"):
            assert client.get(f"/payments/{row.pk}/{path}").status_code == status


def test_a_receipt_as_pdf_has_a_rate(signed_in, submitted, limits_on, settings):
    row = submitted()
    settle(callback(row))
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "receipt_pdf": "1/m"}

    answers = [signed_in.get(f"/payments/{row.pk}/receipt.pdf").status_code for _time in range(2)]

    assert answers == [200, 429]


def test_a_receipt_to_print_and_to_keep(signed_in, submitted, payer, caplog):
    row = submitted()
    for path in ("receipt", "receipt.pdf"):
        assert signed_in.get(f"/payments/{row.pk}/{path}").status_code == 404
    payer.name = "Wanjirũ 王 محمد <b>"
    payer.save()
    settle(callback(row))

    page = signed_in.get(f"/payments/{row.pk}/receipt").content.decode()
    assert "RLA0R69NXM" in page
    assert "KES 100" in page
    assert "<b>" not in page
    pdf = signed_in.get(f"/payments/{row.pk}/receipt.pdf")
    assert pdf.content.startswith(b"%PDF-")
    assert pdf["Content-Disposition"].startswith('attachment; filename="receipt-')
    assert len(pdf.content) < 50_000
    assert printed(pdf.content) >= set("Wanjirũ王محمد<b>")
    assert "fpdf" not in {record.name.partition(".")[0] for record in caplog.records}  # fpdf warns of missing letters


def printed(pdf):
    """The letters that the fonts in a PDF say they draw."""
    codes = re.findall(rb"^<[0-9A-F]{4}> <((?:[0-9A-F]{4})+)>$", pdf, re.MULTILINE)
    return set("".join(bytes.fromhex(code.decode()).decode("utf-16-be") for code in codes))


@pytest.mark.once
@pytest.mark.parametrize(
    ("text", "shown", "others"),
    [
        ("Ng’endo Mūgo, Đặng Ωμέγα Ёлка क्षेत्र\u200d", "Ng’endo Mūgo, Đặng Ωμέγα Ёлка क्षेत्र\u200d", []),
        ("محمد Otieno", "محمد Otieno", ["Noto Sans Arabic"]),
        ("王小明 한국 かな", "王小明 한국 かな", ["Noto Sans CJK"]),
        ("שלום สมชาย தமிழ்", "שלום สมชาย தமிழ்", ["Arimo", "Noto Sans Thai", "Noto Sans Tamil"]),
        ("አበበ?", "□□□?", ["Noto Sans CJK"]),
    ],
)
def test_each_letter_has_a_font_or_is_seen_to_have_none(text, shown, others):
    assert fonts.fonts_for(text) == (shown, others)


def many(payer, plan, count, **facts):
    rows = [
        Transaction(
            user=payer,
            plan=plan,
            plan_name=plan.name,
            amount=100,
            extra_bytes=1,
            days=30,
            folder=folders.personal_folder(payer),
            folder_name="My files",
            phone_number=f"2547{number:08}",
            **{"status": Status.FAILED, **facts},
        )
        for number in range(count)
    ]
    return Transaction.objects.bulk_create(rows)


@pytest.mark.parametrize(
    "path", ["/payments/", "/payments/history/", "/payments/all/", "/payments/review/", "/payments/revenue/"]
)
def test_lists_cost_the_same_however_long_they_are(path, boss, people, plan):
    facts = {"status": Status.NEEDS_REVIEW, "review_reason": Review.MISMATCH} if "review" in path else {}
    many(people["super"], plan, 8, **facts)
    few = queries(boss, path)
    many(people["super"], plan, 60, **facts)

    assert queries(boss, path) == few <= 16


def test_the_lists_of_the_api_cost_the_same_however_long_they_are(people, plan, api_as):
    api = api_as("super")
    counts = []
    for count in (5, 80):
        many(people["client"], plan, count)
        with CaptureQueriesContext(connection) as captured:
            answer = api.get("/api/mpesa/transactions")
        assert len(answer.json()["results"]) == min(100, Transaction.objects.count())
        counts.append(len(captured))

    assert counts[0] == counts[1] <= 5
    assert api_as("stranger").get("/api/mpesa/transactions").json()["results"] == []
    page = api_as("client").get("/api/mpesa/transactions?limit=50").json()
    rest = api_as("client").get(page["next"]).json()["results"]
    assert len({row["id"] for row in page["results"] + rest}) == 85


def test_folder_lists_with_bought_space_cost_no_more(api_as, submitted):
    folders.personal_folder(submitted().user)
    api = api_as("client")
    with CaptureQueriesContext(connection) as before:
        api.get("/api/fileshare/folders")
    row = Transaction.objects.get()
    settle(callback(row))
    with CaptureQueriesContext(connection) as after:
        shown = api.get("/api/fileshare/folders").json()["results"]

    assert len(after) == len(before)
    own = next(folder for folder in shown if folder["id"] == str(row.folder_id))
    assert own["quota_bytes"] == row.folder.quota_bytes + 5_000


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 3),
        ("status=paid", 1),
        ("status=pending", 1),
        ("status=cancelled", 1),
        ("status=needs_review", 0),
        ("phone_number=0712345678", 1),
        ("phone_number=%2B254+712+345+678", 1),
        ("user_email=CLIENT%40example.org", 3),
        ("user_email=nobody%40example.org", 0),
        ("receipt_number=rla0r69nxm", 1),
        ("start_date=2001-01-01", 3),
        ("end_date=2001-01-01", 0),
    ],
)
def test_a_super_filters_all_payments(query, count, boss, submitted):
    settle(callback(submitted()))
    settle(callback(submitted(), code=1032))
    submitted()

    page = boss.get(f"/payments/all/?{query}")

    assert len(page.context["page"].results) == count
    assert len(content(boss.get(f"/payments/all/export.csv?{query}")).decode().strip().splitlines()) == count + 1


@pytest.mark.parametrize(
    "query", ["status=x", "start_date=x", "phone_number=12", "end_date=99999-01-01", "user_email=" + "x" * 300]
)
def test_a_filter_that_makes_no_sense_is_told(query, boss):
    assert boss.get(f"/payments/all/?{query}").status_code == 400
    assert boss.get(f"/payments/all/export.csv?{query}").status_code == 400


def test_days_are_nairobis(boss, submitted):
    row = submitted()
    # In Nairobi it is the next day already.
    late = datetime(2026, 3, 4, 22, 30, tzinfo=UTC)
    Transaction.objects.filter(pk=row.pk).update(created_at=late)

    for path in ("all/", "all/export.csv"):
        assert row.plan_name not in content(boss.get(f"/payments/{path}?end_date=2026-03-04")).decode()
        shown = content(boss.get(f"/payments/{path}?start_date=2026-03-05&end_date=2026-03-05")).decode()
        assert row.plan_name in shown
        assert "2026-03-05T01:30:00+03:00" in shown or "5 Mar 2026, 01:30" in shown
    assert "5 Mar 2026, 01:30" in boss.get(f"/payments/{row.pk}/").content.decode()
    assert str(timezone.get_current_timezone()) == "UTC"


@pytest.mark.parametrize("path", ["", "plans/{plan}/"])
def test_a_nul_names_no_folder(path, signed_in, plan):
    assert signed_in.get(f"/payments/{path.format(plan=plan.pk)}?folder=%00").status_code == 200
    assert signed_in.get(f"/payments/{path.format(plan=plan.pk)}?folder=a%00b").status_code == 200


def test_no_cell_of_the_export_is_a_formula(boss, submitted, plan):
    row = submitted()
    Transaction.objects.filter(pk=row.pk).update(
        plan_name="=1+1", folder_name="@SUM(A1)", result_desc="-2", receipt_number="+3"
    )

    text = content(boss.get("/payments/all/export.csv")).decode()

    assert Event.objects.get(action="payments_exported").detail == {"filters": {}}
    (line,) = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    assert (line["plan"], line["folder"], line["result_desc"]) == ("'=1+1", "'@SUM(A1)", "'-2")
    assert line["amount_kes"] == "100"


@pytest.mark.parametrize("who", ["client", "ops", "uploader"])
def test_lists_of_everybody_are_for_supers(who, client, people, submitted):
    row = submitted(status=Status.NEEDS_REVIEW, review_reason=Review.MISMATCH)
    client.force_login(people[who])
    for path in ("all/", "all/export.csv", "review/", "revenue/"):
        assert client.get(f"/payments/{path}").status_code == 403
    assert client.post(f"/payments/{row.pk}/review", {"decision": "approve"}).status_code == 403
    assert fresh(row).status == Status.NEEDS_REVIEW


def test_a_super_decides_on_the_page(boss, submitted):
    row = submitted()
    settle(callback(row, amount=1))
    page = boss.get("/payments/review/").content.decode()
    assert "RLA0R69NXM" in page

    assert boss.post(f"/payments/{row.pk}/review", {"decision": "x"}).status_code == 400
    assert boss.post(f"/payments/{row.pk}/review", {"decision": "approve", "receipt_number": "<b>"}).status_code == 400
    answer = boss.post(f"/payments/{row.pk}/review", {"decision": "approve", "receipt_number": "rla0r69nxm"})

    assert answer["Location"] == "/payments/review/"
    assert (fresh(row).status, fresh(row).receipt_number) == (Status.PAID, "RLA0R69NXM")
    assert QuotaGrant.objects.count() == 1
    assert boss.post(f"/payments/{row.pk}/review", {"decision": "approve"}).status_code == 409


def test_revenue_by_the_days_of_nairobi(boss, submitted):
    for number in range(3):
        row = submitted()
        settle(callback(row, receipt=f"RLA0R69NX{number}"))
    # 22:30 UTC is the next day in Nairobi.
    late = timezone.now().replace(hour=22, minute=30) - timedelta(days=3)
    Transaction.objects.filter(pk=row.pk).update(paid_at=late)

    rows = charts.revenue(days=30)

    assert (len(rows), sum(day["amount"] for day in rows)) == (30, 300)
    assert next(day for day in rows if day["day"] == late.date() + timedelta(days=1))["count"] == 1
    page = boss.get("/payments/revenue/?days=nonsense").content.decode()
    assert "KES 300" in page
    assert page.count("<rect") == 2


def test_revenue_reads_no_other_payments(boss, people, plan):
    many(people["client"], plan, 3, status=Status.PAID, paid_at=timezone.now())
    many(people["client"], plan, 2, status=Status.NEEDS_REVIEW, review_reason=Review.MISMATCH)
    many(people["client"], plan, 5)

    with CaptureQueriesContext(connection) as captured:
        page = boss.get("/payments/revenue/")

    assert (page.context["all_time"], page.context["waiting"]) == ("KES 300", 2)
    asked = [query["sql"] for query in captured if 'FROM "payments_transaction"' in query["sql"]]
    assert len(asked) == 3
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            for sql in asked:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                assert "INDEX payment_" in " ".join(row[3] for row in cursor.fetchall()), sql


def test_the_filters_of_the_administration_look_at_few_rows(boss, people, plan):
    other = PlanFactory(name="Large")
    many(people["client"], plan, 3)
    (wanted,) = many(people["client"], other, 1)

    with CaptureQueriesContext(connection) as captured:
        page = boss.get(f"/admin/payments/transaction/?plan__id__exact={other.pk}")

    assert [row.pk for row in page.context["cl"].result_list] == [wanted.pk]
    assert not [query["sql"] for query in captured if "SELECT DISTINCT" in query["sql"]]


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_a_plan_is_paid_by_post_alone(method, signed_in, plan):
    assert getattr(signed_in, method)(f"/payments/plans/{plan.pk}/").status_code == 405


@pytest.mark.parametrize(("starts", "ends", "is_shown"), [(-1, 1, True), (1, 2, False), (-2, -1, False)])
def test_the_plans_that_run_now_are_shown(starts, ends, is_shown, submitted, signed_in):
    settle(callback(submitted()))
    now = timezone.now()
    QuotaGrant.objects.update(starts_at=now + timedelta(days=starts), ends_at=now + timedelta(days=ends))

    assert ("Running now" in signed_in.get("/payments/").content.decode()) is is_shown


def test_reminders_go_once(submitted):
    row = submitted()
    settle(callback(row))
    assert notices.remind() == 0

    QuotaGrant.objects.update(ends_at=timezone.now() + timedelta(days=2))
    assert [notices.remind(), notices.remind()] == [1, 0]
    QuotaGrant.objects.update(starts_at=timezone.now() - timedelta(days=30), ends_at=timezone.now())
    assert [notices.remind(), notices.remind()] == [1, 0]

    kinds = list(Notification.objects.filter(user=row.user).order_by("created_at").values_list("type", flat=True))
    assert kinds == ["payment_settled", "plan_ending", "plan_ended"]
    letters = OutgoingMail.objects.exclude(letter="notice").order_by("created_at").values_list("letter", flat=True)
    assert list(letters) == ["payment_receipt", "plan_ending", "plan_ended"]


def test_nobody_is_reminded_whose_account_is_switched_off(submitted, payer):
    settle(callback(submitted()))
    payer.is_active = False
    payer.save()
    before = OutgoingMail.objects.count()

    QuotaGrant.objects.update(ends_at=timezone.now() + timedelta(days=2))
    assert notices.remind() == 0
    QuotaGrant.objects.update(starts_at=timezone.now() - timedelta(days=30), ends_at=timezone.now())
    assert notices.remind() == 0

    assert OutgoingMail.objects.count() == before


def test_one_that_cannot_be_reminded_keeps_nobody_else_waiting(submitted, monkeypatch):
    rows = [submitted(), submitted()]
    for number, row in enumerate(rows):
        settle(callback(row, receipt=f"RLA0R69NX{number}"))
    QuotaGrant.objects.update(ends_at=timezone.now() + timedelta(days=2))
    tell = notices.tell_payer

    def fails(row, *options):
        if row.pk == rows[0].pk:
            raise ValueError
        tell(row, *options)

    monkeypatch.setattr(notices, "tell_payer", fails)
    assert notices.remind() == 1
    monkeypatch.undo()
    assert notices.remind() == 1


def test_the_letters_can_be_read(submitted, outbox):
    row = submitted()
    settle(callback(row))
    QuotaGrant.objects.update(ends_at=timezone.now() + timedelta(days=2))
    notices.remind()
    QuotaGrant.objects.update(starts_at=timezone.now() - timedelta(days=30), ends_at=timezone.now())
    notices.remind()

    sent = {message.subject: message.body for message in outbox()}

    assert "RLA0R69NXM" in sent["Your receipt: KES 100 for Small"]
    assert f"/payments/{row.pk}/" in sent["Your receipt: KES 100 for Small"]
    assert "Nothing was deleted" in sent["Your extra space has ended"]
    assert len(sent) == 3


def test_plans_are_changed_in_the_administration_and_that_is_logged(boss, plan, people):
    fields = {"name": "Small", "amount": "120", "extra_bytes": "5000", "days": "30", "is_active": "on"}

    assert boss.post(f"/admin/payments/plan/{plan.pk}/change/", fields).status_code == 302

    plan.refresh_from_db()
    assert plan.amount == 120
    event = Event.objects.get(action="plan_changed")
    assert (event.actor, event.detail["after"]["amount"]) == (people["super"], 120)
    for wrong in ({"amount": "0"}, {"amount": "250001"}, {"amount": "1.5"}, {"days": "0"}, {"extra_bytes": "0"}):
        assert boss.post(f"/admin/payments/plan/{plan.pk}/change/", {**fields, **wrong}).status_code == 200
    plan.refresh_from_db()
    assert plan.amount == 120


@pytest.mark.parametrize("path", ["plan", "transaction", "callbackrecord"])
def test_the_administration_shows_them(path, boss, submitted):
    settle(callback(submitted()))

    assert boss.get(f"/admin/payments/{path}/").status_code == 200
    assert boss.get(f"/admin/payments/{path}/?q=x").status_code == 200 or path == "plan"


def test_the_demo_names_its_numbers(signed_in, plan, settings):
    assert "0712 345 602" in signed_in.get(f"/payments/plans/{plan.pk}/").content.decode()
    settings.MPESA_ENV = "live"
    assert "0712 345 602" not in signed_in.get(f"/payments/plans/{plan.pk}/").content.decode()
    assert phone_of("02").endswith("02")
