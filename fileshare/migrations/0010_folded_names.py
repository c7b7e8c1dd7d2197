from django.db import migrations, models


def drop_index(apps, schema_editor):
    """The index of versions that folded names in the database, made after `migrate`; it would slow the next migration.

    Without it code of before goes on searching, slowly.
    """
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS file_name_trigrams")


class Migration(migrations.Migration):
    """Columns without a default: the tables are not written anew, and code of before goes on inserting rows."""

    dependencies = [
        ("fileshare", "0009_scan_state_and_holds"),
    ]

    operations = [
        migrations.RunPython(drop_index, migrations.RunPython.noop),
        migrations.AddField(
            model_name="file",
            name="folded_name",
            field=models.TextField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="tag",
            name="folded_name",
            field=models.TextField(editable=False, null=True),
        ),
    ]
