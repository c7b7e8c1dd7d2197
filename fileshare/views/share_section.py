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
    rows = shares.told(ShareLink.objects.of(request.user).leading_to(file)).order_by("-created_at", "-pk")
    links = shares.with_states(rows[: SHOWN + 1])
    return context | {
        "share_form": form or ShareForm(folders=[file.folder]),
        "share_links": links[:SHOWN],
        "share_more": len(links) > SHOWN,
        "share_made": just_made(request, file.pk),
    }


def remember(request, about, made):
    """Let the next view of the page about `about` (an id) show the addresses of the new links, a list of Made. The
    session keeps ids, no tokens."""
    request.session[MADE] = {"about": str(about), "links": [str(one.link.pk) for one in made]}


def just_made(request, about):
    """The links that were made a moment ago, for the page about `about`: [{link, address, qr}]; once only."""
    facts = request.session.get(MADE)
    if not facts or facts.get("about") != str(about):
        return []
    del request.session[MADE]
    links = ShareLink.objects.of(request.user).with_details().filter(pk__in=facts["links"])
    made = []
    for link in sorted(links, key=lambda link: facts["links"].index(str(link.pk))):
        if token := addresses.token_of(link):
            address = addresses.address_of(token)
            made.append({"link": link, "address": address, "qr": qr.svg(address)})
    return made
