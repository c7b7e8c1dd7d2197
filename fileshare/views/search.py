"""The search page. It works with and without JavaScript."""

from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.views.decorators.http import require_safe

from config.api.pagination import Keyset
from fileshare.search.find import find

from ..content import folding
from ..forms.search import SearchForm
from ..models import File, Folder
from ..tags import clean_names, suggestions

PAGE = 50
MAX_FOLDERS = 200


@login_required
@require_safe
def search(request):
    """The files that match, newest first; no list while the form is empty."""
    folders = Folder.objects.downloadable_by(request.user).in_order()[:MAX_FOLDERS]
    form = SearchForm(request.GET, folders=folders)
    context, status = {"form": form, "known_tags": suggestions(user=request.user)}, 400
    if form.is_valid():
        status, wanted = 200, form.wanted()
        if wanted:
            pages = Keyset(request, model=File, time_field="uploaded_at", default_limit=PAGE)
            context["page"] = find(user=request.user, wanted=wanted, pages=pages)
            for row in context["page"].results:
                row.marked_name = marked(row.filename, wanted.words)
                for tag in row.tag_list:
                    tag.marked_name = marked_tag(tag.name, wanted)
    return render(request, "fileshare/search.html", context, status=status)


def marked_tag(name, wanted):
    """A tag's name as HTML: all of it marked when the user searched for this tag, else the part that a word matches."""
    if folding.fold(name) in map(folding.fold, clean_names(wanted.tags)):
        return format_html("<mark>{}</mark>", name)
    found = folding.find_all(name, wanted.words)
    return _marked(name, [part for part in found if part[0] == 0])


def marked(text, words):
    """`text` as HTML, with <mark> around each part that one of the folded `words` finds."""
    return _marked(text, folding.find_all(text, words))


def _marked(text, parts):
    pieces, position = [], 0
    for start, end in parts:
        pieces += [text[position:start], format_html("<mark>{}</mark>", text[start:end])]
        position = end
    return format_html_join("", "{}", ((piece,) for piece in [*pieces, text[position:]]))
