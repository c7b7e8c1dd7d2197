"""Folders and grants as lines of a list."""

from django.utils.html import format_html
from django.utils.translation import gettext as _

from accounts.models import User
from config.admin.lines import link, some_of

from ..models import Folder


def folder_line(folder):
    """A link to a folder's page."""
    return link("fileshare_folder_change", folder.name, folder.pk)


def grants_list(permissions):
    """Grants as a list, each with its permission and its folder."""
    rows = permissions.select_related("folder", "role").order_by("folder__name", "permission_type", "pk")
    return some_of(
        rows, lambda grant: format_html("{}: {}", grant.get_permission_type_display(), folder_line(grant.folder))
    )


def rights_list(user):
    """What a user may use, each folder with its right and with who has it: they, a role or their company."""
    rights = Folder.objects.exclude(owner=user).reasons(user)
    lines = some_of(rights, _right_line)
    if user.is_active and user.is_superuser:
        everything = _("Every folder, as a super.")
        return format_html("{}{}", everything, lines) if rights else everything
    return lines


def _right_line(right):
    folder, kind, holder = right
    whose = _("granted to them") if isinstance(holder, User) else holder.name
    return format_html("{}: {} ({})", kind.label, folder_line(folder), whose)
