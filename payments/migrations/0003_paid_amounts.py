"""The index of what is paid holds the amounts too: a sum reads it alone."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_plans")]

    operations = [
        migrations.RemoveIndex(model_name="transaction", name="payment_paid_at"),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                fields=["paid_at", "amount"],
                condition=models.Q(("paid_at__isnull", False)),
                name="payment_paid_at",
            ),
        ),
    ]
