"""Folder cards and the file browser."""

from functools import partial

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.views.decorators.http import require_safe

from config.api.pagination import offset_page
from fileshare import audiences, folders, holds, lists
from fileshare.content import file_types

from ..forms.files import UploadForm

PAGE = 50
CARDS = 200
PEOPLE = 100


@login_required
@require_safe
def folder_list(request):
    """A card for each folder the user sees, page by page."""
    folders.personal_folder(request.user)
    page = offset_page(partial(lists.folders_seen_by, request.user), request=request, default_limit=CARDS)
    rows = audiences.told_of_everybody(page.results)
    return render(request, "fileshare/folders.html", {"folders": rows, "page": page})


@login_required
@require_safe
def folder(request, slug, subfolder_slug=None):
    """The files of a folder's root or of a subfolder; of each name only the newest version."""
    row = folders.visible_folder(user=request.user, slug=slug)
    subfolder = None if subfolder_slug is None else folders.subfolder_of(row, slug=subfolder_slug)
    context = {
        "folder": row,
        "subfolder": subfolder,
        "subfolders": [] if subfolder else list(row.subfolders.all()),
        "page": lists.page_of_folder(
            row,
            user=request.user,
            request=request,
            subfolder=subfolder.pk if subfolder else lists.ROOT,
            newest_versions=True,
            default_limit=PAGE,
        ),
        "holds": holds.on_folder(user=request.user, folder=row),
        **upload_context(row, subfolder, user=request.user),
    }
    for child in context["subfolders"]:
        child.folder = row
    return render(request, "fileshare/folder.html", context)


@login_required
@require_safe
def my_files(request):
    """The files the user uploaded to any folder, and the form to upload more."""
    personal = folders.visible_folder(user=request.user, folder_id=folders.personal_folder(request.user).pk)
    page = lists.OWN_NEWEST.page(user=request.user, request=request, default_limit=PAGE)
    context = {"page": page, "personal": personal, **upload_context(personal, None, user=request.user)}
    return render(request, "fileshare/my_files.html", context)


@login_required
@require_safe
def seen_by(request, slug):
    """The people who see a folder, page by page; who uploads to it reads their names."""
    people = audiences.people_of(user=request.user, slug=slug)
    page = offset_page(people.rows, request=request, default_limit=PEOPLE)
    context = {
        "folder": people.folder,
        "hidden": people.hidden,
        "page": page,
        "shows_addresses": audiences.is_of_the_firm(request.user),
        "seen": audiences.of_folder(people.folder).line(request.user),
    }
    return render(request, "fileshare/seen_by.html", context)


def upload_context(folder, subfolder, *, user):
    """What the templates of the drop zone and of its form without scripts need, and the line on who sees the folder."""
    initial = {"folder_id": folder.pk, "subfolder_id": subfolder and subfolder.pk}
    return {
        "upload_form": UploadForm(initial=initial, policy=folder.type_policy) if folder.can_upload else None,
        "type_hint": file_types.hint(folder.type_policy),
        "max_form_bytes": settings.MAX_FORM_UPLOAD_BYTES,
        "seen": audiences.of_folder(folder).seen(user),
    }
