"""Revenue by day."""

from datetime import timedelta

from django.db.models import Count, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from payments.models import Transaction
from payments.mpesa.daraja import NAIROBI


def all_time():
    """Whole shillings received since the beginning."""
    # The partial index payment_paid_at holds the amounts of paid payments, so this reads no other payment.
    return Transaction.objects.filter(paid_at__isnull=False).aggregate(total=Sum("amount"))["total"] or 0


def revenue(*, days):
    """[{day, amount, count}] of the last `days` days of Nairobi's calendar, oldest first, empty days included."""
    today = timezone.localtime(timezone.now(), NAIROBI).date()
    first = today - timedelta(days=days - 1)
    paid = Transaction.objects.filter(paid_at__gte=timezone.now() - timedelta(days=days + 1)).annotate(
        day=TruncDate("paid_at", tzinfo=NAIROBI)
    )
    sums = {
        row["day"]: row
        for row in paid.values("day").order_by("day").annotate(total=Sum("amount"), payments=Count("pk"))
        if row["day"] >= first
    }
    return [
        {
            "day": day,
            "amount": sums[day]["total"] if day in sums else 0,
            "count": sums[day]["payments"] if day in sums else 0,
        }
        for day in (first + timedelta(days=number) for number in range(days))
    ]
