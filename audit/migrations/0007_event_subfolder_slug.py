"""The subfolder of an event."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0006_folder_and_action")]

    operations = [
        migrations.AddField(
            model_name="event",
            name="subfolder_slug",
            field=models.CharField(blank=True, db_default="", max_length=100),
        ),
    ]
