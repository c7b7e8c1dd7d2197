"""The API token's scopes for payments."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Scope(models.TextChoices):
    """Stored text and label."""

    PAYMENTS_READ = "payments:read", _("See plans and payments")
    PAYMENTS_WRITE = "payments:write", _("Start payments")


PAYMENTS = (Scope.PAYMENTS_READ, Scope.PAYMENTS_WRITE)
