"""The personal data of this app: a user's payments, for accounts.privacy.subject_rights.

Payments, with the phone number, are kept after the account is erased: they are the firm's books, which the law requires
it to keep.
"""

from accounts.keepers import Keeper, register
from accounts.privacy.subject_rights import newest_first

from .models import CURRENCY, Transaction


def payments(user):
    """Every payment that the user started, however it ended."""
    for row in newest_first(Transaction.objects.filter(user=user), time_field="created_at"):
        yield {
            "id": row.pk,
            "plan": row.plan_name,
            "amount": row.amount,
            "currency": CURRENCY,
            "phone_number": row.phone_number,
            "folder": row.folder_name,
            "status": row.public_status,
            "receipt_number": row.receipt_number,
            "created_at": row.created_at,
            "paid_at": row.paid_at,
        }


def keep():
    """Register this app's personal data."""
    register(Keeper(name="payments", sections={"payments": payments}, named_targets=("transaction",)))
