"""Races of two calls about folders, space, files, uploads and the virus gate."""

import time
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import OutgoingMail
from accounts.notices import mail
from fileshare import company_folders, files, folders, holds, new_file_letters
from fileshare.desk import clients, ops
from fileshare.incoming import completion, uploads
from fileshare.many import carrying, deleting, moving, tagging
from fileshare.models import File, Folder, FolderPermission, Hold, Upload
from fileshare.outgoing import archives
from fileshare.scanning import clamd, virus_gate
from fileshare.search import folding
from fileshare.space import quotas
from fileshare.storage import ObjectInfo
from fileshare.upkeep import reconcile
from tests.factories import CompanyFactory, FolderFactory, SubfolderFactory, UserFactory, grant, store_file
from tests.guards.cases import loses, passes_by, waits
from tests.guards.rows import EARLY, LATE, a_file, a_super, an_upload, complete, fresh, text
from tests.guards.waiting import Statement

DAY = timedelta(days=1)

# --- Folders ----------------------------------------------------------------------------------------


@waits("fileshare.company_folders.make", True, False)
def a_company_gets_its_folder():
    boss, company = a_super(), CompanyFactory()
    return lambda: company_folders.set_up(user=boss, company_id=company.pk).is_new


@waits("fileshare.folders._manageable", "Folder", "Folder")
def a_folder_is_changed():
    boss, folder = a_super(), FolderFactory()
    return lambda: folders.change_folder(user=boss, folder_id=folder.pk, name="Papers")


@waits("fileshare.folders.rename_subfolder", "Subfolder", "Subfolder")
def a_subfolder_is_renamed():
    boss, subfolder = a_super(), SubfolderFactory()
    return lambda: folders.rename_subfolder(user=boss, subfolder_id=subfolder.pk, name="Papers")


@waits("fileshare.folders.locked_folder", None, "Http404")
def a_subfolder_is_deleted_and_uploaded_to():
    boss, subfolder = a_super(), SubfolderFactory()
    place = uploads.Place(subfolder.folder, subfolder)
    facts = {"user": boss, "place": place, "filename": "a.txt", "size_bytes": 5, "content_type": ""}
    return (
        lambda: folders.delete_subfolder(user=boss, subfolder_id=subfolder.pk),
        lambda: uploads.initiate(**facts),
    )


@waits("fileshare.folders.revoke", None, "Http404")
def a_grant_is_taken_back():
    boss, permission = a_super(), complete(FolderPermission)
    return lambda: folders.revoke(user=boss, permission_id=permission.pk)


@waits("fileshare.desk.ops.nudge", "now", "Conflict")
def a_client_is_reminded():
    boss, folder, client = a_super(), FolderFactory(), UserFactory(roles=["client"])
    grant(folder, "download", user=client)
    store_file(user=boss, folder=folder)
    return lambda: ops.nudge(user=boss, folder_id=folder.pk, client_id=client.pk)


@waits("fileshare.desk.clients._locked", "User", "User")
def a_leaver_loses_access():
    boss, person = a_super(), UserFactory(roles=["client"], company=CompanyFactory())
    return lambda: clients.switch(user=boss, person_id=person.pk, is_active=False)


@waits("fileshare.new_file_letters.wait_for", None, True)
def a_letter_is_sent_while_more_files_are_told():
    folder, user = FolderFactory(), UserFactory(roles=["client"])

    def tell():
        with transaction.atomic():
            new_file_letters.wait_for(folder, {user: EARLY.isoformat()})

    tell()
    letter = OutgoingMail.objects.get(to=user.email)
    OutgoingMail.objects.filter(pk=letter.pk).update(next_try_at=EARLY)
    return tell, lambda: mail.send(letter.pk)


@loses("fileshare.search.folding.fold_rows", 0, 1)
def a_file_is_renamed_while_names_are_folded():
    row = File.objects.filter(pk=a_file().pk)
    row.update(folded_name=None)
    return folding.fold_missing, lambda: row.update(filename="other.txt")


# --- Space ------------------------------------------------------------------------------------------


@loses("fileshare.space.quotas._use", "QuotaExceeded", None)
def the_last_space():
    folder = FolderFactory(quota_bytes=10)
    return lambda: quotas.reserve(folder_id=folder.pk, size_bytes=6)


@loses("fileshare.space.quotas._use", "QuotaExceeded", None)
def the_last_space_for_moved_files():
    folder = FolderFactory(quota_bytes=10)
    return lambda: quotas.take(folder_id=folder.pk, size_bytes=6)


@waits("fileshare.space.quotas._lock", 1, 0)
def sums_are_repaired():
    folder = FolderFactory(used_bytes=5)
    return lambda: len(quotas._repair_sums(folder.pk))


# --- Files ------------------------------------------------------------------------------------------


@waits("fileshare.files._changeable", "File", "Http404")
def a_file_is_deleted():
    boss, file = a_super(), a_file()
    return lambda: files.delete(user=boss, file_id=file.pk)


@waits("fileshare.files.purge_quarantined", "File", "Http404")
def a_file_is_purged_from_quarantine_and_released():
    boss, file = a_super(), a_file(scan_state="infected")
    return (
        lambda: files.purge_quarantined(by=boss, file_id=file.pk),
        lambda: virus_gate.release(by=boss, file_id=file.pk, reason="It is harmless."),
    )


@waits("fileshare.files._in_trash", "File", "Http404")
def a_file_is_purged_and_restored():
    boss, file = a_super(), a_file(deleted_at=timezone.now())
    return (
        lambda: files.purge(user=boss, file_id=file.pk),
        lambda: files.restore(user=boss, file_id=file.pk),
    )


@waits("fileshare.files._remove_all", 1, "Http404")
def a_file_is_removed_and_changed():
    boss, file = a_super(), a_file()
    return (
        lambda: files.remove_from(file.folder),
        lambda: files.change(user=boss, file_id=file.pk, filename="b.docx"),
    )


@waits("fileshare.folders.locked_folders", "Moved", "Upload")
def a_file_is_moved_while_another_comes():
    boss, file, folder = a_super(), a_file(), FolderFactory()
    return (
        lambda: moving.move(user=boss, file_ids=[file.pk], folder_id=folder.pk),
        lambda: uploads.initiate(
            user=boss, place=uploads.Place(folder), filename="a.txt", size_bytes=5, content_type=""
        ),
    )


@waits("fileshare.models.files.FileQuerySet.count_downloads", "Stream", "Moved")
def files_are_sent_as_a_zip_and_moved():
    boss, some, folder = a_super(), [a_file(), a_file()], FolderFactory()
    ids = [file.pk for file in some]
    return (
        lambda: archives.make(user=boss, file_ids=ids),
        lambda: moving.move(user=boss, file_ids=ids, folder_id=folder.pk),
    )


@waits("fileshare.many.choosing.changeable", "Deleted", "Http404")
def files_are_deleted_and_one_is_renamed():
    boss, file = a_super(), a_file()
    return (
        lambda: deleting.delete(user=boss, file_ids=[file.pk]),
        lambda: files.change(user=boss, file_id=file.pk, filename="b.docx"),
    )


@waits("fileshare.many.deleting.restore", 1, "Conflict")
def a_deletion_is_undone_and_the_file_purged():
    boss, file = a_super(), a_file()
    deleted = deleting.delete(user=boss, file_ids=[file.pk])
    return (
        lambda: deleting.restore(user=boss, file_ids=[file.pk], deleted_at=deleted.deleted_at),
        lambda: files.purge(user=boss, file_id=file.pk),
    )


@waits("fileshare.many.tagging.take_back", 1, 0)
def new_tags_are_taken_back():
    boss, file = a_super(), a_file()
    tagged = tagging.change_tags(user=boss, file_ids=[file.pk], add=["new"])
    return lambda: tagging.take_back(user=boss, added=tagged.added)


@loses("fileshare.many.carrying._switch", False, 1)
def a_file_is_carried_and_moved_again():
    file = a_file(next_key=text())
    return lambda: carrying._switch(file), lambda: File.objects.filter(pk=file.pk).update(next_key=text())


@loses("fileshare.upkeep.reconcile._adopt", 0, 1)
def a_row_takes_another_object_and_is_carried():
    file = a_file(object_key=text())
    stray, found = (f"files/{file.pk}/a.docx", file.size_bytes), reconcile.Reconciliation()

    def adopt():
        reconcile._adopt([stray], found, reconcile._Ids())
        return found.adopted

    return adopt, lambda: File.objects.filter(pk=file.pk).update(object_key=text())


@waits("fileshare.holds.release", "Hold", "Conflict")
def a_hold_is_released():
    boss, hold = a_super(), complete(Hold)
    return lambda: holds.release(by=boss, hold_id=hold.pk, reason="The case is closed.")


@waits("fileshare.holds.guard", "File", "Hold", statement=Statement.ADVISORY_LOCK)
def a_file_is_deleted_and_held():
    boss, file = a_super(), a_file()
    return (
        lambda: files.delete(user=boss, file_id=file.pk),
        lambda: holds.place(by=boss, file_id=file.pk, reason="A lawsuit"),
    )


@waits("fileshare.holds.place", "Hold", "Held", statement=Statement.ADVISORY_LOCK)
def a_file_is_held_and_deleted():
    boss, file = a_super(), a_file()
    return (
        lambda: holds.place(by=boss, file_id=file.pk, reason="A lawsuit"),
        lambda: files.delete(user=boss, file_id=file.pk),
    )


# --- Uploads ----------------------------------------------------------------------------------------


@loses("fileshare.incoming.completion.receive", "UploadGone", None)
def a_form_upload_is_given_up():
    user, folder = UserFactory(), FolderFactory()
    facts = {"filename": "a.txt", "content_type": "", "size_bytes": 10}
    return (
        # No stream is needed, because no byte is read.
        lambda: completion.receive(user=user, place=uploads.Place(folder), stream=None, **facts),
        lambda: uploads.abort(user=user, file_id=Upload.objects.get(folder=folder).pk),
    )


@loses("fileshare.incoming.completion._claim", False, True)
def an_upload_is_claimed():
    upload = an_upload()
    return lambda: completion._claim(fresh(upload))


@loses("fileshare.incoming.completion._unclaim", "completing", 1)
def a_claim_is_given_back_and_taken_over():
    upload = an_upload(status="completing", claimed_at=EARLY)

    def give_back():
        completion._unclaim(upload)
        return fresh(upload).status

    return give_back, lambda: Upload.objects.filter(pk=upload.pk).update(claimed_at=LATE)


@waits("fileshare.incoming.completion._make_file", "File", "Http404")
def an_upload_is_completed_and_aborted():
    upload = an_upload(status="completing", claimed_at=timezone.now())
    info = ObjectInfo(upload.size_bytes, "etag", None, None, timezone.now())
    return (
        lambda: completion._make_file(upload, info, "txt"),
        lambda: uploads.abort(user=upload.uploaded_by, file_id=upload.pk),
    )


@loses("fileshare.incoming.uploads._begin_parts", 1, 1)
def parts_are_begun(world):
    world.settings.MULTIPART_THRESHOLD_BYTES = 5
    facts = {"filename": "a.txt", "size_bytes": 10, "content_type": ""}
    upload = uploads.initiate(user=UserFactory(), place=uploads.Place(FolderFactory()), **facts)
    begun = set()

    def begin():
        begun.add(uploads.transfer(fresh(upload)).upload.store_upload_id)
        return len(begun)

    return begin


@waits("fileshare.incoming.uploads.abort", None, "Http404")
def an_upload_is_aborted():
    upload = an_upload()
    return lambda: uploads.abort(user=upload.uploaded_by, file_id=upload.pk)


@waits("fileshare.incoming.uploads.give_up", "Upload", "Http404")
def an_upload_is_given_up():
    boss, upload = a_super(), an_upload()
    return lambda: uploads.give_up(user=boss, file_id=upload.pk)


@passes_by("fileshare.incoming.uploads.remove_abandoned", True, False)
def an_abandoned_upload_is_removed():
    an_upload(expires_at=EARLY)
    return lambda: uploads.remove_abandoned() > 0


@loses("fileshare.incoming.uploads._forget", 5, 5, statement=Statement.DELETE)
def an_upload_gives_its_space_back():
    upload = an_upload()
    Folder.objects.filter(pk=upload.folder_id).update(reserved_bytes=F("reserved_bytes") + 5)

    def drop():
        uploads.drop(upload)
        return Folder.objects.get(pk=upload.folder_id).reserved_bytes

    return drop


# --- The virus gate ---------------------------------------------------------------------------------


def waiting_file(due=EARLY):
    return a_file(scan_state="waiting", scan_due_at=due)


def claim_of(file):
    return virus_gate._Claim(file, file.scan_due_at, virus_gate._Turn())


def taken_over(file):
    """A call by which another worker claims the file."""
    return lambda: File.objects.filter(pk=file.pk).update(scan_due_at=LATE)


@loses("fileshare.scanning.virus_gate._claim", False, True)
def a_file_is_taken_up():
    file = waiting_file()
    return lambda: virus_gate._claim(file.pk, virus_gate._Turn()) is not None


@loses("fileshare.scanning.virus_gate._Claim.renew", "ClaimLost", 1)
def a_claim_is_renewed_and_taken_over():
    file = waiting_file()
    return claim_of(file).renew, taken_over(file)


@loses("fileshare.scanning.virus_gate._scan_until", True, 1)
def the_scanner_goes_away_and_a_file_is_taken_over(world):
    file, turn = waiting_file(due=EARLY - DAY), virus_gate._Turn()

    def away(claim):
        raise clamd.ScannerAway

    world.patch(virus_gate, "_is_there", lambda: True)
    world.patch(virus_gate, "_judge", away)

    def scan():
        turn.take()
        virus_gate._scan_until(time.monotonic() + 60, turn)
        turn.give_back()
        return fresh(file).scan_due_at == LATE

    return scan, taken_over(file)


@loses("fileshare.scanning.virus_gate._give_back", True, 1)
def a_scan_fails_and_its_file_is_taken_over():
    file = waiting_file()

    def give_back():
        virus_gate._give_back(claim_of(file), clamd.ScannerFailed("no answer"))
        return fresh(file).scan_due_at == LATE

    return give_back, taken_over(file)


@waits("fileshare.scanning.virus_gate._settle", True, False)
def a_verdict():
    claim = claim_of(waiting_file())
    return lambda: virus_gate._settle(claim, clamd.Verdict(clamd.Outcome.CLEAN))


@waits("fileshare.scanning.virus_gate.release", "File", "Conflict")
def a_file_is_released():
    boss, file = a_super(), a_file(scan_state="infected")
    return lambda: virus_gate.release(by=boss, file_id=file.pk, reason="It is harmless.")


@loses("fileshare.scanning.virus_gate.mark_waiting", False, True)
def old_files_are_to_be_scanned():
    a_file()
    return lambda: virus_gate.mark_waiting() > 0
