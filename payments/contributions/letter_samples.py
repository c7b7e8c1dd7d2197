"""A context of each kind of letter of this app, to build one without the database (accounts.checks)."""

from django.conf import settings

from accounts.models import User


def _sample():
    return {
        "user": User(name="Amina Wanjiku", email=f"amina@{settings.MAIL_DOMAIN}"),
        "plan": "Extra space",
        "amount": 500,
        "receipt": "SAMPLE0001",
        "folder": "Client documents",
        "extra_bytes": 2**30,
        "phone_number": "254700000000",
        "ends_on": "2026-01-31",
        "path": "/payments/sample",
    }


SAMPLES = dict.fromkeys(["payment_receipt", "plan_ended", "plan_ending"], _sample)
