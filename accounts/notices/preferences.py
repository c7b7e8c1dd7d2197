"""When each user wants each kind of notice by mail: at once, in the daily digest, or not at all.

A row exists only when a user chose something other than the kind's default. So a new default applies to all others.
"""

from django.core import signing
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.contributions.actions import Action
from accounts.models import Notification, NotificationPreference, User
from audit.log import record
from config.errors import Invalid, Refused
from config.http.site_path import absolute

from . import kinds

UNSUBSCRIBE_SALT = "accounts.unsubscribe"
# In unsubscribe links, instead of a kind: the whole daily digest.
THE_DIGEST = "digest"


class UnsubscribeLinkBad(Refused):
    """404: the link is not from one of our e-mails."""

    def __init__(self):
        super().__init__(404, "token_invalid", _("This link is not valid. Choose your mails on your profile instead."))


def chosen(user):
    """{kind: "now", "digest" or "off"} for every kind for which users have a choice."""
    wishes = _defaults(user)
    rows = NotificationPreference.objects.filter(user=user).values_list("kind", "mail")
    return wishes | {kind: mail for kind, mail in rows if kind in wishes and mail in kinds.KINDS[kind].choices}


def _defaults(user):
    is_staff = _staff([user.pk]).exists()
    return {
        name: (kind.for_staff or kind.mail) if is_staff else kind.mail
        for name, kind in kinds.KINDS.items()
        if kind.choices
    }


def _staff(user_ids):
    return User.objects.with_ops().filter(pk__in=user_ids, is_ops=True)


def of_many(user_ids, kind):
    """{user id: when they want notices of `kind` by mail}, in one query or two."""
    known = kinds.KINDS.get(kind)
    if known is None or not known.choices:
        return dict.fromkeys(user_ids, kinds.OFF)
    rows = NotificationPreference.objects.filter(user__in=user_ids, kind=kind, mail__in=known.choices)
    wishes = dict.fromkeys(user_ids, known.mail)
    if known.for_staff:
        wishes |= dict.fromkeys(_staff(user_ids).values_list("pk", flat=True), known.for_staff)
    return wishes | dict(rows.values_list("user", "mail"))


@transaction.atomic
def choose(*, user, wishes):
    """Set when `user` wants the kinds in `wishes` {kind: mail}; other kinds stay. Returns all, as `chosen` does.

    Notices that wait for the digest leave it when their kind is no longer wanted there. Raises Invalid (400) for an
    unknown kind or a choice that the kind does not have; then nothing changes.
    """
    for kind, mail in wishes.items():
        if kind not in kinds.KINDS or not kinds.KINDS[kind].choices:
            raise Invalid("mail", _("There is no kind of notification “%(kind)s”.") % {"kind": kind[:60]})
        if mail not in kinds.KINDS[kind].choices:
            raise Invalid("mail", _("“%(kind)s” cannot be sent that way.") % {"kind": kind})
    # Lock the user, so that two requests at once take turns.
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    before = chosen(user)
    changed = {kind: mail for kind, mail in wishes.items() if mail != before[kind]}
    if not changed:
        return before
    NotificationPreference.objects.filter(user=user, kind__in=changed).delete()
    defaults = _defaults(user)
    NotificationPreference.objects.bulk_create(
        NotificationPreference(user=user, kind=kind, mail=mail)
        for kind, mail in changed.items()
        if mail != defaults[kind]
    )
    unwanted = [kind for kind, mail in changed.items() if mail != kinds.DIGEST]
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
    """False for kinds about the security of the account, and for unknown kinds."""
    return kind == THE_DIGEST or (kind in kinds.KINDS and kinds.OFF in kinds.KINDS[kind].choices)


def unsubscribe_link(user, kind):
    """The absolute URL that stops e-mails of `kind` to `user`. It never expires and does nothing else."""
    token = signing.dumps([str(user.pk), kind], salt=UNSUBSCRIBE_SALT)
    return absolute(reverse("unsubscribe", args=[token]))


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
    """Stop the e-mails of a link's kind. A second call changes nothing. Returns (user, kind).

    The link of a digest switches off every kind in it. Kinds about security cannot be off; they go out at once again.
    """
    user, kind = read_unsubscribe(token)
    if kind == THE_DIGEST:
        wishes = {
            name: kinds.OFF if can_unsubscribe(name) else kinds.NOW
            for name, mail in chosen(user).items()
            if mail == kinds.DIGEST
        }
    else:
        wishes = {kind: kinds.OFF}
    choose(user=user, wishes=wishes)
    return user, kind


def letter_context(user, context):
    """Links for the templates of the e-mails of notices and digests, made when the e-mail is sent."""
    kind = context.get("kind", THE_DIGEST)
    return {
        "preferences_link": absolute(reverse("profile-notifications")),
        "unsubscribe_link": unsubscribe_link(user, kind) if can_unsubscribe(kind) else "",
    }
