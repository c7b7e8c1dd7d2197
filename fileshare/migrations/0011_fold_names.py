from django.db import migrations, models

from fileshare.search import folding


def fold_names(apps, schema_editor):
    """In short transactions, each of some rows, so that the portal goes on meanwhile."""
    for name, source in (("File", "filename"), ("Tag", "name")):
        rows = apps.get_model("fileshare", name)._base_manager.filter(folded_name=None)
        folding.fold_rows(rows, source, database=schema_editor.connection)


class AddIndexAside(migrations.AddIndex):
    """Adds an index while rows go on being written, which PostgreSQL can do outside of a transaction only.

    A run that was broken off may have left the index, perhaps an invalid one. So it is made anew.
    """

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor != "postgresql" or schema_editor.connection.in_atomic_block:
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            name = schema_editor.quote_name(self.index.name)
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            schema_editor.add_index(model, self.index, concurrently=True)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("fileshare", "0010_folded_names"),
    ]

    operations = [
        migrations.RunPython(fold_names, migrations.RunPython.noop),
        # Behind the work, so that it is made of few rows.
        AddIndexAside(
            model_name="file",
            index=models.Index(condition=models.Q(("folded_name", None)), fields=["id"], name="file_not_folded"),
        ),
        AddIndexAside(
            model_name="tag",
            index=models.Index(fields=["folded_name"], name="tag_folded_name", opclasses=["text_pattern_ops"]),
        ),
    ]
