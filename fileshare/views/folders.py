"""Folder cards and the file browser."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.views.decorators.http import require_safe

from config.api.pagination import keyset_page, offset_page, read_limit
from fileshare import folders, holds
from fileshare.content import file_types

from ..forms.files import UploadForm
from ..models import File, Folder

PAGE = 50
CARDS = 200


@login_required
@require_safe
def folder_list(request):
    """A card for each folder the user sees, page by page."""
    folders.personal_folder(request.user)
    rows = Folder.objects.visible_to(request.user).with_rights(request.user).in_order()
    page = offset_page(rows, request=request, default_limit=CARDS)
    return render(request, "fileshare/folders.html", {"folders": page.results, "page": page})


@login_required
@require_safe
def folder(request, slug, subfolder_slug=None):
    """The files of a folder's root or of a subfolder; of each name only the newest version."""
    row = folders.visible_folder(user=request.user, slug=slug)
    subfolder = None if subfolder_slug is None else folders.subfolder_of(row, slug=subfolder_slug)
    files = File.objects.in_folder(row, request.user).filter(subfolder=subfolder).latest_versions()
    context = {
        "folder": row,
        "subfolder": subfolder,
        "subfolders": [] if subfolder else list(row.subfolders.all()),
        "page": file_page(request, files),
        "holds": holds.on_folder(user=request.user, folder=row),
        **upload_context(row, subfolder),
    }
    for child in context["subfolders"]:
        child.folder = row
    return render(request, "fileshare/folder.html", context)


@login_required
@require_safe
def my_files(request):
    """The files the user uploaded to any folder, and the form to upload more."""
    personal = folders.visible_folder(user=request.user, folder_id=folders.personal_folder(request.user).pk)
    files = File.objects.visible_to(request.user).filter(uploaded_by=request.user).latest_versions()
    context = {"page": file_page(request, files), "personal": personal, **upload_context(personal, None)}
    return render(request, "fileshare/my_files.html", context)


def file_page(request, files):
    """A page of files with everything that a file table shows."""
    rows = files.with_details(request.user)
    limit = read_limit(request.GET, default=PAGE)
    return keyset_page(rows, request=request, time_field="uploaded_at", default_limit=limit)


def upload_context(folder, subfolder):
    """What the templates of the drop zone and of its form without scripts need."""
    initial = {"folder_id": folder.pk, "subfolder_id": subfolder and subfolder.pk}
    return {
        "upload_form": UploadForm(initial=initial, policy=folder.type_policy) if folder.can_upload else None,
        "type_hint": file_types.hint(folder.type_policy),
        "max_form_bytes": settings.MAX_FORM_UPLOAD_BYTES,
    }
