"""Plans in the admin, editable; payments and callbacks, read-only. Supers decide payments in the review queue."""

import json

from django import forms
from django.contrib import admin
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.admin.lines import moment, row_link
from config.admin.operations import OperationsAdmin, OperationsForm
from config.admin.site import ReadOnlyAdmin
from config.sizes import SizeField

from . import plans
from .models import CallbackRecord, Plan, Status, Transaction, money


class PlanForm(OperationsForm):
    class Meta:
        labels = {"extra_bytes": gettext_lazy("Space")}
        help_texts = {
            "name": gettext_lazy("As buyers read it, such as “5 GB for 30 days”."),
            "amount": gettext_lazy("Whole shillings."),
            "extra_bytes": gettext_lazy("Such as 500 MB or 20 GB."),
            "days": gettext_lazy("How long the space is added to the folder."),
            "is_active": gettext_lazy("Taken off sale, nobody can buy it; what was bought keeps its terms."),
        }
        field_classes = {"extra_bytes": SizeField}


@admin.register(Plan)
class PlanAdmin(OperationsAdmin):
    """The plans on sale, saved through payments.plans. Payments made keep the terms they had."""

    form = PlanForm
    list_display = ["name", "price", "space", "days", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["name"]
    search_help_text = gettext_lazy("Name of the plan")
    fields = ["name", "amount", "extra_bytes", "days", "is_active"]
    actions = None

    @admin.display(description=gettext_lazy("price"), ordering="amount")
    def price(self, plan):
        return plan.money

    @admin.display(description=gettext_lazy("space"), ordering="extra_bytes")
    def space(self, plan):
        return filesizeformat(plan.extra_bytes)

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if db_field.name == "extra_bytes":
            # The admin's widget for numbers accepts no unit.
            kwargs["widget"] = forms.TextInput
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def has_delete_permission(self, request, obj=None):
        # Supers take a plan off sale instead: payments refer to it.
        return False

    def create(self, request, plan, facts):
        return plans.save(user=request.user, plan=plan)

    change = create


@admin.register(Transaction)
class TransactionAdmin(ReadOnlyAdmin):
    list_display = ["made", "person", "plan_name", "price", "phone_number", "state", "receipt_number", "place", "page"]
    list_select_related = ["user", "folder"]
    list_filter = ["status", "review_reason", "created_at", "plan"]
    list_per_page = 50
    search_fields = ["phone_number", "receipt_number", "checkout_request_id", "user__email", "folder_name"]
    search_help_text = gettext_lazy("Phone number, receipt, checkout id, address of the payer, or the folder")
    fieldsets = [
        (None, {"fields": ["made", "person", "phone_number", "state", "review_reason", "page"]}),
        (gettext_lazy("What was bought"), {"fields": ["plan_name", "price", "space", "days", "place", "lent"]}),
        (
            gettext_lazy("What M-Pesa said"),
            {
                "fields": [
                    *["receipt_number", "checkout_request_id", "merchant_request_id", "customer_message"],
                    *["result_code", "result_desc", "queries"],
                ]
            },
        ),
        (gettext_lazy("When"), {"fields": ["submitted", "paid", "ended", "reviewed"]}),
    ]

    @admin.display(description=gettext_lazy("made"), ordering="created_at")
    def made(self, row):
        return moment(row.created_at)

    @admin.display(description=gettext_lazy("payer"), ordering="user__email")
    def person(self, row):
        return row_link("accounts_user_change", row.user)

    @admin.display(description=gettext_lazy("amount"), ordering="amount")
    def price(self, row):
        return money(row.amount)

    @admin.display(description=gettext_lazy("state"), ordering="status")
    def state(self, row):
        return format_html('<span class="state state-{}">{}</span>', row.status, row.get_status_display())

    @admin.display(description=gettext_lazy("space"))
    def space(self, row):
        return filesizeformat(row.extra_bytes)

    @admin.display(description=gettext_lazy("folder"), ordering="folder_name")
    def place(self, row):
        return row_link("fileshare_folder_change", row.folder, row.folder_name) if row.folder else row.folder_name

    @admin.display(description=gettext_lazy("space runs"))
    def lent(self, row):
        if row.grant is None:
            return "–"
        return f"{moment(row.grant.starts_at)} – {moment(row.grant.ends_at)}"

    @admin.display(description=gettext_lazy("page"))
    def page(self, row):
        address, words = row.get_absolute_url(), _("Open")
        if row.status == Status.NEEDS_REVIEW:
            address, words = reverse("payments-review"), _("Review")
        return format_html('<a href="{}">{}</a>', address, words)

    @admin.display(description=gettext_lazy("phone asked"))
    def submitted(self, row):
        return moment(row.submitted_at)

    @admin.display(description=gettext_lazy("paid"))
    def paid(self, row):
        return moment(row.paid_at)

    @admin.display(description=gettext_lazy("over"))
    def ended(self, row):
        return moment(row.ended_at)

    @admin.display(description=gettext_lazy("reviewed"))
    def reviewed(self, row):
        return row.reviewed_at and format_html(
            "{} · {}", moment(row.reviewed_at), row_link("accounts_user_change", row.reviewed_by)
        )


@admin.register(CallbackRecord)
class CallbackRecordAdmin(ReadOnlyAdmin):
    list_display = ["received", "verdict", "checkout_request_id", "payment", "address"]
    list_select_related = ["transaction"]
    list_filter = ["verdict", "received_at"]
    list_per_page = 50
    search_fields = ["checkout_request_id", "transaction__receipt_number", "transaction__phone_number"]
    search_help_text = gettext_lazy("Checkout id; receipt or phone number of the payment")
    fields = ["received", "verdict", "checkout_request_id", "payment", "address", "processed", "body"]

    @admin.display(description=gettext_lazy("received"), ordering="received_at")
    def received(self, row):
        return moment(row.received_at)

    @admin.display(description=gettext_lazy("looked at"))
    def processed(self, row):
        return moment(row.processed_at)

    @admin.display(description=gettext_lazy("payment"))
    def payment(self, row):
        return row_link("payments_transaction_change", row.transaction)

    @admin.display(description=gettext_lazy("what came, word for word"))
    def body(self, row):
        try:
            text = json.dumps(json.loads(row.raw), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            text = row.raw
        # JSON may hold a lone surrogate, which UTF-8 cannot encode: show it as an escape.
        return format_html('<pre class="raw">{}</pre>', text.encode("utf-8", "backslashreplace").decode())
