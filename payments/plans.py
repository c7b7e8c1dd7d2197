"""Plans: put on sale, changed, taken off sale by supers. What was bought keeps the terms it was bought on."""

from django.db import transaction

from accounts.roles import assert_super
from audit.log import record
from audit.models import Action


@transaction.atomic
def save(*, user, plan):
    """Keep a new or changed Plan whose fields are valid. Raises PermissionDenied. Returns it."""
    assert_super(user)
    new = plan._state.adding
    plan.save()
    record(
        Action.PLAN_CHANGED,
        user=user,
        target=plan,
        size_bytes=plan.extra_bytes,
        change="made" if new else "changed",
        after={"name": plan.name, "amount": plan.amount, "days": plan.days, "is_active": plan.is_active},
    )
    return plan
