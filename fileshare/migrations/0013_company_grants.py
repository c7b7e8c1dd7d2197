import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """A grant may be for a company. Code of before goes on making grants for users and roles."""

    dependencies = [
        ("accounts", "0006_api_tokens"),
        ("fileshare", "0012_empty_files_and_true_names"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="folderpermission", name="permission_for_user_or_role"),
        migrations.AddField(
            model_name="folderpermission",
            name="company",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="folder_permissions",
                to="accounts.company",
            ),
        ),
        migrations.AddConstraint(
            model_name="folderpermission",
            constraint=models.CheckConstraint(
                condition=Q(user__isnull=False, role=None, company=None)
                | Q(user=None, role__isnull=False, company=None)
                | Q(user=None, role=None, company__isnull=False),
                name="permission_for_one_holder",
                violation_error_message="Name a person, a role or a company: one of them.",
            ),
        ),
        migrations.AddConstraint(
            model_name="folderpermission",
            constraint=models.UniqueConstraint(
                condition=Q(company__isnull=False),
                fields=["folder", "company", "permission_type"],
                name="permission_once_per_company",
            ),
        ),
    ]
