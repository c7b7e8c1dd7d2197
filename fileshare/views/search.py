"""Finding files: a form whose answer is a page, with or without JavaScript."""

import re

from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from config.pagination import Keyset

from .. import search as operation
from ..forms.search import SearchForm
from ..models import File, Folder
from ..tags import clean_names, suggestions

PAGE = 50
MAX_FOLDERS = 200


@login_required
@require_safe
def search(request):
    """The files that fit, newest first; nothing yet while nothing is asked."""
    folders = Folder.objects.downloadable_by(request.user).in_order()[:MAX_FOLDERS]
    form = SearchForm(request.GET, folders=folders)
    context, status = {"form": form, "known_tags": suggestions(user=request.user)}, 400
    if form.is_valid():
        status, wanted = 200, form.wanted()
        if wanted:
            pages = Keyset(request, model=File, time_field="uploaded_at", default_limit=PAGE)
            context["page"] = operation.find(user=request.user, wanted=wanted, pages=pages)
            for row in context["page"].results:
                row.marked_name = marked(row.filename, wanted.words)
                for tag in row.tag_list:
                    tag.marked_name = marked_tag(tag.name, wanted)
    return render(request, "fileshare/search.html", context, status=status)


def marked_tag(name, wanted):
    """A tag's name as HTML: marked whole where it was asked for, at its beginning where a word begins it."""
    if name in clean_names(wanted.tags):
        return marked(name, [name])
    begun = max((word for word in map(str.lower, wanted.words) if name.startswith(word)), key=len, default="")
    return format_html("<mark>{}</mark>{}", name[: len(begun)], name[len(begun) :]) if begun else name


def marked(text, words):
    """`text` as HTML, each of `words` in it between <mark> and </mark>."""
    if not words:
        return conditional_escape(text)
    longest_first = sorted(words, key=len, reverse=True)
    pieces = re.split(f"({'|'.join(map(re.escape, longest_first))})", text, flags=re.IGNORECASE)
    # Every piece is escaped before it is put together, and every second one is a word.
    escaped = [conditional_escape(piece) for piece in pieces]
    escaped[1::2] = [f"<mark>{piece}</mark>" for piece in escaped[1::2]]
    return mark_safe("".join(escaped))  # noqa: S308
