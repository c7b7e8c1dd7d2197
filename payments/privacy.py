"""What this app keeps of a person: what they paid, for accounts.privacy.

Payments outlive an account, telephone number included: they are the firm's books, which the law has it keep.
"""

from accounts.privacy import Keeper, newest_first, register

from .models import CURRENCY, Transaction


def payments(user):
    """Every payment the person began, however it ended."""
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
    """Register this app's part."""
    register(Keeper(name="payments", sections={"payments": payments}))
