"""Register this app's contributions when the portal starts."""

from django.utils.translation import gettext_lazy

from accounts import scopes
from accounts.notices import kinds, letters, mail
from accounts.people import roles
from audit import actions
from config.api.tags import TAGS, Heading
from config.contributions import names, schedule
from config.http import throttling
from config.watch import logs
from config.watch.metrics import reader
from fileshare import folders, metrics, new_file_letters, parts, privacy
from fileshare.desk import ops
from fileshare.requests import invitations
from fileshare.sharing import shares

from . import notice_kinds
from .actions import SECRET_ACTIONS, Action
from .letter_samples import SAMPLES
from .names import FIELDS, MODELS
from .rates import RATES
from .schedule import LONG, jobs
from .scopes import Scope

# How a file was downloaded: by a share link, in a ZIP with others, or alone.
WAYS = {"share": "share", "bulk": "archive", "": "file"}
FILES = Heading("Files", 30, "Upload small files, find, download, tag, share, delete and restore files.")
HEADINGS = {
    "ops": FILES,
    "client": FILES,
    "files": FILES,
    "shares": FILES,
    "fileshare": Heading(
        "Folders and direct uploads", 40, "Folders and who may use them, uploads of any size, ZIPs, the log of files."
    ),
    "file-requests": Heading("File requests", 50, "Ask people without an account for files."),
}


def hand_in():
    """Add this app's entries to each registry of config, audit and accounts."""
    actions.register(
        Action,
        secret=SECRET_ACTIONS,
        with_bytes=(Action.UPLOAD, Action.DOWNLOAD),
        ways={Action.DOWNLOAD: WAYS},
        parts={"bulk_download": actions.Part(Action.DOWNLOAD, "bulk", gettext_lazy("Downloaded in a ZIP"))},
    )
    names.give("fileshare", MODELS, FIELDS)
    schedule.register(jobs(), long=LONG)
    logs.register(doors=["store", "secure-download", "share", "request"], names=["sender"])
    throttling.RATES.add_all(RATES)
    TAGS.add_all(HEADINGS)
    scopes.register(Scope)
    kinds.register(notice_kinds.KINDS, notice_kinds.GROUPS)
    mail.context_for(shares.LETTER, shares.letter_context)
    mail.context_for(ops.LETTER, ops.letter_context)
    mail.context_for(new_file_letters.LETTER, new_file_letters.letter_context)
    mail.context_for(invitations.INVITATION, invitations.invitation)
    letters.SAMPLES.add_all(SAMPLES)
    privacy.keep()
    roles.USES.add("folders", folders.use_of_role)
    for read in (metrics.quotas, metrics.uploads, metrics.virus_gate, metrics.backups):
        reader(read)
    parts.register()
