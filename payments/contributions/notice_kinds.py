"""The kinds of notices to users about their payments and bought space."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.notices.kinds import NOW, Group, Kind, page

GROUPS = {"payments": Group(gettext_lazy("Payments"), 50)}


def _settled(facts):
    texts = {
        "paid": _("Your payment of KES %(amount)s for “%(plan)s” has arrived."),
        "failed": _("Your payment for “%(plan)s” did not go through."),
        "cancelled": _("Your payment for “%(plan)s” was cancelled."),
        "timed_out": _("Your payment for “%(plan)s” was not confirmed in time."),
        "needs_review": _("We are looking into your payment for “%(plan)s”."),
    }
    return texts.get(str(facts["status"]), _("Your payment for “%(plan)s” is settled.")) % facts


def _ending(facts):
    return _("The space of “%(plan)s” ends soon.") % facts


def _ended(facts):
    return _("The space of “%(plan)s” has ended.") % facts


def _payment(facts):
    return page("payment", "transaction_id")(facts) or page("payments")(facts)


KINDS = (
    Kind(
        "payment_settled",
        gettext_lazy("A payment of yours fails or has to be looked at"),
        "payments",
        "check",
        NOW,
        _settled,
        _payment,
        # The payer of a paid payment gets a receipt by mail instead.
        mails=lambda facts: facts["status"] != "paid",
    ),
    Kind("plan_ending", gettext_lazy("Bought space ends soon"), "payments", "clock", None, _ending, _payment),
    Kind("plan_ended", gettext_lazy("Bought space has ended"), "payments", "clock", None, _ended, _payment),
)
