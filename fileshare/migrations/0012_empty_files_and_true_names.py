"""Files and uploads may be empty; a picture may have another name than it was sent with."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("fileshare", "0011_fold_names")]

    operations = [
        migrations.RemoveConstraint(model_name="file", name="file_size_positive"),
        migrations.RemoveConstraint(model_name="upload", name="upload_size_positive"),
        migrations.AddField(
            model_name="file",
            name="sent_as",
            field=models.CharField(blank=True, db_default="", editable=False, max_length=255),
        ),
        migrations.AddConstraint(
            model_name="file",
            constraint=models.CheckConstraint(
                condition=models.Q(("size_bytes__gte", 0)), name="file_size_not_negative"
            ),
        ),
        migrations.AddConstraint(
            model_name="upload",
            constraint=models.CheckConstraint(
                condition=models.Q(("size_bytes__gte", 0)), name="upload_size_not_negative"
            ),
        ),
    ]
