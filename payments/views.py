"""The payment pages: choose a plan, pay, watch, get the receipt; for supers all users' payments."""

import functools

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Prefetch
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.log import record
from config.api.pagination import keyset_page, read_limit
from config.api.permissions import super_only
from config.drawing.charts import bars
from config.errors import Refused
from config.forms import add_refusal, demand_valid
from config.http.csv_export import csv_answer
from config.http.refusals import headers_of
from config.http.throttling import throttle
from fileshare import folders
from fileshare.models import Folder
from payments.contributions.actions import Action

from . import simulator, transactions
from .bookkeeping import charts, receipts, reviews
from .forms import PayForm, ReceiptForm, TransactionFilter
from .models import CallbackRecord, Plan, Status, Transaction, money
from .mpesa import callback_records, phone_numbers, results
from .mpesa.daraja import NAIROBI

PAGE = 50
RECENT = 5
PERIODS = (30, 90, 365)
HELPFUL = ("01", "02", "03", "04", "22", "25")


def in_nairobi(view):
    """Decorator: use Nairobi's time zone, the payers', for shown times and for the days of filters."""

    @functools.wraps(view)
    def there(request, *args, **kwargs):
        with timezone.override(NAIROBI):
            return view(request, *args, **kwargs)

    return there


@in_nairobi
@login_required
@require_safe
def plan_list(request):
    """The plans as cards, the personal folder's free space, and the last payments."""
    own = Transaction.objects.filter(user=request.user).with_details()
    personal = folders.personal_folder(request.user)
    now = timezone.now()
    running = own.filter(status=Status.PAID, grant__starts_at__lte=now, grant__ends_at__gt=now)
    context = {
        "plans": list(Plan.objects.on_sale()),
        "personal": Folder.objects.with_quota().get(pk=personal.pk),
        "running": list(running.order_by("grant__ends_at")[:20]),
        "payments": [_worded(row) for row in own[:RECENT]],
        "are_on": transactions.are_on(),
        "folder": _chosen_folder(request),
    }
    return render(request, "payments/plans.html", context)


def _chosen_folder(request):
    """The folder that ?folder= names, if the user may raise it; else None."""
    # PostgreSQL refuses NUL in a query, and no slug holds one.
    slug = request.GET.get("folder", "")[:100].replace("\x00", "")
    return Folder.objects.raisable_by(request.user).filter(slug=slug).first() if slug else None


@in_nairobi
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def pay(request, plan_id):
    """The form with phone and folder for one plan; sending it asks the phone."""
    plan = get_object_or_404(Plan.objects.on_sale(), pk=plan_id)
    personal, chosen = folders.personal_folder(request.user), _chosen_folder(request)
    form = PayForm(
        request.POST if request.method == "POST" else None, user=request.user, personal=personal, chosen=chosen
    )
    status, headers = 200, {}
    if request.method == "POST" and form.is_valid():
        throttle(request, "stkpush")
        try:
            row = transactions.start(
                user=request.user,
                plan_id=plan.pk,
                phone_number=form.cleaned_data["phone_number"],
                folder_id=form.cleaned_data["folder_id"],
            )
            return redirect(row)
        except Refused as refusal:
            if isinstance(refusal, transactions.PaymentPending) and refusal.transaction_id:
                messages.info(request, _("This payment is already under way: nothing was asked a second time."))
                return redirect("payment", refusal.transaction_id)
            add_refusal(form, refusal)
            status, headers = refusal.status, headers_of(refusal)
    elif request.method == "POST":
        status = 400
    context = {
        "plan": plan,
        "form": form,
        "are_on": transactions.are_on(),
        "test_people": _test_people(),
    }
    response = render(request, "payments/pay.html", context, status=status)
    for name, value in headers.items():
        response[name] = value
    return response


def _test_people():
    """The simulator's phone numbers to try, and what each does; empty otherwise."""
    if settings.MPESA_ENV != "simulator":
        return []
    return [("0712 345 678", simulator.numbers.PAYS.story)] + [
        (f"0712 345 6{digits}", simulator.PEOPLE[digits].story) for digits in HELPFUL
    ]


@in_nairobi
@login_required
@require_safe
def payment(request, transaction_id):
    """One payment's state in plain words; a script or the refresh link updates it."""
    row = _visible(request, transaction_id)
    folder = row.folder_id and Folder.objects.visible_to(request.user).with_quota().filter(pk=row.folder_id).first()
    context = {"payment": _worded(row), "folder": folder}
    if request.user.is_superuser:
        context["callbacks"] = list(row.callbacks.order_by("received_at", "pk")[:20])
    return render(request, "payments/payment.html", context)


@login_required
@require_safe
def state(request, transaction_id):
    """{"state", "settled"} for the waiting page's script; one query besides those of the sign-in."""
    rows = Transaction.objects.visible_to(request.user).filter(pk=transaction_id)
    row = rows.only("status", "receipt_number").first()
    if row is None:
        raise Http404
    return JsonResponse({"state": _state(row), "settled": not row.is_pending})


def _state(row):
    """A text that changes when the page has news to show."""
    return f"{row.status}:{row.receipt_number}"


def _visible(request, transaction_id):
    return get_object_or_404(Transaction.objects.visible_to(request.user).with_details(), pk=transaction_id)


def _worded(row):
    """Add the words that pages show to a payment: result (title, advice), state, phone, money."""
    row.result = results.of_payment(row)
    row.state = _state(row)
    row.phone = phone_numbers.shown(row.phone_number)
    row.money = money(row.amount)
    return row


@login_required
@require_safe
def receipt(request, transaction_id):
    """The receipt of a paid payment, to print."""
    row = _paid(request, transaction_id)
    return render(
        request,
        "payments/receipt.html",
        {"payment": _worded(row), "facts": receipts.facts(row), "number": receipts.number(row)},
    )


@login_required
@require_safe
def receipt_pdf(request, transaction_id):
    """The receipt as a PDF."""
    throttle(request, "receipt_pdf", strict=False)
    row = _paid(request, transaction_id)
    name = f"receipt-{receipts.number(row)}.pdf"
    return HttpResponse(
        receipts.pdf(row),
        content_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"},
    )


def _paid(request, transaction_id):
    row = _visible(request, transaction_id)
    if row.status != Status.PAID:
        raise Http404
    return row


@in_nairobi
@login_required
@require_safe
def history(request):
    """The user's own payments, newest first."""
    return render(
        request, "payments/history.html", {"page": _page(request, Transaction.objects.filter(user=request.user))}
    )


def _page(request, rows):
    limit = read_limit(request.GET, default=PAGE)
    page = keyset_page(rows.with_details(), request=request, time_field="created_at", default_limit=limit)
    page.results = [_worded(row) for row in page.results]
    return page


# --- For a super ----------------------------------------------------------------------------------


@in_nairobi
@super_only
@require_safe
def everybodys(request):
    """All payments, with filters."""
    form = TransactionFilter(request.GET)
    rows = Transaction.objects.visible_to(request.user)
    valid = form.is_valid()
    context = {
        "form": form,
        "page": _page(request, form.apply(rows)) if valid else None,
        "waiting": Transaction.objects.reviewable_by(request.user)[:100].count(),
        "query": request.GET.urlencode(),
    }
    return render(request, "payments/everybodys.html", context, status=200 if valid else 400)


@in_nairobi
@super_only
@require_safe
def export(request):
    """The filtered payments as CSV, streamed, without cells that a spreadsheet would run as a formula."""
    filters = TransactionFilter(request.GET)
    rows = filters.apply(Transaction.objects.visible_to(request.user)).select_related("user")
    record(Action.PAYMENTS_EXPORTED, user=request.user, filters=filters.asked())
    head = [
        "id", "created_at", "paid_at", "status", "amount_kes", "plan", "extra_bytes", "days", "phone_number", "payer",
        "folder", "receipt_number", "merchant_request_id", "checkout_request_id", "result_code", "result_desc",
    ]  # fmt: skip
    rows = rows.order_by("-created_at", "-pk").iterator(chunk_size=500)
    cells = (
        [
            row.pk, _of_nairobi(row.created_at), _of_nairobi(row.paid_at), row.status,
            row.amount, row.plan_name, row.extra_bytes, row.days, row.phone_number,
            row.user.email if row.user else "", row.folder_name, row.receipt_number, row.merchant_request_id,
            row.checkout_request_id, row.result_code, row.result_desc,
        ]
        for row in rows
    )  # fmt: skip
    return csv_answer(filename="payments.csv", head=head, rows=cells)


def _of_nairobi(moment):
    return moment.astimezone(NAIROBI).isoformat() if moment else ""


@in_nairobi
@super_only
@require_safe
def review_queue(request):
    """The payments in review with their callbacks, and callbacks that match no payment."""
    kept = Prefetch("callbacks", CallbackRecord.objects.order_by("received_at", "pk"))
    rows = Transaction.objects.reviewable_by(request.user).prefetch_related(kept)
    return render(request, "payments/review.html", {"page": _page(request, rows), "strays": callback_records.strays()})


@super_only
@require_POST
def decide(request, transaction_id):
    """Credit a payment in review, or reject it."""
    form = ReceiptForm(request.POST)
    demand_valid(form, _("The receipt number is letters and digits."))
    row = reviews.decide(
        user=request.user,
        transaction_id=transaction_id,
        approve=form.cleaned_data["decision"] == "approve",
        receipt_number=form.cleaned_data["receipt_number"],
    )
    messages.success(
        request, _("The payment was credited.") if row.status == Status.PAID else _("The payment was rejected.")
    )
    return redirect("payments-review")


@in_nairobi
@super_only
@require_safe
def revenue(request):
    """Revenue by day."""
    asked = request.GET.get("days", "")
    days = int(asked) if asked in map(str, PERIODS) else PERIODS[0]
    rows = charts.revenue(days=days)
    chart = bars(rows, value="amount", label=lambda row: money(row["amount"]))
    context = {
        "days": days,
        "periods": PERIODS,
        "chart": chart,
        "most": money(chart["most"]),
        "total": money(sum(row["amount"] for row in rows)),
        "count": sum(row["count"] for row in rows),
        "busy_days": [row for row in reversed(chart["bars"]) if row["count"]],
        "all_time": money(charts.all_time()),
        "waiting": Transaction.objects.reviewable_by(request.user).count(),
    }
    return render(request, "payments/revenue.html", context)
