"""M-Pesa's result codes: the payment's state after each, and the words for the payer. docs/payments.md lists them."""

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from payments.models import Status


@dataclass(frozen=True)
class Result:
    """How a payment ends (`status`), in words for the payer: what happened, and what to do."""

    status: str
    title: str
    advice: str


PAID = "0"
# Codes of a payment in progress: the payer still has the request on the phone.
PENDING_CODES = ("4998", "4999")
TIMED_OUT = Result(
    Status.TIMED_OUT,
    _("There was no answer"),
    _(
        "Your phone could not be reached, or the request was left unanswered. "
        "See that the phone is on and has a signal, then try again."
    ),
)
CANCELLED = Result(
    Status.CANCELLED,
    _("You cancelled the payment"),
    _("Nothing was taken from your account. You can start again whenever you like."),
)
NOT_SENT = Result(
    Status.FAILED,
    _("The request could not be sent to your phone"),
    _("Nothing was taken from your account. Try again in a few minutes; restarting the phone may help."),
)
BUSY = Result(
    Status.FAILED,
    _("M-Pesa is very busy"),
    _("Nothing was taken from your account. Wait a few minutes and try again."),
)
RESULTS = {
    PAID: Result(Status.PAID, _("Paid. Thank you!"), _("The space is yours from now on.")),
    "1": Result(
        Status.FAILED,
        _("There is not enough money in the account"),
        _("Top up your M-Pesa account, or choose a smaller plan, and try again."),
    ),
    "17": Result(
        Status.FAILED,
        _("M-Pesa refused to repeat the payment so soon"),
        _(
            "It does not take the same amount from the same number twice within a short time, "
            "nor more than its daily limit. Wait two minutes and try again."
        ),
    ),
    "26": BUSY,
    "1001": Result(
        Status.FAILED,
        _("Your phone is busy with another M-Pesa request"),
        _("Finish or close it on your phone, wait two minutes, and try again."),
    ),
    "1019": Result(
        Status.TIMED_OUT,
        _("The request expired"),
        _("The PIN came too late. Try again, and enter it within a minute."),
    ),
    "1025": NOT_SENT,
    "1031": CANCELLED,
    "1032": CANCELLED,
    "1036": NOT_SENT,
    "1037": TIMED_OUT,
    "2001": Result(
        Status.FAILED,
        _("The PIN was wrong"),
        _(
            "Nothing was taken from your account. Try again with your M-Pesa PIN; "
            "after three wrong ones M-Pesa locks it."
        ),
    ),
    "2028": Result(
        Status.FAILED,
        _("This portal may not take the payment"),
        _("Nothing was taken from your account. Please tell whoever runs the portal."),
    ),
    "8006": Result(
        Status.FAILED,
        _("Your M-Pesa PIN is locked"),
        _("Call Safaricom on 100 to unlock it, then try again."),
    ),
    "9999": NOT_SENT,
}
UNKNOWN = Result(
    Status.FAILED,
    _("The payment did not go through"),
    _(
        "Nothing was taken from your account as far as we know. "
        "If you got an M-Pesa message that says otherwise, tell us its receipt number."
    ),
)


def result_of(code):
    """The Result of M-Pesa's `code`, a text; an unknown code counts as failed."""
    return RESULTS.get(code, UNKNOWN)


def is_end(code):
    """True when a query's `code` certainly is the end of a payment.

    Known codes are, and words such as SFC_IC0003, which are M-Pesa's own errors. An unknown number may mean that the
    payer has not decided yet: Daraja's numbers for that change.
    """
    return code in RESULTS or code[:1].isalpha()


NOT_ASKED = Result(
    Status.FAILED,
    _("M-Pesa did not take the request"),
    _("Your phone was not asked, and nothing was charged. Try again in a few minutes."),
)
REJECTED = Result(
    Status.FAILED,
    _("We could not confirm this payment"),
    _("Somebody looked at it, and no space was added. Please get in touch if you have an M-Pesa message about it."),
)
CHECKING = Result(
    Status.NEEDS_REVIEW,
    _("We are checking this payment"),
    _("Please do not pay again. If the money was taken, your space will be added; somebody looks at it soon."),
)
WAITING = Result(
    Status.SUBMITTED,
    _("Check your phone"),
    _("M-Pesa asks for your PIN there. Enter it to pay, or cancel."),
)
STARTING = Result(
    Status.CREATED,
    _("M-Pesa has not answered us yet"),
    _(
        "If your phone asks for your M-Pesa PIN, enter it: we shall hear of it. If it does not, somebody looks at it "
        "within an hour or so. Please do not pay a second time."
    ),
)


def of_payment(row):
    """The Result for a payment's present state."""
    match row.status:
        case Status.CREATED:
            return STARTING
        case Status.SUBMITTED:
            return WAITING
        case Status.NEEDS_REVIEW:
            return CHECKING
        case Status.PAID:
            return RESULTS[PAID]
    if row.reviewed_at is not None:
        return REJECTED
    if not row.checkout_request_id:
        return NOT_ASKED
    known = RESULTS.get(row.result_code)
    # Never tell the payer of an unpaid payment that it is paid, whatever its code.
    return known if known is not None and known.status != Status.PAID else UNKNOWN
