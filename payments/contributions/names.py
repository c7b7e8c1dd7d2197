"""The names of the models and columns of payments in the admin (config.contributions.names)."""

from django.utils.translation import gettext_lazy as _

# {model: (singular, plural)}
MODELS = {
    "callbackrecord": (_("callback record"), _("callback records")),
    "plan": (_("plan"), _("plans")),
    "transaction": (_("transaction"), _("transactions")),
}
FIELDS = {
    "amount": _("amount"),
    "checkout_request_id": _("checkout request id"),
    "customer_message": _("customer message"),
    "days": _("days"),
    "ended_at": _("ended at"),
    "extra_bytes": _("extra bytes"),
    "folder": _("folder"),
    "folder_name": _("folder name"),
    "grant": _("grant"),
    "merchant_request_id": _("merchant request id"),
    "next_query_at": _("next query at"),
    "paid_at": _("paid at"),
    "phone_number": _("phone number"),
    "plan": _("plan"),
    "plan_name": _("plan name"),
    "processed_at": _("processed at"),
    "queries": _("queries"),
    "raw": _("raw"),
    "receipt_number": _("receipt number"),
    "reference": _("reference"),
    "reminded_at": _("reminded at"),
    "result_code": _("result code"),
    "result_desc": _("result desc"),
    "review_reason": _("review reason"),
    "reviewed_at": _("reviewed at"),
    "reviewed_by": _("reviewed by"),
    "submitted_at": _("submitted at"),
    "transaction": _("transaction"),
    "verdict": _("verdict"),
}
