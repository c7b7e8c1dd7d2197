"""Plans to begin with; supers change them in the administration."""

from django.db import migrations

GIB = 2**30
PLANS = [
    ("Small", 100, 5 * GIB, 30),
    ("Medium", 300, 20 * GIB, 30),
    ("Large", 1200, 100 * GIB, 30),
]


def seed(apps, schema_editor):
    """A first three, where there is none at all: what a super took off sale stays away."""
    plan = apps.get_model("payments", "Plan")
    if plan.objects.using(schema_editor.connection.alias).exists():
        return
    plan.objects.using(schema_editor.connection.alias).bulk_create(
        plan(name=name, amount=amount, extra_bytes=extra_bytes, days=days) for name, amount, extra_bytes, days in PLANS
    )


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial")]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
