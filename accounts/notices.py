"""The kinds of notices: what each says, where it leads, and whether it goes out by mail unless told otherwise.

A kind nobody knows any more, or a fact that is missing, still makes a sentence: rows outlive their code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from django.urls import NoReverseMatch, reverse
from django.utils.formats import date_format
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .models.notifications import NotificationPreference

NOW, DIGEST, OFF = NotificationPreference.Mail.values

SECURITY = "security"
GROUPS = {
    "sharing": gettext_lazy("Sharing"),
    "folders": gettext_lazy("Folders"),
    "uploads": gettext_lazy("Your uploads"),
    "space": gettext_lazy("Space"),
    "payments": gettext_lazy("Payments"),
    SECURITY: gettext_lazy("Security"),
}
# What happened to an account, and whether a letter of its own says so already.
SECURITY_EVENTS = {
    "password_changed": (gettext_lazy("The password of your account was changed."), True),
    "email_changed": (gettext_lazy("The e-mail address of your account was changed."), True),
    "email_change_asked": (gettext_lazy("Somebody asked to change the e-mail address of your account."), False),
    "second_factor_added": (gettext_lazy("A second step was added to your log-in."), True),
    "second_factor_removed": (gettext_lazy("A second step of your log-in was removed."), True),
    "recovery_codes_made": (gettext_lazy("New recovery codes were made for your account."), True),
    "recovery_code_used": (gettext_lazy("A recovery code was used to log in to your account."), True),
    "wrong_codes": (gettext_lazy("Somebody knew your password and typed wrong codes at the log-in."), True),
    "passkey_copied": (gettext_lazy("A passkey of your account may have been copied."), True),
    "api_token_created": (gettext_lazy("An API token was made for your account."), False),
    "api_token_revoked": (gettext_lazy("An API token of your account was revoked."), False),
    "api_tokens_revoked": (gettext_lazy("All API tokens of your account were revoked."), False),
    "new_browser": (gettext_lazy("Your account was opened in a browser we have not seen before."), False),
    "login_locked": (
        gettext_lazy("Many log-ins to your account failed. For a while, nobody gets in from places it does not know."),
        True,
    ),
    "logged_out": (gettext_lazy("A super logged you out everywhere."), False),
    "token_reused": (
        gettext_lazy(
            "A refresh token of your account was used twice, so somebody may have copied it. That log-in was ended."
        ),
        False,
    ),
}


class Facts(dict):
    """A payload in which whatever is missing reads as nothing."""

    def __missing__(self, key):
        return ""

    @property
    def count(self):
        """How many things the notice is about, at least one."""
        value = self["count"]
        return max(value, 1) if isinstance(value, int) else 1


@dataclass(frozen=True)
class Kind:
    """One kind of notice.

    `mail` is when it goes out by mail unless its reader chose otherwise, None for a kind that always comes with a
    letter of its own; `mails` tells the same of a single notice. `sentence` and `url` are made of the payload.
    """

    name: str
    label: str
    group: str
    icon: str
    mail: str | None
    sentence: Callable
    url: Callable
    mails: Callable = lambda facts: True

    @property
    def choices(self):
        """The ways of mail its reader may choose: what concerns the safety of an account always goes out."""
        if self.mail is None:
            return ()
        return (NOW, DIGEST) if self.group == SECURITY else (NOW, DIGEST, OFF)


def _page(name, fact=None):
    """A function from facts to the address of the page `name`, of the id in `fact`; None where that is missing."""

    def url(facts):
        if fact is not None and not facts[fact]:
            return None
        try:
            return reverse(name, args=[] if fact is None else [facts[fact]])
        except NoReverseMatch:
            return None

    return url


def _quarantine_page(facts):
    return None if facts["state"] == "deleted" else _page("file", "file_id")(facts)


def _security_page(facts):
    return _page("profile-security")(facts) or reverse("profile")


def _granted(facts):
    texts = {
        "download": _("You may now download from the folder “%(folder)s”."),
        "upload": _("You may now upload to the folder “%(folder)s”."),
    }
    return texts.get(str(facts["permission_type"]), _("You may now use the folder “%(folder)s”.")) % facts


def _shared(facts):
    if facts["by"]:
        return _("%(by)s shared “%(filename)s” with you.") % facts
    return _("“%(filename)s” was shared with you.") % facts


def _downloaded(facts):
    return ngettext(
        "“%(filename)s” was downloaded by your share link.",
        "“%(filename)s” was downloaded %(count)s times by your share link.",
        facts.count,
    ) % Facts(facts, count=facts.count)


def _answered(facts):
    if facts["sender"]:
        text = ngettext(
            "%(sender)s sent %(count)s file for your request “%(title)s”.",
            "%(sender)s sent %(count)s files for your request “%(title)s”.",
            facts.count,
        )
    else:
        text = ngettext(
            "%(count)s file came in for your request “%(title)s”.",
            "%(count)s files came in for your request “%(title)s”.",
            facts.count,
        )
    return text % Facts(facts, count=facts.count)


def _came(facts):
    return ngettext(
        "“%(filename)s” is new in the folder “%(folder)s”.",
        "%(count)s files are new in the folder “%(folder)s”, the latest of them “%(filename)s”.",
        facts.count,
    ) % Facts(facts, count=facts.count)


def _waiting(facts):
    waiting = Facts(count=facts["waiting"]).count
    return ngettext(
        "%(waiting)s file in the folder “%(folder)s” waits to be downloaded by you.",
        "%(waiting)s files in the folder “%(folder)s” wait to be downloaded by you.",
        waiting,
    ) % Facts(facts, waiting=waiting)


def _expires(facts):
    day = facts["date"]
    try:
        day = date_format(date.fromisoformat(day), "DATE_FORMAT")
    except (TypeError, ValueError):
        return ngettext(
            "%(count)s of your files in the folder “%(folder)s” expires soon.",
            "%(count)s of your files in the folder “%(folder)s” expire soon.",
            facts.count,
        ) % Facts(facts, count=facts.count)
    return ngettext(
        "%(count)s of your files in the folder “%(folder)s” expires by %(date)s.",
        "%(count)s of your files in the folder “%(folder)s” expire by %(date)s.",
        facts.count,
    ) % Facts(facts, count=facts.count, date=day)


def _quarantined(facts):
    texts = {
        "infected": _(
            "“%(filename)s” is in quarantine: the virus scanner found %(signature)s in it. Nobody can download it."
        ),
        "released": _("A super let “%(filename)s” out of quarantine: it can be downloaded."),
        "deleted": _("A super deleted “%(filename)s” from quarantine."),
    }
    unscannable = _(
        "“%(filename)s” is in quarantine: the virus scanner cannot check it. "
        "Nobody can download it until a super has decided."
    )
    return texts.get(str(facts["state"]), unscannable) % facts


def _deleted(facts):
    if facts.count == 1 and facts["by"]:
        return _("%(by)s deleted your file “%(filename)s” from the folder “%(folder)s”.") % facts
    return ngettext(
        "%(count)s of your files was deleted from the folder “%(folder)s” by somebody else: “%(filename)s”.",
        "%(count)s of your files were deleted from the folder “%(folder)s” by somebody else, "
        "the latest of them “%(filename)s”.",
        facts.count,
    ) % Facts(facts, count=facts.count)


def _settled(facts):
    texts = {
        "paid": _("Your payment of KES %(amount)s for “%(plan)s” has arrived."),
        "failed": _("Your payment for “%(plan)s” did not go through."),
        "cancelled": _("Your payment for “%(plan)s” was cancelled."),
        "timed_out": _("Your payment for “%(plan)s” was not confirmed in time."),
        "needs_review": _("We are looking into your payment for “%(plan)s”."),
    }
    return texts.get(str(facts["status"]), _("Your payment for “%(plan)s” is settled.")) % facts


def _ending(facts):
    return _("The space of “%(plan)s” ends soon.") % facts


def _ended(facts):
    return _("The space of “%(plan)s” has ended.") % facts


def _payment(facts):
    return _page("payment", "transaction_id")(facts) or _page("payments")(facts)


def _account_changed(facts):
    """One sentence for each part that changed."""
    said = [_("A super changed your account.")]
    if added := _names(facts["roles_added"]):
        text = ngettext("You now have the role %(names)s.", "You now have the roles %(names)s.", len(added))
        said.append(text % {"names": ", ".join(added)})
    if removed := _names(facts["roles_removed"]):
        text = ngettext(
            "You no longer have the role %(names)s.", "You no longer have the roles %(names)s.", len(removed)
        )
        said.append(text % {"names": ", ".join(removed)})
    if facts["company"]:
        said.append(_("You now belong to the company “%(company)s”.") % facts)
    elif "company" in facts:
        said.append(_("You no longer belong to a company."))
    if facts["name"]:
        said.append(_("Your name is now “%(name)s”.") % facts)
    if "is_active" in facts:
        said.append(_("Your account was switched on.") if facts["is_active"] else _("Your account was switched off."))
    return " ".join(said)


def _names(value):
    return [str(name) for name in value] if isinstance(value, list) else []


def _security(facts):
    known = SECURITY_EVENTS.get(str(facts["what"]))
    return str(known[0]) if known else _("A security setting of your account was changed.")


_folder = _page("folder", "folder_slug")
KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "file_shared",
            gettext_lazy("Somebody shares a file with you"),
            "sharing",
            "link",
            None,
            _shared,
            _page("share-open", "share_id"),
        ),
        Kind(
            "share_downloaded",
            gettext_lazy("Somebody downloads by your share link"),
            "sharing",
            "download",
            OFF,
            _downloaded,
            _page("file", "file_id"),
        ),
        Kind(
            "request_answered",
            gettext_lazy("Files come in for your file request"),
            "sharing",
            "upload",
            NOW,
            _answered,
            _page("file-request", "request_id"),
        ),
        Kind("folder_granted", gettext_lazy("You may use a folder"), "folders", "folder", NOW, _granted, _folder),
        Kind(
            "folder_revoked",
            gettext_lazy("You may no longer use a folder as before"),
            "folders",
            "folder",
            NOW,
            lambda facts: _("You may no longer use the folder “%(folder)s” as before.") % facts,
            # It may be a 404 for them by now.
            _page("folders"),
        ),
        Kind(
            "folder_upload",
            gettext_lazy("New files in a folder you may download from"),
            "folders",
            "file",
            OFF,
            _came,
            _folder,
        ),
        Kind(
            "files_waiting",
            gettext_lazy("You are reminded of files you have not downloaded"),
            "folders",
            "download",
            NOW,
            _waiting,
            _folder,
            # At once, a letter of its own names the files.
            mails=lambda facts: not facts["own_letter"],
        ),
        Kind(
            "upload_refused",
            gettext_lazy("One of your uploads is refused"),
            "uploads",
            "alert",
            OFF,
            lambda facts: _("“%(filename)s” was refused: %(reason)s") % facts,
            _folder,
        ),
        Kind(
            "file_quarantined",
            gettext_lazy("One of your files is put into quarantine, or let out, or deleted there"),
            "uploads",
            "alert",
            NOW,
            _quarantined,
            _quarantine_page,
        ),
        Kind(
            "file_deleted",
            gettext_lazy("Somebody else deletes one of your files"),
            "uploads",
            "trash",
            NOW,
            _deleted,
            _folder,
        ),
        Kind(
            "file_expiring",
            gettext_lazy("Your files are about to expire"),
            "uploads",
            "clock",
            DIGEST,
            _expires,
            _folder,
        ),
        Kind(
            "quota_near_full",
            gettext_lazy("A folder is nearly full"),
            "space",
            "alert",
            NOW,
            lambda facts: _("The folder “%(folder)s” is nearly full: %(percent)s %% of its space is taken.") % facts,
            _folder,
        ),
        Kind(
            "payment_settled",
            gettext_lazy("A payment of yours fails or has to be looked at"),
            "payments",
            "check",
            NOW,
            _settled,
            _payment,
            # A paid one has its receipt.
            mails=lambda facts: facts["status"] != "paid",
        ),
        Kind("plan_ending", gettext_lazy("Bought space ends soon"), "payments", "clock", None, _ending, _payment),
        Kind("plan_ended", gettext_lazy("Bought space has ended"), "payments", "clock", None, _ended, _payment),
        Kind(
            "account_changed",
            gettext_lazy("A super changes your roles, your company or your account"),
            SECURITY,
            "user",
            NOW,
            _account_changed,
            _page("profile"),
        ),
        Kind(
            "security_changed",
            gettext_lazy("Something about the safety of your account changes"),
            SECURITY,
            "shield",
            NOW,
            _security,
            _security_page,
            lambda facts: not SECURITY_EVENTS.get(str(facts["what"]), ("", False))[1],
        ),
    )
}


def sentence(kind, payload):
    """What a notice says, in the reader's language."""
    known = KINDS.get(kind)
    text = known.sentence(Facts(payload)) if known else kind.replace("_", " ").capitalize()
    return Truncator(text).chars(600)


def url(kind, payload):
    """Where a notice leads, a path of this portal, or None."""
    known = KINDS.get(kind)
    return known.url(Facts(payload)) if known else None


def icon(kind):
    """The name of the picture beside it."""
    return KINDS[kind].icon if kind in KINDS else "bell"


def goes_by_mail(kind, payload):
    """True unless the news has a letter of its own, or the kind is unknown."""
    return kind in KINDS and KINDS[kind].mails(Facts(payload))
