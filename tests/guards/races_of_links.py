"""Races of two calls about download links, share links and file requests."""

from datetime import timedelta

from django.test import RequestFactory

from fileshare import files, folders
from fileshare.incoming import uploads
from fileshare.models import FileRequest, ReceivedFile, RequestSender, ShareLink
from fileshare.outgoing import downloads, links
from fileshare.requests import file_requests, receipts, senders
from fileshare.sharing import redeeming, shares
from tests.factories import UserFactory
from tests.fileshare.requests.request_helpers import ask_for_files
from tests.guards.cases import loses, waits
from tests.guards.rows import EARLY, a_file, a_super, an_upload, complete, fresh
from tests.guards.waiting import Statement

DAY = timedelta(days=1)

# --- Links ------------------------------------------------------------------------------------------


@loses("fileshare.outgoing.downloads._redeemed", "LinkUsed", "File", statement=Statement.INSERT)
def a_one_time_link():
    boss, file = a_super(), a_file()
    link = links.read(links.make(file_id=file.pk, user_id=boss.pk, one_time=True))
    return lambda: downloads._redeemed(boss, link, RequestFactory().get("/"))[0]


@loses("fileshare.outgoing.downloads._redeemed", "File", "File", statement=Statement.INSERT)
def a_one_time_link_fetched_in_ranges_side_by_side():
    boss, file = a_super(), a_file()
    link = links.read(links.make(file_id=file.pk, user_id=boss.pk, one_time=True))
    whole, rest = RequestFactory().get("/"), RequestFactory().get("/", headers={"Range": "bytes=1-"})
    return lambda: downloads._redeemed(boss, link, rest)[0], lambda: downloads._redeemed(boss, link, whole)[0]


@waits("fileshare.sharing.shares._target", "list", "File")
def a_file_is_shared_and_deleted():
    boss, file = a_super(), a_file()
    return (
        lambda: shares.create(user=boss, file_id=file.pk, permission="download", expires_in=DAY),
        lambda: files.delete(user=boss, file_id=file.pk),
    )


@waits("fileshare.sharing.shares._target", "list", "list")
def two_share_the_same_files_in_another_order():
    boss, one, other = a_super(), a_file(), a_file()
    facts = {"user": boss, "permission": "download", "expires_in": DAY}
    return (
        lambda: shares.create(file_ids=[one.pk, other.pk], **facts),
        lambda: shares.create(file_ids=[other.pk, one.pk], **facts),
    )


@waits("fileshare.sharing.shares.shareable_place", "list", "Folder")
def a_folder_is_shared_and_gets_a_rule():
    boss, file = a_super(), a_file()
    facts = {"permission": "download", "expires_in": DAY}
    return (
        lambda: shares.create(user=boss, folder_id=file.folder_id, **facts),
        lambda: folders.change_folder(user=boss, folder_id=file.folder_id, share_password_required=True),
    )


@loses("fileshare.sharing.shares.revoke", False, True)
def a_share_is_revoked():
    link = complete(ShareLink)
    return lambda: shares.revoke(user=link.created_by, share_id=link.pk).revoked_at is not None


def shared(**facts):
    """A live ShareLink."""
    file = a_file(uploaded_by=a_super())
    (made,) = shares.create(user=file.uploaded_by, file_id=file.pk, permission="download", expires_in=DAY, **facts)
    return made.link


def spend(link):
    link = ShareLink.objects.with_details().get(pk=link.pk)
    return redeeming._spend(link, link.file) if link.file else redeeming._spend_on_all(link)


@loses("fileshare.sharing.redeeming._take_use", "ShareOver", "ShareDownload")
def the_last_download():
    link = shared(max_downloads=1)
    return lambda: spend(link)


@loses("fileshare.sharing.redeeming._take_use", "ShareOver", "Archive")
def the_last_download_of_several_files():
    boss = a_super()
    facts = {"permission": "download", "expires_in": DAY, "max_downloads": 1}
    (made,) = shares.create(user=boss, file_ids=[a_file().pk, a_file().pk], **facts)
    return lambda: spend(made.link)


@loses("fileshare.sharing.redeeming._take_use", "Http404", "File")
def a_download_of_one_of_several_files_that_is_deleted():
    boss, one, other = a_super(), a_file(), a_file()
    facts = {"permission": "download", "expires_in": DAY}
    (made,) = shares.create(user=boss, file_ids=[one.pk, other.pk], **facts)
    link = ShareLink.objects.with_details().get(pk=made.link.pk)
    return lambda: redeeming._spend(link, one), lambda: files.delete(user=boss, file_id=one.pk)


@loses("fileshare.sharing.redeeming._take_use", "ShareOver", "ShareLink")
def a_download_of_a_link_that_is_revoked():
    link = shared()
    return lambda: spend(link), lambda: shares.revoke(user=link.created_by, share_id=link.pk)


# --- Requests ---------------------------------------------------------------------------------------


@waits("fileshare.requests.file_requests._lock_owner", "FileRequest", "Conflict")
def one_request_too_many(world):
    world.patch(file_requests, "MAX_OPEN", 1)
    owner = UserFactory()
    folders.personal_folder(owner)
    return lambda: ask_for_files(owner)


@waits("fileshare.requests.file_requests._locked", 2, 3)
def a_request_gets_another_address():
    row = ask_for_files(UserFactory())
    return lambda: file_requests.renew_address(user=row.owner, request_id=row.pk).generation


def asked(**facts):
    """A RequestSender of an open request; `facts` of its row may be set."""
    sender, _cookie = senders.start(ask_for_files(UserFactory()))
    FileRequest.objects.filter(pk=sender.request_id).update(**facts)
    return sender


def upload_of(sender):
    """A call by which the sender aborts an upload."""
    upload = an_upload(user=sender.request.owner, sender=sender)
    return lambda: uploads.abort(user=sender.request.owner, sender=sender, file_id=upload.pk)


@waits("fileshare.requests.file_requests._end_uploads", "FileRequest", None)
def a_request_is_closed_and_an_upload_aborted():
    sender = asked()
    abort = upload_of(sender)
    return lambda: file_requests.close(user=sender.request.owner, request_id=sender.request_id), abort


@waits("fileshare.requests.file_requests._give_up_uploads", None, "Http404")
def uploads_of_a_request_are_given_up():
    sender = asked()
    abort = upload_of(sender)
    return lambda: file_requests._give_up_uploads(sender.request), abort


def begin(sender):
    """A call by which the sender begins to send 10 bytes."""
    return lambda: senders.initiate(sender=sender, filename="a.txt", size_bytes=10, content_type="")


def changed(sender, **changes):
    """A call by which the owner changes the request."""
    return lambda: file_requests.change(user=sender.request.owner, request_id=sender.request_id, **changes)


@loses("fileshare.space.request_room.reserve", "RequestOver", "FileRequest")
def a_file_for_a_request_that_is_closed():
    sender = asked()
    return begin(sender), changed(sender, closed=True)


@loses("fileshare.space.request_room.reserve", "RequestOver", "FileRequest")
def a_file_for_a_request_that_takes_no_more():
    sender = asked(received_files=1)
    return begin(sender), changed(sender, max_files=1)


@loses("fileshare.space.request_room.reserve", "NoRoom", "FileRequest")
def a_file_for_a_request_without_room():
    sender = asked()
    return begin(sender), changed(sender, max_bytes=9)


@loses("fileshare.requests.receipts.keep_checksums", False, True)
def checksums_are_kept():
    complete(ReceivedFile, file=a_file())
    return lambda: receipts.keep_checksums() > 0


@loses("fileshare.requests.receipts._mail_receipt", False, True)
def one_receipt():
    sender = complete(RequestSender, email="amina@example.org", receipt_due_at=EARLY)
    return lambda: receipts._mail_receipt(fresh(sender))
