"""Names of models and columns in the admin, in both languages.

Django makes such names from the code, in English. Each app defines its own in its module `names` and not in the models:
there, each new wording would need a migration.
"""

from django.apps import apps
from django.utils.translation import gettext_lazy as _

# Columns that several apps have, in English as Django would name them. Each app names its other columns.
FIELDS = {
    "address": _("address"),
    "closed_at": _("closed at"),
    "created_at": _("created at"),
    "email": _("email"),
    "expires_at": _("expires at"),
    "language": _("language"),
    "name": _("name"),
    "received_at": _("received at"),
    "revoked_at": _("revoked at"),
    "size_bytes": _("size bytes"),
    "slug": _("slug"),
    "status": _("status"),
    "updated_at": _("updated at"),
    "user": _("user"),
    "user_agent": _("user agent"),
}


def give(label, models, fields):
    """Set the names that the models of the app `label` do not set themselves.

    `models` is {model in lower case: (singular, plural)}, `fields` is {column: name}.
    """
    for model in apps.get_app_config(label).get_models():
        if model._meta.model_name in models:
            model._meta.verbose_name, model._meta.verbose_name_plural = models[model._meta.model_name]
        for field in [*model._meta.local_fields, *model._meta.local_many_to_many]:
            name = fields.get(field.name) or FIELDS.get(field.name)
            if name is not None and field.verbose_name == field.name.replace("_", " "):
                field.verbose_name = name
