"""A simulated Daraja for tests, over real HTTP, and M-Pesa's callbacks without it."""

import json

import pytest
from django.conf import settings as project
from django.test import Client

from payments.models import Transaction
from payments.mpesa import callback_records
from payments.simulator import beside

PHONE = "254712345678"


@pytest.fixture(name="daraja")
def simulated(settings):
    """The simulator, with payers who answer at once; it calls back settings.MPESA_CALLBACK_URL."""
    settings.MPESA_ENV = "simulator"
    settings.MPESA_TIMEOUT_SECONDS = settings.MPESA_CONNECT_TIMEOUT_SECONDS = 5
    simulator = beside.make(delay=0.0, slow=1.0, late=0.0).start()
    settings.MPESA_BASE_URL = simulator.url
    yield simulator
    simulator.stop()
    # Wait for calls on their way, so that none reaches the portal of the next test.
    simulator.wait_for_calls()


def phone_of(digits):
    """A number whose payer does what the simulator's table says for these two digits."""
    return f"2547123456{digits}"


def callback(row, **changes):
    """The body of a callback that says `row` was paid, or what `changes` make of it."""
    facts = {
        "merchant": row.merchant_request_id,
        "checkout": row.checkout_request_id,
        "code": 0,
        "amount": row.amount,
        "receipt": "RLA0R69NXM",
        "phone": int(row.phone_number),
        **changes,
    }
    said = {
        "MerchantRequestID": facts["merchant"],
        "CheckoutRequestID": facts["checkout"],
        "ResultCode": facts["code"],
        "ResultDesc": "Said so.",
    }
    if facts["code"] == 0:
        said["CallbackMetadata"] = {
            "Item": [
                {"Name": "Amount", "Value": facts["amount"]},
                {"Name": "MpesaReceiptNumber", "Value": facts["receipt"]},
                {"Name": "Balance"},
                {"Name": "TransactionDate", "Value": 20261121114425},
                {"Name": "PhoneNumber", "Value": facts["phone"]},
            ]
        }
    return {"Body": {"stkCallback": said}}


def say(body, *, secret=None, ref="", client=None, **headers):
    """POST a callback as M-Pesa does; returns the answer."""
    secret = project.MPESA_CALLBACK_SECRET if secret is None else secret
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    query = f"?ref={ref}" if ref else ""
    return (client or Client()).post(
        f"/api/payments/cb/{secret}{query}", content, content_type="application/json", **headers
    )


def settle(body, **options):
    """POST a callback, and run the task that processes it."""
    answer = say(body, **options)
    callback_records.process_waiting()
    return answer


def fresh(row):
    """The payment as it is now."""
    return Transaction.objects.with_details().get(pk=row.pk)
