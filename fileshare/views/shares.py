"""Share links: the pages for visitors who have a link, and those for the users who make links."""

import uuid

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from rest_framework import serializers
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.response import Response

from config.access import get_visible, is_uuid
from config.api.pagination import keyset_page
from config.api.serializers import InputSerializer, read
from config.drawing import qr
from config.forms import attempt
from config.http.parsers import StrictJSONParser
from config.http.refusals import headers_of, wants_json
from config.http.script_pages import ScriptPage
from config.http.throttling import Throttled, throttle
from fileshare.content import file_types
from fileshare.outgoing import previews
from fileshare.outgoing.sending import send_archive
from fileshare.sharing import addresses, redeeming, shares

from ..forms.shares import ShareForm
from ..models import File, ShareLink, ShareState
from .files import file_page
from .previews import show
from .share_section import just_made, remember

PAGE = 50
UNLOCKED = "share_unlocked"
KIND_WORDS = {
    "document": gettext_lazy("Document"),
    "sheet": gettext_lazy("Spreadsheet"),
    "slides": gettext_lazy("Presentation"),
    "pdf": gettext_lazy("PDF"),
    "image": gettext_lazy("Image"),
    "text": gettext_lazy("Text"),
    "archive": gettext_lazy("Archive"),
    "audio": gettext_lazy("Sound"),
    "video": gettext_lazy("Video"),
    "other": gettext_lazy("File"),
}


# --- For visitors with a link ---------------------------------------------------------------------------


class SharePasswordInput(InputSerializer):
    password = serializers.CharField(
        required=False, allow_blank=True, trim_whitespace=False, max_length=shares.MAX_PASSWORD_LENGTH
    )


class ShareDownloadInput(SharePasswordInput):
    file_id = serializers.CharField(required=False, max_length=36)


class ShareView(ScriptPage):
    """The token in the address is the credential: each visitor who has it may use the link.

    These views use no session, so a forged form gains nothing. They need no CSRF token, and a script needs no cookie.
    """

    authentication_classes = []
    parser_classes = [StrictJSONParser, FormParser, MultiPartParser]

    def dispatch(self, request, *args, **kwargs):
        # Without authentication, REST framework replaces the user. Keep them: the page's header shows who is signed in.
        self.visitor = getattr(request, "user", None)
        return super().dispatch(request, *args, **kwargs)

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "private, no-store")
        response["X-Robots-Tag"] = "noindex, nofollow"
        # Send only the origin as the referrer. The logs of the next request must not contain the link's address, and
        # the origin is enough for the CSRF check of a form.
        response["Referrer-Policy"] = "strict-origin"
        if settings.S3_ORIGINS:
            # Browsers apply form-action also to the redirect that answers a form, and that one leads to the bucket.
            self.request._request.content_security_policy = settings.CONTENT_SECURITY_POLICY.replace(
                "form-action 'self'", f"form-action 'self' {' '.join(settings.S3_ORIGINS)}"
            )
        return response

    @property
    def page_request(self):
        request = self.request._request
        if self.visitor is not None:
            request.user = self.visitor
        return request

    @property
    def proof(self):
        """What an earlier `unlock` left in the visitor's browser; "" without."""
        return self.request.COOKIES.get(UNLOCKED, "")

    def page(self, link, token, *, error=""):
        """The page of a valid link."""
        request = self.page_request
        unlocked = redeeming.is_unlocked(link, self.proof)
        context = {
            "link": link,
            "token": token,
            "unlocked": unlocked,
            "error": error,
            "qr": qr.svg(addresses.address_of(token)),
        }
        if link.file:
            file = link.file
            context |= {"file": file, "kind_word": _kind_word(file), "preview_kind": previews.kind_of(file)}
        elif unlocked:
            context |= {"page": _files_of(link, request), "summary": redeeming.summary(link)}
        return render(request, "fileshare/share.html" if link.file else "fileshare/share_several.html", context)

    def body(self, request, token, serializer_class=SharePasswordInput):
        """What was sent. When the link needs a password, this counts as a try.

        Raises ValidationError (400), Throttled.
        """
        share_id = redeeming.asks_password(token, self.proof)
        if share_id:
            # First limit the tries for this link from one address, so that one visitor cannot lock out the others.
            # Then limit the tries for the link from all addresses; that limit is much higher.
            throttle(request, "share_password", account=share_id)
            throttle(request, "share_password_link", everybody=share_id)
        return read(serializer_class, request)

    def refused_on_page(self, request, token, refusal):
        """Show the page again with the error about the password; a script gets JSON."""
        if wants_json(request):
            raise refusal
        response = self.page(redeeming.opened(token), token, error=str(refusal.message))
        response.status_code = refusal.status
        for name, value in headers_of(refusal).items():
            response[name] = value
        return response


class SharePage(ShareView):
    def get(self, request, token):
        """The page, or its facts as JSON. Opening it does not use up a download."""
        link = redeeming.opened(token)
        accepted = request.headers.get("Accept", "")
        if "application/json" in accepted and "text/html" not in accepted:
            return Response(_facts(link, self.page_request, unlocked=redeeming.is_unlocked(link, self.proof)))
        return self.page(link, token)

    def head(self, request, token):
        """What GET would answer."""
        return self.get(request, token)


def _kind_word(file):
    return KIND_WORDS[file_types.kind(file.filename)]


def _files_of(link, request):
    """One page of the files that a link shows, newest first; each with `kind_word` and `preview_kind`."""
    rows = link.carried().select_related("subfolder")
    page = keyset_page(rows, request=request, time_field="uploaded_at", default_limit=PAGE)
    for file in page.results:
        file.kind_word, file.preview_kind = _kind_word(file), previews.kind_of(file)
    return page


def _facts(link, request, *, unlocked):
    """The facts as JSON. Those of several files a link with a password tells only when it is `unlocked`."""
    maker = link.created_by
    about_link = {
        "permission": link.permission,
        "shared_by": {"name": maker.get_full_name(), "company": maker.company.name if maker.company else None},
        "expires_at": serializers.DateTimeField().to_representation(link.ends_at),
        "has_password": link.has_password,
        "downloads_left": link.downloads_left,
    }
    if link.file:
        return _file_facts(link, link.file) | about_link
    if not unlocked:
        return {"file_count": None, "size_bytes": None, "files": None, "next": None, "previous": None} | about_link
    page, found = _files_of(link, request), redeeming.summary(link)
    return {
        "file_count": found.count if found.fits else None,
        "size_bytes": found.size_bytes if found.fits else None,
        "files": [{"id": str(file.pk)} | _file_facts(link, file) for file in page.results],
        "next": page.next,
        "previous": page.previous,
    } | about_link


def _file_facts(link, file):
    return {
        "filename": file.filename,
        "size_bytes": file.size_bytes,
        "content_type": file.content_type,
        "preview": previews.kind_of(file).value or None if link.permission == "view" else None,
    }


class ShareDownloadPage(SharePage):
    """A GET shows the page. Only a POST, which the visitor sends on purpose, uses up a download."""

    def post(self, request, token):
        """Use up one download and redirect (302) to the bytes: of the file `file_id`, or of all files as one ZIP."""
        throttle(request, "download_url")
        try:
            facts = self.body(request, token, ShareDownloadInput)
            url = redeeming.redeem(token=token, proof=self.proof, **facts)
        except (redeeming.PasswordWrong, Throttled) as refusal:
            return self.refused_on_page(request, token, refusal)
        return HttpResponseRedirect(request.build_absolute_uri(url))


class ShareArchive(ShareView):
    def get(self, request, token, archive_id):
        """Send the ZIP on which a download was spent, or a range of it; for ten minutes."""
        stream = redeeming.archive_of_grant(token=token, archive_id=archive_id)
        return send_archive(self.page_request, stream, headers=request.headers, again=request.path)

    def head(self, request, token, archive_id):
        """What GET would answer."""
        return self.get(request, token, archive_id)


class ShareUnlock(ShareView):
    def post(self, request, token):
        """Check the password of a link. A cookie, sent only to this address, remembers it for a while."""
        try:
            proof = redeeming.unlock(token=token, password=self.body(request, token).get("password", ""))
        except (redeeming.PasswordWrong, Throttled) as refusal:
            return self.refused_on_page(request, token, refusal)
        address = reverse("share", args=[token])
        response = Response(status=204) if wants_json(request) else redirect(address)
        response.set_cookie(
            UNLOCKED,
            proof,
            max_age=redeeming.UNLOCKED_FOR,
            path=address,
            secure=settings.SITE_IS_SECURE,
            httponly=True,
            samesite="Lax",
        )
        return response


class SharePreview(ShareView):
    def get(self, request, token):
        """Show the preview of the file of a link to view, or of that of its files which `?file_id=` names."""
        link, file = redeeming.viewed(token=token, proof=self.proof, file_id=request.GET.get("file_id"))
        back = reverse("share", args=[token])
        facts = {"share": str(link.pk), "recipient": link.recipient}
        return show(self.page_request, file, back=back, **facts)

    def head(self, request, token):
        """What GET would answer."""
        return self.get(request, token)


# --- For users to whom a link was mailed ----------------------------------------------------------------


@login_required
@require_safe
def open_received(request, share_id):
    """Redirect to the page of a link that was mailed to the user. This does not use up a download."""
    return redirect("share", addresses.token_for_recipient(user=request.user, share_id=share_id))


# --- For users who make links ---------------------------------------------------------------------------


@login_required
@require_safe
def my_shares(request):
    """The user's own links, newest first."""
    rows = ShareLink.objects.filter(created_by=request.user).with_details()
    page = keyset_page(rows, request=request, time_field="created_at", default_limit=PAGE)
    page.results = shares.with_states(page.results)
    return render(request, "fileshare/shares.html", {"page": page})


@login_required
@require_safe
def one_share(request, share_id):
    """One link: what it leads to and shows now, who used it; right after its making also its address."""
    link = shares.one(user=request.user, share_id=share_id)
    page = None
    if link.state == ShareState.LIVE:
        rows = link.carried().select_related("subfolder")
        page = keyset_page(rows, request=request, time_field="uploaded_at", default_limit=PAGE)
    context = {"link": link, "page": page, "share_made": just_made(request, link.pk)}
    return render(request, "fileshare/share_link.html", context)


@login_required
@require_POST
def share(request, file_id):
    """Create links to a file. The file's page then shows their addresses once."""
    throttle(request, "share")
    file = get_visible(file_id, File.objects.visible_to(request.user).select_related("folder"))
    form = ShareForm(request.POST, folders=[file.folder])
    made = _made(request, form, file_id=file_id)
    if made:
        remember(request, file_id, made)
        return redirect(f"{reverse('file', args=[file_id])}#share")
    return file_page(request, file_id, share_form=form, status=400)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_share(request):
    """The form for links to the chosen files of a table (`file_ids`) or to a folder (`folder_id`, `subfolder_id`).

    A POST, too, only shows it: so many ids do not fit into an address.
    """
    return _form_for(request, _asked(request.POST if request.method == "POST" else request.GET))


@login_required
@require_POST
def make_share(request):
    """Create links to several files or to a folder. The page of the first then shows their addresses once."""
    throttle(request, "share")
    asked = _asked(request.POST)
    form = ShareForm(request.POST, folders=_folders_of(request.user, asked), several=True)
    made = _made(request, form, **asked)
    if made:
        remember(request, made[0].link.pk, made)
        return redirect("share-link", made[0].link.pk)
    return _form_for(request, asked, form=form)


def _asked(data):
    """The arguments of shares.create that say what the links shall lead to."""
    if data.get("folder_id"):
        return {"folder_id": data["folder_id"], "subfolder_id": data.get("subfolder_id") or None}
    texts = data.getlist("file_ids")
    return {"file_ids": list(dict.fromkeys(uuid.UUID(text) for text in texts if is_uuid(text)))}


def _folders_of(user, asked):
    """The folders whose rules the form has to obey. Raises what shares.create raises for them."""
    if "folder_id" in asked:
        return [shares.shareable_place(user=user, **asked)[0]]
    return _each_folder(shares.chosen(user=user, **asked).files)


def _each_folder(files):
    return list({file.folder_id: file.folder for file in files}.values())


def _form_for(request, asked, *, form=None):
    """The page with the form; `form` is one with errors."""
    if "folder_id" in asked:
        folder, subfolder = shares.shareable_place(user=request.user, **asked)
        context = {"folder": folder, "subfolder": subfolder, "shows_all": folder.is_shared_whole_by(request.user)}
        folders = [folder]
    else:
        choice = shares.chosen(user=request.user, **asked)
        context, folders = {"choice": choice}, _each_folder(choice.files)
    context["share_form"] = form or ShareForm(folders=folders, several=True)
    return render(request, "fileshare/share_new.html", context, status=400 if form else 200)


def _made(request, form, **asked):
    """The Made links of a filled-in form; [] when it is refused, and then says why."""
    if not form.is_valid():
        return []
    facts = form.facts()
    throttle(request, "letters", times=len(facts["emails"]))
    done, made = attempt(form, shares.create, user=request.user, **asked, **facts)
    if not done:
        return []
    mailed = sum(bool(one.link.recipient) for one in made)
    if mailed:
        text = ngettext("The link is on its way.", "%(n)d links are on their way.", mailed)
        messages.success(request, text % {"n": mailed})
    return made


@login_required
@require_POST
def revoke(request, share_id, file_id=None):
    """End a link and return to the page that listed it: that of the file `file_id`, or the list of all."""
    shares.revoke(user=request.user, share_id=share_id, file_id=file_id)
    messages.success(request, _("The link no longer works."))
    if file_id is None:
        return redirect("shares")
    return redirect(f"{reverse('file', args=[file_id])}#share")
