"""The pages of the trash: deleted files that can still be restored."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from config.api.pagination import keyset_page

from .. import files
from ..models import File

PAGE = 50


@login_required
@require_safe
def trash(request):
    """The files the user may restore, last deleted first."""
    rows = File.objects.restorable_by(request.user).with_details(request.user).select_related("deleted_by")
    page = keyset_page(rows, request=request, time_field="deleted_at", default_limit=PAGE)
    return render(request, "fileshare/trash.html", {"page": page, "trash_days": settings.TRASH_DAYS})


@login_required
@require_POST
def restore(request, file_id):
    """Put a file back where it was."""
    row = files.restore(user=request.user, file_id=file_id)
    place = row.subfolder or row.folder
    link = format_html('<a href="{}">{}</a>', place.get_absolute_url(), place.name)
    messages.success(request, format_html(_("“{name}” is back in {place}."), name=row.filename, place=link))
    return redirect("trash")


@login_required
@require_POST
def purge(request, file_id):
    """Delete a file for good."""
    row = files.purge(user=request.user, file_id=file_id)
    messages.success(request, _("“%(name)s” was deleted for good.") % {"name": row.filename})
    return redirect("trash")
