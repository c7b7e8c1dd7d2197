"""Payers, plans and payments."""

import pytest
from django.utils import timezone

from payments import transactions
from payments.models import Status, Transaction
from payments.mpesa import daraja
from tests.factories import PlanFactory
from tests.payments.daraja import PHONE, simulated  # noqa: F401 - a fixture


@pytest.fixture(autouse=True)
def _no_outage():
    """End an outage of Daraja that an earlier test has begun."""
    daraja.outage.ended()
    yield
    daraja.outage.ended()


@pytest.fixture
def plan(db):
    """5,000 bytes for 30 days, KES 100."""
    return PlanFactory(name="Small", amount=100, extra_bytes=5_000, days=30)


@pytest.fixture
def payer(people):
    """A client without a company."""
    return people["client"]


@pytest.fixture
def submitted(payer, plan):
    """submitted() is a payment that was pushed to its phone just now; `facts` may be set."""

    def make(**facts):
        number = Transaction.objects.count()
        row = transactions._begin(
            user=facts.pop("user", payer),
            phone_number=facts.pop("phone_number", PHONE if not number else f"2547{number:08}"),
            plan_id=facts.pop("plan", plan).pk,
            folder_id=facts.pop("folder_id", None),
        )
        now = timezone.now()
        row.status, row.submitted_at = Status.SUBMITTED, now
        row.next_query_at = now + transactions.QUERY_SCHEDULE[0]
        row.checkout_request_id, row.merchant_request_id = f"ws_CO_{row.pk.hex}", f"1-{number}-1"
        for name, value in facts.items():
            setattr(row, name, value)
        row.save()
        return row

    return make
