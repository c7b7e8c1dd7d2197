"""Kills (SIGKILL) a process of the portal at the first, second, … last step of its work on a payment.

    python -m tests.payments.crash process PAYMENT
    python -m tests.payments.crash start PAYMENT

The environment (DATABASE_URL, DATA_DIR) names the portal. The kill comes before a statement other than SELECT, or
before or after a push to Daraja. Each run meets what the killed ones left; the last one runs to its end. Prints the
number of kills.
"""

import os
import signal
import sys

import django

if __name__ == "__main__":
    django.setup()

from django.conf import settings
from django.db import connection

from config.errors import Refused
from payments import transactions
from payments.models import Transaction
from payments.mpesa import callback_records, daraja

PHONE = "254712345678"


class KilledAt:
    """Counts the steps, and kills the process at the given one."""

    def __init__(self, step):
        self._left = step

    def count(self):
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def query(self, execute, sql, params, many, context):
        if not sql.startswith("SELECT"):
            self.count()
        return execute(sql, params, many, context)

    def call(self, function):
        def counted(*args, **kwargs):
            self.count()
            answer = function(*args, **kwargs)
            self.count()
            return answer

        return counted


def start(row):
    settings.MPESA_ENV, settings.MPESA_BASE_URL = "simulator", os.environ["SIMULATOR"]
    try:
        transactions.start(user=row.user, phone_number=PHONE, plan_id=row.plan_id)
    except Refused as refusal:
        if refusal.code not in ("payment_pending", "push_too_soon"):
            raise


def run(operation, payment, step):
    killed = KilledAt(step)
    daraja.push = killed.call(daraja.push)
    row = Transaction.objects.get(pk=payment)
    with connection.execute_wrapper(killed.query):
        if operation == "start":
            start(row)
        else:
            callback_records.process_waiting()


def main(operation, payment):
    step, ended = 0, False
    while not ended:
        step += 1
        child = os.fork()
        if child == 0:
            run(operation, payment, step)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status not in (0, signal.SIGKILL):
            sys.exit(f"step {step} ended with {status}")
        ended = status == 0
    print(step - 1)  # noqa: T201 - the number is what the caller asked for


if __name__ == "__main__":
    main(*sys.argv[1:])
