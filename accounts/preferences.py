"""How each user wants each kind of notice by mail: at once, in the daily digest, or not at all.

A row is there only where somebody chose other than the kind's default, so a new default reaches everybody else.
"""

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from audit.log import record
from audit.models import Action
from config.errors import Invalid, Refused

from . import notices
from .models import Notification, NotificationPreference, User

UNSUBSCRIBE_SALT = "accounts.unsubscribe"
# In the place of a kind: the daily letter as a whole.
THE_DIGEST = "digest"


class UnsubscribeLinkBad(Refused):
    """404: not a link from one of our letters."""

    def __init__(self):
        super().__init__(404, "token_invalid", _("This link is not valid. Choose your mails on your profile instead."))


def chosen(user):
    """{kind: "now", "digest" or "off"} for every kind that leaves a choice."""
    wishes = {name: kind.mail for name, kind in notices.KINDS.items() if kind.choices}
    rows = NotificationPreference.objects.filter(user=user).values_list("kind", "mail")
    return wishes | {kind: mail for kind, mail in rows if kind in wishes and mail in notices.KINDS[kind].choices}


def of_many(user_ids, kind):
    """{user id: how they want notices of `kind`}, in one query."""
    known = notices.KINDS.get(kind)
    if known is None or not known.choices:
        return dict.fromkeys(user_ids, notices.OFF)
    rows = NotificationPreference.objects.filter(user__in=user_ids, kind=kind, mail__in=known.choices)
    return {**dict.fromkeys(user_ids, known.mail), **dict(rows.values_list("user", "mail"))}


@transaction.atomic
def choose(*, user, wishes):
    """Set how `user` wants the kinds named in `wishes` {kind: mail}; the others stay. Returns all, as `chosen`.

    What waited for the digest and is not wanted there any more leaves it. Raises Invalid (400), and then
    nothing changes: an unknown kind, or a way that kind does not have.
    """
    for kind, mail in wishes.items():
        if kind not in notices.KINDS or not notices.KINDS[kind].choices:
            raise Invalid("mail", _("There is no kind of notification “%(kind)s”.") % {"kind": kind[:60]})
        if mail not in notices.KINDS[kind].choices:
            raise Invalid("mail", _("“%(kind)s” cannot be sent that way.") % {"kind": kind})
    # Two that choose at once take turns.
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    before = chosen(user)
    changed = {kind: mail for kind, mail in wishes.items() if mail != before[kind]}
    if not changed:
        return before
    NotificationPreference.objects.filter(user=user, kind__in=changed).delete()
    NotificationPreference.objects.bulk_create(
        NotificationPreference(user=user, kind=kind, mail=mail)
        for kind, mail in changed.items()
        if mail != notices.KINDS[kind].mail
    )
    unwanted = [kind for kind, mail in changed.items() if mail != notices.DIGEST]
    Notification.objects.filter(user=user, type__in=unwanted, for_digest=True).update(for_digest=False)
    record(
        Action.PROFILE_CHANGED,
        user=user,
        target=user,
        before={"mail": {kind: before[kind] for kind in changed}},
        after={"mail": changed},
    )
    return before | changed


# --- Unsubscribing from a letter (RFC 8058) ---------------------------------------------------------


def can_unsubscribe(kind):
    """False for what concerns the safety of an account, and for kinds nobody knows."""
    return kind == THE_DIGEST or (kind in notices.KINDS and notices.OFF in notices.KINDS[kind].choices)


def unsubscribe_link(user, kind):
    """The absolute URL that stops letters of `kind` to `user`. It lives as long as the letter and does nothing else."""
    token = signing.dumps([str(user.pk), kind], salt=UNSUBSCRIBE_SALT)
    return f"{settings.SITE_URL}{reverse('unsubscribe', args=[token])}"


def read_unsubscribe(token):
    """(user, kind) of a link. Raises UnsubscribeLinkBad (404)."""
    try:
        user_id, kind = signing.loads(token, salt=UNSUBSCRIBE_SALT)
        user = User.objects.get(pk=user_id)
    except (signing.BadSignature, User.DoesNotExist):
        raise UnsubscribeLinkBad from None
    if not can_unsubscribe(kind):
        raise UnsubscribeLinkBad
    return user, kind


def unsubscribe(*, token):
    """Stop what a letter's link is about; twice is as good as once. Returns (user, kind).

    Of the digest: every kind in it is off, but the safety of the account, which is written about at once again.
    """
    user, kind = read_unsubscribe(token)
    if kind == THE_DIGEST:
        wishes = {
            name: notices.OFF if can_unsubscribe(name) else notices.NOW
            for name, mail in chosen(user).items()
            if mail == notices.DIGEST
        }
    else:
        wishes = {kind: notices.OFF}
    choose(user=user, wishes=wishes)
    return user, kind


def letter_context(user, context):
    """What the templates of a notice's letter and of the digest need besides the outbox' own; made when it is sent."""
    kind = context.get("kind", THE_DIGEST)
    return {
        "preferences_link": f"{settings.SITE_URL}{reverse('profile-notifications')}",
        "unsubscribe_link": unsubscribe_link(user, kind) if can_unsubscribe(kind) else "",
    }


def letter_headers(context):
    """The headers by which a mail program offers to unsubscribe; none where that is not possible."""
    link = context.get("unsubscribe_link")
    if not link:
        return {}
    return {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
