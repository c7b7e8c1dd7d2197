"""Supers create and change plans, and take them off sale. Payments made keep the terms they had."""

from django.db import transaction

from accounts.people.roles import assert_super
from audit.log import record
from payments.contributions.actions import Action


@transaction.atomic
def save(*, user, plan):
    """Save a new or changed Plan whose fields are valid. Raises PermissionDenied. Returns the Plan."""
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
