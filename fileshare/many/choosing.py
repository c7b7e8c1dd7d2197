"""The files that a call names: those it may work on, and why the others are refused."""

from dataclasses import dataclass, field
from uuid import UUID

from django.utils.translation import gettext as _

from config.errors import Invalid, Refused
from fileshare import holds
from fileshare.models import File
from fileshare.scanning import virus_gate

MAX_FILES = 1000
ORDER = (404, 403, 409, 415, 400, 413)
"""When files are refused for several reasons, the whole call is refused for the first of these."""


class SomeRefused(Refused):
    """The whole call is refused because of some of its files; `errors` names these. `reasons` are their Refusals."""

    def __init__(self, reasons):
        first = min(reasons, key=lambda reason: ORDER.index(reason.status))
        ids = [str(reason.file_id) for reason in reasons if reason.status == first.status]
        super().__init__(first.status, first.code, first.message, errors={"file_ids": ids})
        self.reasons = reasons


@dataclass(frozen=True)
class Refusal:
    """Why one file is refused: `status` and `code` as one call for it would answer, `message` a sentence."""

    file_id: UUID
    status: int
    code: str
    message: str


@dataclass
class Choice:
    """`found` {id: File} are those that the call may work on so far, in the order in which they were named."""

    found: dict
    refused: list = field(default_factory=list)

    @property
    def rows(self):
        """The Files of `found`."""
        return list(self.found.values())

    def refuse(self, file, refusal):
        """Take a file out; `refusal` is the Refused that one call for it would raise."""
        del self.found[file.pk]
        self.refused.append(Refusal(file.pk, refusal.status, refusal.code, str(refusal.message)))

    def refuse_held(self):
        """Take out the files that a legal hold keeps. Call `holds.guard` first."""
        for pk in File.objects.filter(pk__in=list(self.found)).held().values_list("pk", flat=True):
            self.refuse(self.found[pk], holds.file_held())

    def settle(self, *, partial):
        """Raise SomeRefused if a file was refused, unless the call is `partial`."""
        if self.refused and not partial:
            raise SomeRefused(self.refused)


def ids_of(file_ids):
    """The ids, each once. Raises Invalid (400) for none or for more than MAX_FILES."""
    wanted = list(dict.fromkeys(file_ids))
    if not 1 <= len(wanted) <= MAX_FILES:
        raise Invalid("file_ids", _("Name 1 to %(most)d files.") % {"most": MAX_FILES})
    return wanted


def changeable(*, user, wanted):
    """The Choice of those that `user` may delete, rename, move and tag; their rows are locked in one order."""
    rows = File.objects.deletable_by(user).select_for_update(of=("self",))
    return _choice(user, wanted, rows.order_by("pk"))


def downloadable(*, user, wanted):
    """The Choice of those that `user` may download. No row is locked."""
    return _choice(user, wanted, File.objects.downloadable_by(user))


def _choice(user, wanted, allowed):
    rows = allowed.filter(pk__in=wanted).select_related("folder", "subfolder", "uploaded_by")
    found = {file.pk: file for file in rows}
    missing = [pk for pk in wanted if pk not in found]
    seen = {file.pk: file for file in File.objects.visible_to(user).filter(pk__in=missing)} if missing else {}
    return Choice(
        {pk: found[pk] for pk in wanted if pk in found}, refused=[_refusal(pk, seen.get(pk)) for pk in missing]
    )


def _refusal(pk, file):
    if file is None:
        return Refusal(pk, 404, "not_found", _("This file is not there, or you may not see it."))
    try:
        virus_gate.assert_clean(file)
    except virus_gate.NotClean as refusal:
        return Refusal(pk, refusal.status, refusal.code, str(refusal.message))
    return Refusal(pk, 403, "permission_denied", _("You may not do this with this file."))
