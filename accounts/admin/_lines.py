"""People and folders as lines of a list."""

from django.utils.html import format_html
from django.utils.translation import gettext as _

from config.admin_lines import link, some_of


def folder_line(folder):
    """A link to a folder's page."""
    return link("fileshare_folder_change", folder.name, folder.pk)


def person_line(user):
    """A link to a person's page, with name and address."""
    name = f"{user.name} · {user.email}" if user.is_active else _("%(email)s (off)") % {"email": user.email}
    return link("accounts_user_change", name, user.pk)


def grants_list(permissions):
    """Grants, each with what it allows and its folder."""
    rows = permissions.select_related("folder", "role").order_by("folder__name", "permission_type", "pk")
    return some_of(
        rows, lambda grant: format_html("{}: {}", grant.get_permission_type_display(), folder_line(grant.folder))
    )
