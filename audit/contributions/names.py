"""The names of the log's models and columns in the admin (config.contributions.names)."""

from django.utils.translation import gettext_lazy as _

# {model: (singular, plural)}
MODELS = {
    "event": (_("event"), _("events")),
}
FIELDS = {
    "action": _("action"),
    "actor": _("actor"),
    "actor_email": _("actor email"),
    "detail": _("detail"),
    "folder_slug": _("folder slug"),
    "subfolder_slug": _("subfolder slug"),
    "hash": _("hash"),
    "prev_hash": _("prev hash"),
    "request_id": _("request id"),
    "seq": _("seq"),
    "target_id": _("target id"),
    "target_name": _("target name"),
    "target_type": _("target type"),
}
