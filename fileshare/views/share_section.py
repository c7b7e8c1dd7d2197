"""The section of a file's page for its preview and its share links."""

from config.drawing import qr
from fileshare.outgoing import previews
from fileshare.sharing import addresses, shares

from ..forms.shares import ShareForm
from ..models import File, ShareLink

SHOWN = 50
MADE = "made_shares"


def section(request, file, *, form=None):
    """What the file's page needs for the preview, and for sharing when the user may share the file."""
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
    """Let the next view of the file's page show the addresses of the new links. The session keeps ids, no tokens."""
    request.session[MADE] = {"file": str(file_id), "links": [str(one.link.pk) for one in made]}


def _just_made(request, file, links):
    facts = request.session.get(MADE)
    if not facts or facts["file"] != str(file.pk):
        return []
    del request.session[MADE]
    made = []
    for link in links:
        token = addresses.token_of(link) if str(link.pk) in facts["links"] else None
        if token:
            address = addresses.address_of(token)
            made.append({"link": link, "address": address, "qr": qr.svg(address)})
    return made
