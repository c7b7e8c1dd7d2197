"""Share links: the page somebody outside gets, and what their makers do with them."""

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
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from config import qr
from config.access import get_visible
from config.forms import attempt
from config.pagination import keyset_page
from config.parsers import StrictJSONParser
from config.refusals import api_exception_handler, headers_of, refusal_of, refuse, wants_json
from config.serializers import InputSerializer, read
from config.throttling import Throttled, throttle

from .. import file_types, previews, shares
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


# --- For whoever has the link -------------------------------------------------------------------------


class SharePasswordInput(InputSerializer):
    password = serializers.CharField(
        required=False, allow_blank=True, trim_whitespace=False, max_length=shares.MAX_PASSWORD_LENGTH
    )


class ShareView(APIView):
    """The token in the address is the credential, and whoever has it may be anybody.

    No session is asked and none is used, so there is nothing that a forged form could make use of: these
    views need no CSRF token, and a script needs no cookie. A browser is refused with a page, a script with JSON.
    """

    authentication_classes = []
    permission_classes = [AllowAny]
    parser_classes = [StrictJSONParser, FormParser, MultiPartParser]
    schema = None

    def dispatch(self, request, *args, **kwargs):
        # REST framework makes everybody a stranger here; the head of the page still knows who is signed in.
        self.visitor = getattr(request, "user", None)
        return super().dispatch(request, *args, **kwargs)

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "private, no-store")
        response["X-Robots-Tag"] = "noindex, nofollow"
        # Not even our own logs of the next request learn the address; the origin alone still proves a form ours.
        response["Referrer-Policy"] = "strict-origin"
        if settings.S3_ORIGINS:
            # Browsers hold the redirect that answers a form to the same rule as the form.
            self.request._request.content_security_policy = settings.CONTENT_SECURITY_POLICY.replace(
                "form-action 'self'", f"form-action 'self' {' '.join(settings.S3_ORIGINS)}"
            )
        return response

    def get_exception_handler(self):
        return self._refuse

    def _refuse(self, error, context):
        refusal = refusal_of(error)
        if refusal is None or wants_json(context["request"]):
            return api_exception_handler(error, context)
        return refuse(self._django_request(), refusal)

    def _django_request(self):
        request = self.request._request
        if self.visitor is not None:
            request.user = self.visitor
        return request

    def page(self, link, token, *, error=""):
        """The page of a link that is good."""
        request = self._django_request()
        unlocked = shares.is_unlocked(link, request.COOKIES.get(UNLOCKED, ""))
        context = {
            "link": link,
            "file": link.file,
            "kind_word": KIND_WORDS[file_types.kind(link.file.filename)],
            "token": token,
            "unlocked": unlocked,
            "preview_kind": previews.kind_of(link.file),
            "error": error,
            "qr": qr.svg(shares.address_of(token)),
        }
        return render(request, "fileshare/share.html", context)

    def password(self, request, token):
        """The password that was sent; one that is asked for is counted. Raises ValidationError (400), Throttled."""
        share_id = shares.asks_password(token)
        if share_id:
            # By link and address: nobody locks out the others; then the link's, too wide for that.
            throttle(request, "share_password", account=share_id)
            throttle(request, "share_password_link", everybody=share_id)
        return read(SharePasswordInput, request).get("password", "")

    def refused_on_page(self, request, token, refusal):
        """The page again, saying what was wrong with the password; a script gets its JSON."""
        if wants_json(request):
            raise refusal
        response = self.page(shares.opened(token), token, error=str(refusal.message))
        response.status_code = refusal.status
        for name, value in headers_of(refusal).items():
            response[name] = value
        return response


class SharePage(ShareView):
    def get(self, request, token):
        """The page, or its facts as JSON: spends nothing, whoever opens it."""
        link = shares.opened(token)
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
    """A GET shows the page: only the deliberate POST spends a use."""

    def post(self, request, token):
        """Spend one use; 302 to the bytes."""
        throttle(request, "download_url")
        try:
            url = shares.redeem(token=token, password=self.password(request, token))
        except (shares.PasswordWrong, Throttled) as refusal:
            return self.refused_on_page(request, token, refusal)
        return HttpResponseRedirect(request.build_absolute_uri(url))


class ShareUnlock(ShareView):
    def post(self, request, token):
        """Take the password of a link to view; a cookie of this address alone remembers it for a while."""
        try:
            proof = shares.unlock(token=token, password=self.password(request, token))
        except (shares.PasswordWrong, Throttled) as refusal:
            return self.refused_on_page(request, token, refusal)
        address = reverse("share", args=[token])
        response = Response(status=204) if wants_json(request) else redirect(address)
        response.set_cookie(
            UNLOCKED,
            proof,
            max_age=shares.UNLOCKED_FOR,
            path=address,
            secure=settings.SITE_IS_SECURE,
            httponly=True,
            samesite="Lax",
        )
        return response


class SharePreview(ShareView):
    def get(self, request, token):
        """A look at the file of a link to view."""
        link = shares.viewed(token=token, proof=request.COOKIES.get(UNLOCKED, ""))
        back = reverse("share", args=[token])
        facts = {"share": str(link.pk), "recipient": link.recipient}
        return show(self._django_request(), link.file, back=back, **facts)

    def head(self, request, token):
        """What GET would answer."""
        return self.get(request, token)


# --- For whoever it was mailed to ---------------------------------------------------------------------


@login_required
@require_safe
def open_received(request, share_id):
    """To the page of a link that was mailed to the user; looking spends nothing."""
    return redirect("share", shares.token_for_recipient(user=request.user, share_id=share_id))


# --- For whoever made it ------------------------------------------------------------------------------


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
    """Make links to a file; its page then tells their addresses, once."""
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
    """End a link and go back to where it was listed."""
    shares.revoke(user=request.user, share_id=share_id, file_id=file_id)
    messages.success(request, _("The link no longer works."))
    if request.POST.get("back") == "shares":
        return redirect("shares")
    return redirect(f"{reverse('file', args=[file_id])}#share")
