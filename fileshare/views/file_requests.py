"""File requests: the pages of their owners, and the page on which people without an account send files."""

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from config.access import get_visible, is_uuid
from config.api.pagination import keyset_page
from config.drawing import qr
from config.errors import Invalid, Refused
from config.forms import attempt
from config.http.throttling import throttle
from config.http.view_facts import says
from fileshare import audiences
from fileshare.content import file_types
from fileshare.requests import addresses, file_requests, invitations, sender_cookies, senders
from fileshare.space.request_room import RequestOver

from ..forms.file_requests import FileRequestForm, InvitationForm, SenderForm
from ..models import FileRequest, Folder, RequestState

PAGE = 50
MAX_PLACES = 200
SENT_SHOWN = 50


# --- The owner's side -------------------------------------------------------------------------------


@login_required
@require_safe
def request_list(request):
    """The user's file requests, newest first; a super sees the requests of all users."""
    rows = FileRequest.objects.visible_to(request.user).with_right().select_related("owner", "folder", "subfolder")
    page = keyset_page(rows, request=request, time_field="created_at", default_limit=PAGE)
    return render(request, "fileshare/requests.html", {"page": page})


@sensitive_post_parameters("password")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_request(request):
    """Create a file request. `folder_id` and `subfolder_id` in the address choose the folder in advance."""
    ids = [request.GET.get(name, "") for name in ("folder_id", "subfolder_id")]
    form = FileRequestForm(
        request.POST if request.method == "POST" else None,
        places=_places(request.user, named=ids[0]),
        initial={"place": "/".join(text for text in ids if text)},
    )
    if form.is_valid():
        done, row = attempt(form, file_requests.create, user=request.user, **form.facts())
        if done:
            messages.success(request, _("Your request is ready. Send its address to whoever has the files."))
            return redirect(row)
    return render(request, "fileshare/request_new.html", {"form": form}, status=400 if form.is_bound else 200)


def _places(user, *, named=""):
    """Choices: the folders and subfolders `user` may upload to, without their own folder, which the form adds.

    At most MAX_PLACES folders are listed, and in addition the folder whose id is `named`.
    """
    mine = Folder.objects.uploadable_by(user).exclude(owner=user)
    rows = mine.with_rights(user).in_order()
    folders = list(rows[:MAX_PLACES])
    if is_uuid(named) and UUID(named) not in [folder.pk for folder in folders]:
        folders += rows.filter(pk=named)
    places = []
    for folder in audiences.told_of_everybody(folders):
        seen_by = getattr(folder, "seen_by", "")
        places.append((str(folder.pk), f"{folder.name} · {seen_by}" if seen_by else folder.name))
        places += [(f"{folder.pk}/{child.pk}", f"{folder.name} / {child.name}") for child in folder.subfolders.all()]
    return places


@says(shows_secret=True)
@login_required
@require_safe
def file_request(request, request_id):
    """One request: its address, the received files with their senders, and the forms that change it."""
    return _request_page(request, request_id)


def _request_page(request, request_id, *, form=None, invitation_form=None, status=200):
    rows = FileRequest.objects.visible_to(request.user).select_related("owner", "folder", "subfolder")
    row = get_visible(request_id, rows)
    received = row.received.select_related("sender", "file")
    address = addresses.address(row)
    context = {
        "file_request": row,
        "state": row.state,
        "address": address,
        "qr_code": qr.svg(address) if address else "",
        "form": form or FileRequestForm(request=row),
        "invitation_form": invitation_form or InvitationForm(),
        "page": keyset_page(received, request=request, time_field="received_at", default_limit=PAGE),
    }
    return render(request, "fileshare/request_detail.html", context, status=status)


@sensitive_post_parameters("password")
@login_required
@require_POST
def edit(request, request_id):
    """Change the texts, deadline, limits or password of a request."""
    row = get_visible(request_id, FileRequest.objects.visible_to(request.user).select_related("folder"))
    form = FileRequestForm(request.POST, request=row)
    if form.is_valid():
        done, _row = attempt(form, file_requests.change, user=request.user, request_id=request_id, **form.changes())
        if done:
            messages.success(request, _("Saved."))
            return redirect(row)
    return _request_page(request, request_id, form=form, status=400)


@login_required
@require_POST
def close(request, request_id):
    """Close a request: it takes no more files."""
    row = file_requests.close(user=request.user, request_id=request_id)
    messages.success(request, _("The request is closed. What came in stays where it is."))
    return redirect(row)


@login_required
@require_POST
def reopen(request, request_id):
    """Reopen a request: it takes files again."""
    row = file_requests.change(user=request.user, request_id=request_id, closed=False)
    messages.success(request, _("The request is open again, as far as its deadline and limits allow."))
    return redirect(row)


@login_required
@require_POST
def renew_address(request, request_id):
    """Give a request a new address; the old one stops working."""
    row = file_requests.renew_address(user=request.user, request_id=request_id)
    messages.success(request, _("The request has a new address. The old one does not work any more."))
    return redirect(row)


@login_required
@require_POST
def invite(request, request_id):
    """Mail the address of a request to people."""
    form = InvitationForm(request.POST)
    if form.is_valid():
        emails = form.cleaned_data["emails"]
        throttle(request, "letters", times=len(emails))
        done, count = attempt(form, invitations.invite, user=request.user, request_id=request_id, emails=emails)
        if done:
            text = ngettext("An invitation is on its way.", "%(count)d invitations are on their way.", count)
            messages.success(request, text % {"count": count})
            return redirect("file-request", request_id)
    return _request_page(request, request_id, invitation_form=form, status=400)


# --- The sender's page ------------------------------------------------------------------------------


@require_safe
def sender_page(request, token):
    """Who asks for files, which ones and until when; then the form for the sender's name, or the upload form."""
    row = addresses.by_token(token)
    return _sender_page(request, token, row, sender_cookies.known_sender(request, row, token))


def _sender_page(request, token, row, sender, *, form=None, refusals=(), status=200):
    state = row.state
    sent = list(senders.received_by(sender)[: SENT_SHOWN + 1]) if sender else []
    # Senders see what they sent and may finish their uploads, also when the request is closed, full or past.
    is_over = state != RequestState.OPEN
    if is_over and not sent and not (sender and sender.uploads.exists()):
        return _over(request, row, state)
    context = {
        "file_request": row,
        "token": token,
        "sender": sender,
        "form": None if sender or is_over else form or SenderForm(request=row),
        "over": RequestOver(state).message if is_over else "",
        "sent": sent[:SENT_SHOWN],
        "has_more": len(sent) > SENT_SHOWN,
        "refusals": refusals,
        "door": reverse("request-initiate", args=[token]).removesuffix("/initiate"),
        "seen": audiences.Seen(audiences.of_folder(row.folder).line()) if sender and not is_over else None,
        "type_hint": file_types.hint(row.policy),
        "accept": file_types.ACCEPT if row.policy == file_types.OFFICE else "",
        "max_form_bytes": settings.MAX_FORM_UPLOAD_BYTES,
        "is_secure": settings.SITE_IS_SECURE,
    }
    return _unlisted(render(request, "fileshare/request.html", context, status=status))


def _over(request, row, state):
    context = {"file_request": row, "message": RequestOver(state).message}
    return _unlisted(render(request, "fileshare/request_over.html", context, status=410))


def _unlisted(response):
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


@sensitive_post_parameters("password")
@require_POST
def start(request, token):
    """Take the sender's name and address. A cookie then remembers the sender in this browser."""
    row = addresses.by_token(token)
    throttle(request, "initiate")
    if row.password:
        throttle(request, "share_password", account=f"request:{row.pk}")
        throttle(request, "share_password_link", everybody=f"request:{row.pk}")
    form = SenderForm(request.POST, request=row)
    status = 400
    if form.is_valid():
        done, result = attempt(form, senders.start, row=row, **form.cleaned_data)
        if done:
            _sender, secret = result
            response = redirect("request", token)
            sender_cookies.remember(response, token, secret)
            return response
        if isinstance(result, RequestOver):
            return _over(request, row, result.state)
        status = result.status
    return _sender_page(request, token, row, None, form=form, status=status)


@require_POST
def leave(request, token):
    """Forget the sender in this browser, so that another person can use it."""
    addresses.by_token(token)
    response = redirect("request", token)
    sender_cookies.forget(response, token)
    return response


@require_POST
def send(request, token):
    """The form without JavaScript: one file or several. If one is refused, the others still arrive."""
    row = addresses.by_token(token)
    sender = sender_cookies.known_sender(request, row, token)
    if sender is None:
        raise senders.SenderUnknown
    throttle(request, "initiate")
    files = request.FILES.getlist("file")
    if not files:
        raise Invalid("file", _("Choose a file to send."))
    refusals = [(file.name, refusal) for file in files if (refusal := _refusal_of(sender, file))]
    if refusals:
        return _sender_page(request, token, row, sender, refusals=refusals, status=refusals[0][1].status)
    text = ngettext("Your file has arrived.", "Your %(count)d files have arrived.", len(files))
    messages.success(request, text % {"count": len(files)})
    return redirect("request", token)


def _refusal_of(sender, file):
    """Store one file of a form. Returns the Refused, or None when the file was accepted."""
    try:
        senders.receive(
            sender=sender,
            filename=file.name,
            content_type=file.content_type or "",
            stream=file,
            size_bytes=file.size,
        )
    except Refused as refusal:
        if refusal.status in (429, 503):
            raise
        return refusal
    return None


@require_safe
def receipt(request, token):
    """The receipt: what this sender has sent, to print or to save."""
    row = addresses.by_token(token)
    sender = sender_cookies.known_sender(request, row, token)
    if sender is None:
        raise senders.SenderUnknown
    files = list(senders.received_by(sender))
    context = {
        "file_request": row,
        "token": token,
        "sender": sender,
        "files": files,
        "total_bytes": sum(file.size_bytes for file in files),
        "is_waiting": any(file.fingerprint == "" for file in files),
    }
    return _unlisted(render(request, "fileshare/request_receipt.html", context))
