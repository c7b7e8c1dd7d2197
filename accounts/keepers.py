"""The personal data that each app stores. Each app registers a Keeper, so that this app does not import the others."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import transaction
from django.utils.translation import gettext as _

from config.contributions.registry import Registry
from config.errors import Conflict


@dataclass(frozen=True)
class Keeper:
    """How one app copies, closes and erases the personal data that it stores.

    * `sections` {name: function(user)}: the parts of the copy. A function returns a JSON value, or an iterator whose
      rows are sent one by one.
    * `close(user)` runs in the transaction that closes the account.
    * `veto(user)` returns sentences, for supers, that say why the account must not be erased now. Inside a transaction
      the answer holds until its end.
    * `erase(user)` deletes the personal data, each batch within `unless_vetoed`. It returns False when it had to leave
      something for the next run.
    * `archive(user)` returns an Archive of the person's own files, or None.
    * `named_targets`: target types of the audit log. The copy shows the names of these targets only, because the
      name of any other target may identify another person.
    * `withdrawn(user)` returns {name: JSON value}: what the audit log keeps of the data that are deleted with a
      withdrawn invitation.
    """

    name: str
    sections: dict = field(default_factory=dict)
    close: Callable = lambda user: None
    veto: Callable = lambda user: []
    erase: Callable = lambda user: True
    archive: Callable = lambda user: None
    named_targets: tuple = ()
    withdrawn: Callable = lambda user: {}


@dataclass(frozen=True)
class Archive:
    """A person's own files. A POST to `url` downloads them as one ZIP; `url` is "" when they are too many for one."""

    url: str
    count: int


KEEPERS = Registry("keeper of personal data")


class Vetoed(Conflict):
    """409: a keeper forbids erasing the account now; `reasons` are the sentences of its veto."""

    def __init__(self, reasons):
        super().__init__(" ".join([_("This account cannot be erased now."), *reasons]), code="legal_hold")
        self.reasons = reasons


def register(keeper):
    """Register an app's Keeper."""
    KEEPERS.add(keeper.name, keeper)


def in_order():
    """The keepers by name, so that `accounts` comes first."""
    return list(KEEPERS.values())


def named_targets():
    """The target types of the audit log that the person or the firm gives a name; it identifies no other person."""
    return {target for keeper in in_order() for target in keeper.named_targets}


def vetoes(user):
    """Sentences, for supers, that say why the account cannot be erased now; an empty list when it can.

    Call it in a transaction and before locking any row: then the answer holds until the end of the transaction.
    """
    return [reason for keeper in in_order() for reason in keeper.veto(user)]


@contextmanager
def unless_vetoed(user):
    """A transaction in which the account may be erased: a new veto waits for its end. Raises Vetoed (409)."""
    with transaction.atomic():
        if reasons := vetoes(user):
            raise Vetoed(reasons)
        yield
