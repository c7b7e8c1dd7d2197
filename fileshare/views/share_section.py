"""The part of a file's page that is about its share links."""

from config import qr

from .. import previews, shares
from ..forms.shares import ShareForm
from ..models import File, ShareLink

SHOWN = 50
MADE = "made_shares"


def section(request, file, *, form=None):
    """What the file's page needs to preview and to share; of sharing only for whoever may."""
    may_download = File.objects.downloadable_by(request.user).filter(pk=file.pk).exists()
    context = {"preview_kind": previews.kind_of(file) if may_download else ""}
    if not File.objects.shareable_by(request.user).filter(pk=file.pk).exists():
        return context
    rows = shares.told(ShareLink.objects.of(request.user).filter(file=file)).order_by("-created_at", "-pk")
    links = shares.with_states(rows[: SHOWN + 1])
    return context | {
        "share_form": form or ShareForm(folder=file.folder),
        "share_links": links[:SHOWN],
        "share_more": len(links) > SHOWN,
        "share_made": _just_made(request, file, links),
    }


def remember(request, file_id, made):
    """Let the next page of the file tell the addresses of the links made now; ids are kept, no tokens."""
    request.session[MADE] = {"file": str(file_id), "links": [str(one.link.pk) for one in made]}


def _just_made(request, file, links):
    facts = request.session.get(MADE)
    if not facts or facts["file"] != str(file.pk):
        return []
    del request.session[MADE]
    made = []
    for link in links:
        token = shares.token_of(link) if str(link.pk) in facts["links"] else None
        if token:
            address = shares.address_of(token)
            made.append({"link": link, "address": address, "qr": qr.svg(address)})
    return made
