"""One file: its page, its download, and the forms that change it."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from audit import reading
from config.access import get_visible
from config.errors import Invalid
from config.forms import attempt
from config.http.throttling import throttle
from config.http.view_facts import says
from fileshare import audiences, files, folders, holds, tags
from fileshare.incoming import completion, uploads
from fileshare.many import deleting, undoing
from fileshare.outgoing import downloads

from ..forms.files import FileForm, TagForm, UploadForm
from ..models import File
from . import many
from .share_section import section

VERSIONS_SHOWN = 100


@says(shows_secret=True)
@login_required
@require_safe
def file(request, file_id):
    """A file with its versions, newest first, and its history for users who may change it."""
    return file_page(request, file_id)


def file_page(request, file_id, *, form=None, tag_form=None, share_form=None, status=200):
    """The page of a file. Forms that were not valid are shown again with their errors."""
    rows = File.objects.visible_to(request.user).with_details(request.user)
    row = get_visible(file_id, rows.with_version_count())
    versions = rows.versions_of(row).with_version_count().order_by("-uploaded_at", "-pk")[:VERSIONS_SHOWN]
    if form is None and row.can_delete:
        form = FileForm(initial={"filename": row.filename})
    context = {
        "file": row,
        "versions": list(versions),
        "rename_form": form,
        "tag_form": tag_form or TagForm(),
        "known_tags": tags.suggestions(user=request.user) if row.can_delete else [],
        "trash_days": settings.TRASH_DAYS,
        "holds": holds.on_file(user=request.user, file=row),
        "history": reading.history(user=request.user, target=row, is_theirs=row.can_delete),
        **section(request, row, form=share_form),
    }
    return render(request, "fileshare/file.html", context, status=status)


@login_required
@require_safe
def download(request, file_id):
    """Create an encrypted link for this user and redirect to it."""
    throttle(request, "download_url")
    return redirect(downloads.link_for(user=request.user, file_id=file_id))


@login_required
@require_POST
def delete(request, file_id):
    """Move a file to the trash and go back to the list that it was in; from its own page, to its folder."""
    row = files.delete(user=request.user, file_id=file_id)
    text = ngettext(
        "“{name}” was moved to {trash}. It can be restored within {days} day.",
        "“{name}” was moved to {trash}. It can be restored within {days} days.",
        settings.TRASH_DAYS,
    )
    link = format_html('<a href="{}">{}</a>', reverse("trash"), _("the trash"))
    told = format_html(text, name=row.filename, trash=link, days=settings.TRASH_DAYS)
    token = undoing.of_deletion(request.user, deleting.Deleted([row], [], row.deleted_at))
    messages.success(request, many.with_undo(told, token), extra_tags="undo")
    place = (row.subfolder or row.folder).get_absolute_url()
    came_from = many.back_from(request, otherwise=place)
    return redirect(place if came_from.endswith(row.get_absolute_url()) else came_from)


@login_required
@require_POST
def edit(request, file_id):
    """Rename a file, or set who may see it."""
    form = FileForm(request.POST)
    if form.is_valid():
        done, _result = attempt(form, files.change, user=request.user, file_id=file_id, **form.changes())
        if done:
            messages.success(request, _("Saved."))
            return redirect("file", file_id)
    return file_page(request, file_id, form=form, status=400)


@login_required
@require_POST
def add_tags(request, file_id):
    """Add tags to a file and show it again."""
    form = TagForm(request.POST)
    if form.is_valid():
        names = [form.cleaned_data["tags"]]
        done, _result = attempt(form, files.add_tags, user=request.user, file_id=file_id, names=names)
        if done:
            return redirect("file", file_id)
    return file_page(request, file_id, tag_form=form, status=400)


@login_required
@require_POST
def remove_tag(request, file_id, tag_id):
    """Remove a tag from a file and show it again."""
    files.remove_tag(user=request.user, file_id=file_id, tag_id=tag_id)
    return redirect("file", file_id)


@login_required
@require_POST
def upload(request):
    """The upload form without JavaScript: one file, to the folder or subfolder that the form names."""
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        if "tags" in form.errors:
            raise Invalid("tags", form.errors["tags"][0])
        raise Invalid("file", _("Choose a file to upload."))
    facts = form.cleaned_data
    place = uploads.place_for(
        user=request.user,
        folder_id=facts["folder_id"] or folders.personal_folder(request.user).pk,
        subfolder_id=facts["subfolder_id"],
    )
    audiences.assert_agreed(place.folder, agreed=facts["agreed"])
    upload = facts["file"]
    row = completion.receive(
        user=request.user,
        place=place,
        filename=upload.name,
        content_type=upload.content_type or "",
        stream=upload,
        size_bytes=upload.size,
        tag_names=[facts["tags"]],
    )
    messages.success(request, " ".join([_("“%(name)s” is uploaded.") % {"name": row.filename}, row.note]).strip())
    return redirect(place.subfolder or place.folder)
