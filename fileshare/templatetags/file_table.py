"""The rows of file tables. Jinja2 fills them, since Django's engine took most of the time of a page of files.

What a row says is worked out here, once for each list or row: a template asks for nothing that costs.
"""

import functools
from types import SimpleNamespace
from urllib.parse import quote

from django import template
from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.dates import MONTHS_3
from django.utils.safestring import mark_safe
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from config.lazy import LazyModule

register = template.Library()
jinja2 = LazyModule("jinja2")
ANY_ID = "00000000-0000-0000-0000-000000000000"


@functools.cache
def _template():
    loader = jinja2.FileSystemLoader(settings.BASE_DIR / "templates" / "jinja2")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("fileshare/file_rows.html")


@register.filter
def any_changeable(files):
    """True when the user may delete one of these Files or FileRows (with_details), and so move and tag it."""
    return any(file.can_delete for file in files)


@register.simple_tag
def file_rows(files, *, zips=None, show_folder=False, current=None):
    """The `tr` elements of these Files or FileRows (with_details); `current` is the id of the one that is shown.

    With `zips` True or False a row can be ticked if the user may change its file, and with True if it can be
    downloaded.
    """
    words = {
        "select": _("Select"),
        "download": _("Download"),
        "delete": _("Delete"),
        "goes": _("Goes on"),
        "stays": _("Stays"),
        "public": _("Public"),
        "waiting": _("Being checked"),
        "quarantine": _("In quarantine"),
    }
    address = reverse("file", args=[ANY_ID])
    rows = [_row(file, address, words, current) for file in files]
    html = _template().render(
        files=rows,
        words=words,
        selectable=isinstance(zips, bool),
        zips=zips,
        show_folder=show_folder,
        search_url=reverse("search"),
        sprite=static("icons.svg"),
    )
    return mark_safe(html)  # noqa: S308 - the engine escapes all values


@register.filter
def has_shareable(files):
    """True when the user may share one of these rows, so that a list offers it. Whether they may is asked anew then."""
    return any(file.can_delete and file.is_clean for file in files)


def _row(file, address, words, current):
    pk, uploaded, expires = str(file.pk), timezone.localtime(file.uploaded_at), file.expires_at
    count = getattr(file, "version_count", 1)
    versions = ngettext("%(n)s version", "%(n)s versions", count) % {"n": count} if count > 1 and not current else ""
    is_clean = file.is_clean
    return SimpleNamespace(
        pk=pk,
        is_current=current == file.pk,
        name=file.filename,
        marked_name=getattr(file, "marked_name", ""),
        address=address.replace(ANY_ID, pk),
        extension=file.extension,
        versions=versions,
        is_clean=is_clean,
        is_waiting=file.is_waiting,
        scan="" if is_clean else words["waiting" if file.is_waiting else "quarantine"],
        is_public=file.visibility == "public",
        tags=[
            SimpleNamespace(name=tag.name, marked_name=getattr(tag, "marked_name", ""), quoted=quote(tag.name, safe=""))
            for tag in file.tag_list
        ],
        place=_place(file),
        size_bytes=file.size_bytes,
        size=_size(file.size_bytes, get_language()),
        uploaded_iso=file.uploaded_at.isoformat(),
        uploaded=f"{short_date(uploaded)}, {uploaded:%H:%M}",
        uploader=file.uploaded_by.name if file.uploaded_by else "",
        expires_iso=expires and expires.isoformat(),
        expires=expires and short_date(timezone.localtime(expires)),
        can_delete=file.can_delete,
    )


def _place(file):
    name = file.folder.shown_name
    return f"{name} / {file.subfolder.name}" if file.subfolder else name


@functools.lru_cache
def _month(number, _language):
    return MONTHS_3[number].title()


@functools.lru_cache(10_000)
def _size(size_bytes, _language):
    return filesizeformat(size_bytes)


def short_date(moment):
    """Django's `j M Y` of an aware datetime in the present time zone."""
    return f"{moment.day} {_month(moment.month, get_language())} {moment.year}"
