"""Folders and grants as lines of a list."""

from django.utils.html import format_html

from config.admin.lines import link, some_of


def folder_line(folder):
    """A link to a folder's page."""
    return link("fileshare_folder_change", folder.name, folder.pk)


def grants_list(permissions):
    """Grants as a list, each with its permission and its folder."""
    rows = permissions.select_related("folder", "role").order_by("folder__name", "permission_type", "pk")
    return some_of(
        rows, lambda grant: format_html("{}: {}", grant.get_permission_type_display(), folder_line(grant.folder))
    )
