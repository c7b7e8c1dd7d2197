"""Payments in the list of actions, which the database never knew: nothing to do."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_sharing_and_second_factors")]
    operations = []
