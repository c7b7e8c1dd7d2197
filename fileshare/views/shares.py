"""Share links: the pages for visitors who have a link, and those for the users who make links."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe
from rest_framework import serializers
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.response import Response

from config.access import get_visible
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
from fileshare.sharing import addresses, redeeming, shares

from ..forms.shares import ShareForm
from ..models import File, ShareLink
from .files import file_page
from .previews import show
from .share_section import remember

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

    def page(self, link, token, *, error=""):
        """The page of a valid link."""
        request = self.page_request
        unlocked = redeeming.is_unlocked(link, request.COOKIES.get(UNLOCKED, ""))
        context = {
            "link": link,
            "file": link.file,
            "kind_word": KIND_WORDS[file_types.kind(link.file.filename)],
            "token": token,
            "unlocked": unlocked,
            "preview_kind": previews.kind_of(link.file),
            "error": error,
            "qr": qr.svg(addresses.address_of(token)),
        }
        return render(request, "fileshare/share.html", context)

    def password(self, request, token):
        """The password that was sent. When the link needs one, this counts as a try.

        Raises ValidationError (400), Throttled.
        """
        share_id = redeeming.asks_password(token)
        if share_id:
            # First limit the tries for this link from one address, so that one visitor cannot lock out the others.
            # Then limit the tries for the link from all addresses; that limit is much higher.
            throttle(request, "share_password", account=share_id)
            throttle(request, "share_password_link", everybody=share_id)
        return read(SharePasswordInput, request).get("password", "")

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
            return Response(_facts(link))
        return self.page(link, token)

    def head(self, request, token):
        """What GET would answer."""
        return self.get(request, token)


def _facts(link):
    maker, file = link.created_by, link.file
    return {
        "filename": file.filename,
        "size_bytes": file.size_bytes,
        "content_type": file.content_type,
        "permission": link.permission,
        "shared_by": {"name": maker.get_full_name(), "company": maker.company.name if maker.company else None},
        "expires_at": serializers.DateTimeField().to_representation(link.ends_at),
        "has_password": link.has_password,
        "downloads_left": link.downloads_left,
        "preview": previews.kind_of(file).value or None if link.permission == "view" else None,
    }


class ShareDownloadPage(SharePage):
    """A GET shows the page. Only a POST, which the visitor sends on purpose, uses up a download."""

    def post(self, request, token):
        """Use up one download and redirect (302) to the bytes."""
        throttle(request, "download_url")
        try:
            url = redeeming.redeem(token=token, password=self.password(request, token))
        except (redeeming.PasswordWrong, Throttled) as refusal:
            return self.refused_on_page(request, token, refusal)
        return HttpResponseRedirect(request.build_absolute_uri(url))


class ShareUnlock(ShareView):
    def post(self, request, token):
        """Check the password of a link to view. A cookie, sent only to this address, remembers it for a while."""
        try:
            proof = redeeming.unlock(token=token, password=self.password(request, token))
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
        """Show the preview of a link to view."""
        link = redeeming.viewed(token=token, proof=request.COOKIES.get(UNLOCKED, ""))
        back = reverse("share", args=[token])
        facts = {"share": str(link.pk), "recipient": link.recipient}
        return show(self.page_request, link.file, back=back, **facts)

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
@require_POST
def share(request, file_id):
    """Create links to a file. The file's page then shows their addresses once."""
    throttle(request, "share")
    file = get_visible(file_id, File.objects.visible_to(request.user).select_related("folder"))
    form = ShareForm(request.POST, folder=file.folder)
    if form.is_valid():
        facts = form.facts()
        throttle(request, "letters", times=len(facts["emails"]))
        done, made = attempt(form, shares.create, user=request.user, file_id=file_id, **facts)
        if done:
            remember(request, file_id, made)
            mailed = sum(bool(one.link.recipient) for one in made)
            if mailed:
                text = ngettext("The link is on its way.", "%(n)d links are on their way.", mailed)
                messages.success(request, text % {"n": mailed})
            return redirect(f"{reverse('file', args=[file_id])}#share")
    return file_page(request, file_id, share_form=form, status=400)


@login_required
@require_POST
def revoke(request, file_id, share_id):
    """End a link and return to the page that listed it."""
    shares.revoke(user=request.user, share_id=share_id, file_id=file_id)
    messages.success(request, _("The link no longer works."))
    if request.POST.get("back") == "shares":
        return redirect("shares")
    return redirect(f"{reverse('file', args=[file_id])}#share")
