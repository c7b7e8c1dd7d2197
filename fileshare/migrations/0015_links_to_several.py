"""A share link may lead to several files or to a folder. Links to one file stay as they are."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fileshare", "0014_moved_files"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="sharelink",
            name="folder",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="shares",
                to="fileshare.folder",
            ),
        ),
        migrations.AddField(
            model_name="sharelink",
            name="subfolder",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="shares",
                to="fileshare.subfolder",
            ),
        ),
        migrations.AddField(
            model_name="sharelink",
            name="file_count",
            field=models.PositiveIntegerField(
                blank=True, null=True, validators=[django.core.validators.MinValueValidator(2)]
            ),
        ),
        migrations.AlterField(
            model_name="sharelink",
            name="file",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="shares",
                to="fileshare.file",
            ),
        ),
        migrations.AddIndex(
            model_name="sharelink",
            index=models.Index(
                condition=models.Q(("folder__isnull", False)), fields=["folder"], name="share_of_folder"
            ),
        ),
        migrations.AddIndex(
            model_name="sharelink",
            index=models.Index(
                condition=models.Q(("subfolder__isnull", False)), fields=["subfolder"], name="share_of_subfolder"
            ),
        ),
        migrations.AddConstraint(
            model_name="sharelink",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("file__isnull", False), ("file_count", None), ("folder", None), ("subfolder", None)),
                    models.Q(("file", None), ("file_count", None), ("folder__isnull", False)),
                    models.Q(
                        ("file", None),
                        ("file_count__isnull", False),
                        ("folder", None),
                        ("subfolder", None),
                        ("file_count__gte", 2),
                        ("file_count__lte", 1000),
                    ),
                    _connector="OR",
                ),
                name="share_of_one_kind",
            ),
        ),
        migrations.CreateModel(
            name="SharedFile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "file",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="shared", to="fileshare.file"
                    ),
                ),
                (
                    "share",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shared_files",
                        to="fileshare.sharelink",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("share", "file"), name="shared_file_once")],
            },
        ),
        migrations.AddField(
            model_name="sharedownload",
            name="file",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="fileshare.file",
            ),
        ),
        migrations.AddField(
            model_name="sharedownload",
            name="file_count",
            field=models.PositiveIntegerField(db_default=1, default=1),
        ),
        migrations.AddIndex(
            model_name="sharedownload",
            index=models.Index(
                condition=models.Q(("file__isnull", False)), fields=["file"], name="share_download_of_file"
            ),
        ),
        migrations.AlterField(
            model_name="archive",
            name="user",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="archive",
            name="use",
            field=models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="archive",
                to="fileshare.sharedownload",
            ),
        ),
        migrations.AddConstraint(
            model_name="archive",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("use", None), ("user__isnull", False)),
                    models.Q(("use__isnull", False), ("user", None)),
                    _connector="OR",
                ),
                name="archive_of_user_or_use",
            ),
        ),
    ]
