"""The notifications about folders, files, links and file requests."""

from datetime import date

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.notices.kinds import DIGEST, NOW, OFF, Facts, Group, Kind, page

GROUPS = {
    "sharing": Group(gettext_lazy("Sharing"), 10),
    "folders": Group(gettext_lazy("Folders"), 20),
    "uploads": Group(gettext_lazy("Your uploads"), 30),
    "space": Group(gettext_lazy("Space"), 40),
}


def _quarantine_page(facts):
    return None if facts["state"] == "deleted" else page("file", "file_id")(facts)


def _granted(facts):
    texts = {
        "download": _("You may now download from the folder “%(folder)s”."),
        "upload": _("You may now upload to the folder “%(folder)s”."),
    }
    return texts.get(str(facts["permission_type"]), _("You may now use the folder “%(folder)s”.")) % facts


def _shared(facts):
    if facts["folder"]:
        if facts["by"]:
            return _("%(by)s shared the folder “%(folder)s” with you.") % facts
        return _("The folder “%(folder)s” was shared with you.") % facts
    if more := _more(facts):
        return ngettext(
            "“%(filename)s” and %(more)d more file were shared with you.",
            "“%(filename)s” and %(more)d more files were shared with you.",
            more,
        ) % Facts(facts, more=more)
    if facts["by"]:
        return _("%(by)s shared “%(filename)s” with you.") % facts
    return _("“%(filename)s” was shared with you.") % facts


def _more(facts):
    """How many files a link leads to besides `filename`."""
    return facts["more"] if isinstance(facts["more"], int) else 0


def _downloaded(facts):
    if facts["folder"]:
        return ngettext(
            "Somebody downloaded by your share link to the folder “%(folder)s”.",
            "There were %(count)s downloads by your share link to the folder “%(folder)s”.",
            facts.count,
        ) % Facts(facts, count=facts.count)
    if _more(facts):
        return ngettext(
            "Somebody downloaded by your share link to “%(filename)s” and other files.",
            "There were %(count)s downloads by your share link to “%(filename)s” and other files.",
            facts.count,
        ) % Facts(facts, count=facts.count)
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
    told = Facts(facts, count=facts.count, folders=_folders_of(facts))
    try:
        told["date"] = date_format(date.fromisoformat(facts["date"]), "DATE_FORMAT")
    except (TypeError, ValueError):
        if told["folders"] > 1:
            return _("%(count)s files in %(folders)s of your folders will soon be deleted.") % told
        return (
            ngettext(
                "%(count)s file in the folder “%(folder)s” will soon be deleted.",
                "%(count)s files in the folder “%(folder)s” will soon be deleted.",
                facts.count,
            )
            % told
        )
    if told["folders"] > 1:
        return _("%(count)s files in %(folders)s of your folders will be deleted by %(date)s.") % told
    return (
        ngettext(
            "%(count)s file in the folder “%(folder)s” will be deleted by %(date)s.",
            "%(count)s files in the folder “%(folder)s” will be deleted by %(date)s.",
            facts.count,
        )
        % told
    )


def _folders_of(facts):
    return Facts(count=facts["folders"]).count


def _expiry_page(facts):
    return (page("folders") if _folders_of(facts) > 1 else _folder)(facts)


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


def _renamed(facts):
    if facts["by"]:
        return _("%(by)s renamed your file “%(before)s” to “%(filename)s”.") % facts
    return _("Your file “%(before)s” was renamed to “%(filename)s”.") % facts


_folder = page("folder", "folder_slug")
KINDS = (
    Kind(
        "file_shared",
        gettext_lazy("Somebody shares files with you"),
        "sharing",
        "link",
        None,
        _shared,
        page("share-open", "share_id"),
    ),
    Kind(
        "share_downloaded",
        gettext_lazy("Somebody downloads by your share link"),
        "sharing",
        "download",
        OFF,
        _downloaded,
        lambda facts: page("file", "file_id")(facts) or page("share-link", "share_id")(facts),
    ),
    Kind(
        "request_answered",
        gettext_lazy("Files come in for your file request"),
        "sharing",
        "upload",
        NOW,
        _answered,
        page("file-request", "request_id"),
    ),
    Kind("folder_granted", gettext_lazy("You may use a folder"), "folders", "folder", NOW, _granted, _folder),
    Kind(
        "folder_revoked",
        gettext_lazy("You may no longer use a folder as before"),
        "folders",
        "folder",
        NOW,
        lambda facts: _("You may no longer use the folder “%(folder)s” as before.") % facts,
        # Link to the list: the folder's own page may be a 404 for them now.
        page("folders"),
    ),
    Kind(
        "folder_upload",
        gettext_lazy("New files in a folder you may download from"),
        "folders",
        "file",
        NOW,
        _came,
        _folder,
        # Users who want mail at once get a separate letter, which names the files of some minutes (new_file_letters).
        mails=lambda facts: not facts["own_letter"],
        for_staff=OFF,
    ),
    Kind(
        "files_waiting",
        gettext_lazy("You are reminded of files you have not downloaded"),
        "folders",
        "download",
        NOW,
        _waiting,
        _folder,
        # Users who want mail at once get a separate letter, which names the files (desk.ops.nudge).
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
        "file_renamed",
        gettext_lazy("Another user renames one of your files"),
        "uploads",
        "file",
        DIGEST,
        _renamed,
        page("file", "file_id"),
    ),
    Kind(
        "file_expiring",
        gettext_lazy("Files in your folders are about to be deleted"),
        "folders",
        "clock",
        DIGEST,
        _expires,
        _expiry_page,
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
)
