"""Where the bytes of a moved file are carried to."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("fileshare", "0013_company_grants")]

    operations = [
        migrations.AddField(
            model_name="file",
            name="next_key",
            field=models.CharField(blank=True, editable=False, max_length=500, null=True),
        ),
        migrations.AddIndex(
            model_name="file",
            index=models.Index(
                condition=models.Q(("next_key__isnull", False)), fields=["next_key"], name="file_to_carry"
            ),
        ),
    ]
