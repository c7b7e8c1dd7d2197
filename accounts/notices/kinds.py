"""The kinds of notices: the sentence of each, the page it leads to, and whether it goes out by mail by default.

Each app registers its own kinds, from its module `notice_kinds`. Rows outlive the code, so a notice of an unknown kind,
or with a payload that lacks a fact, still makes a sentence.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.urls import NoReverseMatch, reverse
from django.utils.text import Truncator

from accounts.models.notifications import NotificationPreference
from config.contributions.registry import Registry

NOW, DIGEST, OFF = NotificationPreference.Mail.values


class Facts(dict):
    """A payload that returns "" for a missing key."""

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

    `mail` is when it goes out by mail unless the user chose otherwise, `for_staff` the same for ops and supers where it
    differs; `mail` is None for a kind that always has an e-mail of its own. `mails(facts)` is False for a single notice
    that has one. `sentence(facts)` and `url(facts)` take the payload. `can_be_off` is False for kinds about the
    security of the account: users cannot switch them off.
    """

    name: str
    label: str
    group: str
    icon: str
    mail: str | None
    sentence: Callable
    url: Callable
    mails: Callable = lambda facts: True
    can_be_off: bool = True
    for_staff: str | None = None

    @property
    def choices(self):
        """What the user may choose for this kind: now, digest or off; an empty tuple when there is no choice."""
        if self.mail is None:
            return ()
        return (NOW, DIGEST, OFF) if self.can_be_off else (NOW, DIGEST)


@dataclass(frozen=True)
class Group:
    """A heading for several kinds; headings with a lower `place` come first."""

    label: str
    place: int


KINDS, GROUPS = Registry("kind of notice"), Registry("group of notices")


def register(kinds, groups):
    """Register an app's kinds and its groups {name: Group}."""
    KINDS.add_all({kind.name: kind for kind in kinds})
    GROUPS.add_all(groups)


def groups():
    """[(name, label)] in the order of the page."""
    return [(name, group.label) for name, group in sorted(GROUPS.items(), key=lambda item: item[1].place)]


def page(name, fact=None):
    """A function(facts) for Kind.url: the path of the page `name`.

    `fact` is the key of the id that the path needs. The function returns None when that id, or the page, is missing.
    """

    def url(facts):
        if fact is not None and not facts[fact]:
            return None
        try:
            return reverse(name, args=[] if fact is None else [facts[fact]])
        except NoReverseMatch:
            return None

    return url


def sentence(kind, payload):
    """The sentence of a notice, in the active language."""
    known = KINDS.get(kind)
    text = known.sentence(Facts(payload)) if known else kind.replace("_", " ").capitalize()
    return Truncator(text).chars(600)


def url(kind, payload):
    """The path on this portal that a notice leads to, or None."""
    known = KINDS.get(kind)
    return known.url(Facts(payload)) if known else None


def icon(kind):
    """The name of the icon of a kind."""
    return KINDS[kind].icon if kind in KINDS else "bell"


def goes_by_mail(kind, payload):
    """True for a known kind, unless this notice has an e-mail of its own."""
    return kind in KINDS and KINDS[kind].mails(Facts(payload))
