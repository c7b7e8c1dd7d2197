"""Share links: made, opened, spent and revoked; and what is told of them.

A token is an HMAC of the link's id, so that a letter's link is made when the letter goes and no token lies in
the database. Links are found by the token's SHA-256: with another SECRET_KEY those given out stay good.
"""

import base64
import hashlib
import re
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.core import signing
from django.db import transaction
from django.db.models import F, Prefetch
from django.http import Http404
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import mail
from accounts.addresses import clean_email
from accounts.models import User
from accounts.notifications import notify
from audit.log import record, record_seldom
from audit.models import Action
from config import context
from config.access import get_allowed, get_visible, is_uuid
from config.errors import Invalid, Refused

from . import virus_gate
from .models import File, ShareDownload, ShareLink, SharePermission, ShareState
from .models.folders import MAX_SHARE_DAYS
from .storage import ObjectMissing, get_store

SALT = "fileshare.shares"
MIN_LIFE = timedelta(seconds=1)
MAX_LIFE = timedelta(days=min(settings.MAX_SHARE_DAYS, MAX_SHARE_DAYS))
MAX_PASSWORD_LENGTH = 256
MAX_DOWNLOADS = 1_000_000
MAX_EMAILS = 50
UNLOCKED_FOR = timedelta(minutes=30)
FETCHES_TOLD = 10
MAKERS_AT_ONCE = 20
LETTER = "share_link"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class ShareOver(Refused):
    """410: it was good once. `code` is share_expired, share_used_up, share_revoked or share_blocked."""

    def __init__(self, state):
        sentences = {
            ShareState.EXPIRED: _("The time of this link is over. Ask whoever sent it for a new one."),
            ShareState.USED_UP: _("This link has been used as often as it allows. Ask whoever sent it for a new one."),
            ShareState.REVOKED: _("Whoever sent this link has taken it back."),
            ShareState.BLOCKED: _("What this link leads to is no longer shared. Ask whoever sent it."),
        }
        super().__init__(410, f"share_{state.value}", sentences[state])


class PasswordWrong(Refused):
    """403: not the link's password, or none at all; nothing is spent."""

    def __init__(self, *, missing=False):
        code = "share_password_required" if missing else "share_password_wrong"
        text = _("This link asks for a password.") if missing else _("That is not the password of this link.")
        super().__init__(403, code, text, errors={"password": [text]})


class ViewOnly(Refused):
    """403: the link is to look at, not to download."""

    def __init__(self):
        super().__init__(403, "view_only", _("This link is for viewing only; the file cannot be downloaded with it."))


class NotForViewing(Refused):
    """403: the link is to download; a look would be a use nobody counts."""

    def __init__(self):
        super().__init__(403, "download_only", _("This link is for downloading; it shows no preview."))


# --- Making -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """A new link and its token, which is known at this moment only."""

    link: ShareLink
    token: str

    @property
    def url(self):
        """The address to give away."""
        return address_of(self.token)


def address_of(token):
    """The absolute address of a token's page."""
    return settings.SITE_URL + reverse("share", args=[token])


def create(*, user, file_id, permission, expires_in, password="", max_downloads=None, emails=()):
    """Make a share link to a file, or one for each of `emails` and mail it there. Returns the Made, in that order.

    `expires_in` is a timedelta; `password` is kept as typed, "" for none; `max_downloads` None for no limit.
    Owners of active accounts get a notice besides the letter. Raises Http404, PermissionDenied, Invalid (400).
    """
    recipients = clean_emails(emails)
    if permission not in SharePermission.values:
        raise Invalid("permission", _("A link is for viewing or for downloading."))
    _check_limit(permission, max_downloads)
    if not MIN_LIFE <= expires_in <= MAX_LIFE:
        text = ngettext(
            "A link ends in the future, at most %(days)d day from now.",
            "A link ends in the future, at most %(days)d days from now.",
            MAX_LIFE.days,
        )
        raise Invalid("expires_in", text % {"days": MAX_LIFE.days})
    if len(password) > MAX_PASSWORD_LENGTH:
        raise Invalid("password", _("A password has at most %(most)d characters.") % {"most": MAX_PASSWORD_LENGTH})
    # A database with one writer does not wait for this.
    hashed = make_password(password) if password else ""
    now = timezone.now()
    with transaction.atomic():
        shareable = File.objects.shareable_by(user).select_related("folder")
        # Locked, so that nobody purges it in between.
        locked = shareable.select_for_update(of=("self",), no_key=True)
        file = virus_gate.get_clean(file_id, user=user, allowed=locked)
        _check_folder_rules(file.folder, has_password=bool(password), lifetime=expires_in)
        made = [_made(user, file, permission, now, expires_in, hashed, max_downloads, to) for to in recipients or [""]]
        ShareLink.objects.bulk_create(one.link for one in made)
        for one in made:
            _record_made(user, one.link)
        _send(user, file, [one.link for one in made if one.link.recipient])
    return made


def clean_emails(emails):
    """The addresses of `emails`, each once. Raises Invalid (400) for what is none, and for more than MAX_EMAILS."""
    if len(emails) > MAX_EMAILS:
        text = ngettext("At most %(most)d address at a time.", "At most %(most)d addresses at a time.", MAX_EMAILS)
        raise Invalid("emails", text % {"most": MAX_EMAILS})
    # Trimming would make an address of one with a line break behind it.
    if not all(text.isprintable() for text in emails):
        raise Invalid("emails", _("Enter a valid e-mail address."))
    return list(dict.fromkeys(clean_email(text, field="emails") for text in emails))


def _check_limit(permission, max_downloads):
    if max_downloads is None:
        return
    if permission == SharePermission.VIEW:
        raise Invalid("max_downloads", _("A link for viewing has no downloads to count."))
    if not 1 <= max_downloads <= MAX_DOWNLOADS:
        raise Invalid("max_downloads", _("From 1 to %(most)d downloads.") % {"most": MAX_DOWNLOADS})


def _check_folder_rules(folder, *, has_password, lifetime):
    broken = folder.share_rules_broken(has_password=has_password, lifetime=lifetime)
    if "share_password_required" in broken:
        text = _("Links to files of this folder need a password.")
        raise Invalid("password", text, code="share_password_required")
    if "share_max_days" in broken:
        text = ngettext(
            "Links to files of this folder live at most %(days)d day.",
            "Links to files of this folder live at most %(days)d days.",
            folder.share_max_days,
        )
        raise Invalid("expires_in", text % {"days": folder.share_max_days}, code="share_too_long")


def _made(user, file, permission, now, lifetime, hashed, max_downloads, recipient):
    pk = uuid.uuid4()
    token = _token(pk, settings.SECRET_KEY)
    link = ShareLink(
        pk=pk,
        file=file,
        created_by=user,
        token_hash=_hash(token),
        permission=permission,
        expires_at=now + lifetime,
        password=hashed,
        max_downloads=max_downloads,
        recipient=recipient,
        created_at=now,
    )
    return Made(link, token)


def _record_made(user, link):
    file = link.file
    record(
        Action.SHARE_CREATED,
        user=user,
        target=file,
        folder=file.folder,
        share=str(link.pk),
        recipient=link.recipient,
        permission=link.permission,
        expires_at=link.expires_at,
        has_password=link.has_password,
        max_downloads=link.max_downloads,
    )


def _send(user, file, links):
    """A letter to the recipient of each link, and a notice to those who have an account."""
    addresses = {link.recipient for link in links}
    known = {person.email: person for person in User.objects.filter(email__in=addresses, is_active=True)}
    for link in links:
        mail.post(LETTER, to=link.recipient, share_id=str(link.pk))
        person = known.get(link.recipient)
        if person is not None and person.pk != user.pk:
            notify(person, "file_shared", share_id=str(link.pk), filename=file.filename, by=user.get_full_name())


def letter_context(stored):
    """What the letter of a link says, its address made now; None once the link is no longer good.

    Raises mail.NotYet while its file waits for the virus scanner.
    """
    link = ShareLink.objects.with_details().filter(pk=stored["share_id"]).first()
    state = None if link is None else state_of(link)
    if state == ShareState.BLOCKED and link.file.is_waiting:
        raise mail.NotYet
    if state != ShareState.LIVE:
        return None
    return {"link": address_of(_token_to_send(link)), "share": link, "file": link.file, "sender": link.created_by}


def token_of(link):
    """The token of a link made under the present key or one of its fallbacks, or None."""
    for key in [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]:
        token = _token(link.pk, key)
        if constant_time_compare(_hash(token), link.token_hash):
            return token
    return None


def token_for_recipient(*, user, share_id):
    """The token of a link that was mailed to `user`, for whoever comes from a notice of it and not from the letter.

    Raises Http404 for anybody else, and for a link whose key is gone: then the letter alone has its address.
    """
    token = token_of(get_visible(share_id, ShareLink.objects.mailed_to(user)))
    if token is None:
        raise Http404
    return token


def _token_to_send(link):
    token = token_of(link)
    if token is None:
        # The key it was made under is gone: the letter's token takes the old one's place, which nobody has seen.
        token = _token(link.pk, settings.SECRET_KEY)
        ShareLink.objects.filter(pk=link.pk).update(token_hash=_hash(token))
    return token


def _token(pk, key):
    digest = salted_hmac(SALT, str(pk), secret=key, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _hash(token):
    return hashlib.sha256(token.encode()).hexdigest()


# --- Looking after ------------------------------------------------------------------------------------


def state_of(link):
    """The ShareState of one link with_details."""
    entitled = ShareLink.objects.filter(pk=link.pk).entitled([link.created_by]).exists()
    return link.state_for(entitled=entitled)


def with_states(links):
    """The links (with_details) as a list, each with its ShareState as `state`, for one query; of very many makers,
    whom only a super sees at once, for one for each MAKERS_AT_ONCE."""
    links = list(links)
    makers = list({link.created_by_id: link.created_by for link in links}.values())
    rows = ShareLink.objects.filter(pk__in=[link.pk for link in links])
    entitled = set()
    for start in range(0, len(makers), MAKERS_AT_ONCE):
        entitled.update(rows.entitled(makers[start : start + MAKERS_AT_ONCE]).values_list("pk", flat=True))
    for link in links:
        link.state = link.state_for(entitled=link.pk in entitled)
    return links


def of_file(*, user, file_id):
    """The links to a file that `user` may see, with what a list tells of each. Raises Http404, PermissionDenied."""
    file = get_allowed(file_id, visible=File.objects.visible_to(user), allowed=File.objects.deletable_by(user))
    return told(ShareLink.objects.of(user).filter(file=file))


def told(links):
    """Links with_details and the last FETCHES_TOLD fetches of each as a list `fetches`, newest first."""
    newest = ShareDownload.objects.order_by("-downloaded_at", "-pk")[:FETCHES_TOLD]
    return links.with_details().prefetch_related(Prefetch("downloads", queryset=newest, to_attr="fetches"))


@transaction.atomic
def revoke(*, user, share_id, file_id=None):
    """End a link at once, grants to go on included; a second time changes nothing. Returns the ShareLink.

    Raises Http404 for one that is not theirs, or not of the file when `file_id` is given.
    """
    links = ShareLink.objects.of(user).with_details()
    if file_id is not None:
        links = links.filter(file=file_id) if is_uuid(file_id) else links.none()
    link = get_visible(share_id, links)
    now = timezone.now()
    if ShareLink.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=now):
        link.revoked_at = now
        record(
            Action.SHARE_REVOKED,
            user=user,
            target=link.file,
            folder=link.file.folder,
            share=str(link.pk),
            recipient=link.recipient,
        )
    return link


# --- Using --------------------------------------------------------------------------------------------


def asks_password(token):
    """The id of the link behind a token, as text, when it has a password; "" otherwise, or for no link at all."""
    link = _found(token, ShareLink.objects.exclude(password=""))
    return str(link.pk) if link else ""


def _found(token, links):
    return links.filter(token_hash=_hash(token)).first() if _TOKEN.fullmatch(token) else None


def opened(token):
    """The ShareLink of a token, with_details, while it is good; looking spends nothing.

    Raises Http404 for a token that is none, ShareOver (410).
    """
    link = _found(token, ShareLink.objects.with_details())
    if link is None:
        raise Http404
    state = state_of(link)
    if state != ShareState.LIVE:
        raise ShareOver(state)
    return link


def redeem(*, token, password=""):
    """Spend one use of a link and return the URL of the bytes, good for RESUME_GRACE_SECONDS, ranges included.

    Of many at once no more get through than there are uses. Whatever is wrong, nothing is spent: raises Http404,
    ShareOver (410), ViewOnly and PasswordWrong (403), ObjectMissing (404), StoreUnavailable (503).
    """
    with _refusals_recorded(token):
        link = opened(token)
        if link.permission != SharePermission.DOWNLOAD:
            raise ViewOnly
        _check_password(link, password)
        file = link.file
        if get_store().head(file.object_key) is None:
            raise ObjectMissing(file.object_key)
        grant = _spend(link)
    return get_store().presign_get(
        file.object_key,
        filename=file.filename,
        content_type=file.content_type,
        expires_in=settings.RESUME_GRACE_SECONDS,
        claims={"share_download": str(grant.pk)},
        base_url="",
    )


@transaction.atomic
def _spend(link):
    live = ShareLink.objects.live(link.created_by).filter(pk=link.pk)
    if not live.update(download_count=F("download_count") + 1):
        # Somebody was quicker, or its time ran out just now.
        link = ShareLink.objects.with_details().get(pk=link.pk)
        state = state_of(link)
        raise ShareOver(ShareState.USED_UP if state == ShareState.LIVE else state)
    facts, file = context.current(), link.file
    grant = ShareDownload.objects.create(share=link, address=facts.address, user_agent=facts.user_agent)
    File.objects.filter(pk=file.pk).count_download()
    record(
        Action.DOWNLOAD,
        target=file,
        folder=file.folder,
        size_bytes=file.size_bytes,
        share=str(link.pk),
        recipient=link.recipient,
    )
    notify(
        link.created_by, "share_downloaded", about=str(file.pk), filename=file.filename, file_id=str(file.pk), count=1
    )
    return grant


def _check_password(link, password):
    """Raises PasswordWrong (403) and writes that down."""
    if not link.has_password:
        return
    if not password:
        raise PasswordWrong(missing=True)
    if not check_password(password, link.password):
        refused = PasswordWrong()
        record(Action.SHARE_REFUSED, code=refused.code, **_facts(link))
        raise refused


@contextmanager
def _refusals_recorded(token):
    """Write down, now and then, that a link was asked for more than it gives."""
    try:
        yield
    except (ShareOver, ViewOnly, NotForViewing) as refusal:
        link = _found(token, ShareLink.objects.with_details())
        if link is not None:
            record_seldom(Action.SHARE_REFUSED, about=str(link.pk), code=refusal.code, **_facts(link))
        raise


def _facts(link):
    """What each row of the log says of a link that was refused."""
    return {
        "target": link.file,
        "folder": link.file.folder,
        "share": str(link.pk),
        "recipient": link.recipient,
    }


def unlock(*, token, password):
    """A proof that the password of a link to view was given, for UNLOCKED_FOR. Raises as `redeem`."""
    with _refusals_recorded(token):
        link = opened(token)
    _check_password(link, password)
    return signing.dumps(_proof_of(link), salt=f"{SALT}.unlocked")


def is_unlocked(link, proof):
    """True when the link asks for no password, or `proof` is what `unlock` gave for it."""
    if not link.has_password:
        return True
    try:
        return signing.loads(proof, salt=f"{SALT}.unlocked", max_age=UNLOCKED_FOR) == _proof_of(link)
    except signing.BadSignature:
        return False


def _proof_of(link):
    return str(link.pk)


def viewed(*, token, proof):
    """The ShareLink of a preview, `proof` being what `unlock` gave.

    Raises Http404, ShareOver (410), NotForViewing and PasswordWrong (403).
    """
    with _refusals_recorded(token):
        link = opened(token)
        if link.permission != SharePermission.VIEW:
            raise NotForViewing
    if not is_unlocked(link, proof):
        raise PasswordWrong(missing=True)
    return link
