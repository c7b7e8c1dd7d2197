"""The log's actions on payments and plans."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Action(models.TextChoices):
    """Stored text and label."""

    PAYMENT_STARTED = "payment_started", _("Payment asked for")
    PAYMENT_SETTLED = "payment_settled", _("Payment settled")
    PAYMENT_CALLBACK_REFUSED = "payment_callback_refused", _("Payment callback refused")
    PAYMENT_REVIEWED = "payment_reviewed", _("Payment reviewed")
    PAYMENTS_EXPORTED = "payments_exported", _("Payments exported")
    PLAN_CHANGED = "plan_changed", _("Plan changed")
