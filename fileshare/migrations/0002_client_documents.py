"""The folder Client documents: clients download from it, ops upload to it and download from it."""

from django.db import migrations

GRANTS = (("client", "download"), ("ops", "upload"), ("ops", "download"))


def seed(apps, schema_editor):
    database = schema_editor.connection.alias
    folder, _created = (
        apps.get_model("fileshare", "Folder")
        .objects.using(database)
        .get_or_create(
            slug="documents",
            defaults={
                "name": "Client documents",
                "description": "Office documents from the firm to its clients.",
                "type_policy": "office",
            },
        )
    )
    groups = apps.get_model("auth", "Group").objects.using(database)
    permissions = apps.get_model("fileshare", "FolderPermission").objects.using(database)
    for role, permission_type in GRANTS:
        permissions.get_or_create(folder=folder, role_id=groups.get(name=role).pk, permission_type=permission_type)


class Migration(migrations.Migration):
    dependencies = [("fileshare", "0001_initial"), ("accounts", "0002_built_in_roles")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
