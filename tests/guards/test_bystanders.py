"""An UPDATE of one row leaves the others as they were.

Each case makes two rows alike and lets the portal act on one of them. Then exactly one row has changed.
"""

import io
from datetime import timedelta
from smtplib import SMTPServerDisconnected

import pytest
import time_machine
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.credentials import api_tokens
from accounts.models import ApiToken, Notification, OutgoingMail, RecoveryCode, Session, TotpDevice, User
from accounts.notices import mail, notifications, preferences
from accounts.people import languages, registration
from accounts.privacy import subject_rights
from accounts.second_factors import recovery_codes, totp
from config.errors import Conflict
from config.outside import sealing
from fileshare import checksums, files, privacy
from fileshare.incoming import completion, uploads
from fileshare.models import (
    File,
    FileRequest,
    Folder,
    ReceivedFile,
    RequestSender,
    ScanState,
    ShareLink,
    Upload,
    Visibility,
)
from fileshare.models.uploads import UploadStatus
from fileshare.requests import receipts, senders
from fileshare.scanning import virus_gate
from fileshare.sharing import addresses, redeeming, shares
from tests.factories import PASSWORD, FolderFactory, UserFactory, store_file
from tests.fileshare.helpers import send
from tests.fileshare.requests.request_helpers import ask_for_files

pytestmark = pytest.mark.django_db
LONG_AGO = timezone.now() - timedelta(days=90)
BODY = b"some words"


def two(make, *arguments, **facts):
    """Two results of `make`."""
    return [make(*arguments, **facts) for _n in range(2)]


def rows(model):
    return {row[model._meta.pk.attname]: row for row in model.objects.values()}


def check(model, act, *, changed=1):
    """act() changes or deletes exactly `changed` of the model's rows."""
    before = rows(model)
    act()
    after = rows(model)
    assert sum(row != after.get(pk) for pk, row in before.items()) == changed


# --- Accounts -----------------------------------------------------------------------------------------


@pytest.fixture
def pair():
    """Two new users."""
    return two(UserFactory)


@pytest.fixture
def letters(pair):
    return two(mail.post, "password_changed", to=pair[0].email, user_id=str(pair[0].pk))


def test_a_letter_is_sent(letters):
    check(OutgoingMail, lambda: mail.send(letters[0].pk))


def test_a_letter_is_put_off(letters, monkeypatch):
    def refuse(*args):
        raise SMTPServerDisconnected

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    check(OutgoingMail, lambda: mail.send(letters[0].pk))


def test_a_letter_is_not_yet_to_be_written(letters, monkeypatch):
    def not_yet(letter):
        raise mail.NotYet

    monkeypatch.setattr(mail, "_message", not_yet)
    check(OutgoingMail, lambda: mail.send(letters[0].pk))


def test_a_user_chooses_a_language(pair):
    check(User, lambda: languages.choose(user=pair[0], language="sw"))


def test_a_user_asks_for_another_address(pair):
    check(User, lambda: registration.request_email_change(user=pair[0], email="new@example.org"))


def test_a_user_logs_in(pair):
    entry = {"email": pair[0].email, "password": PASSWORD}
    check(User, lambda: Client().post(reverse("login"), entry))


def test_a_session_is_seen(pair):
    browsers = two(Client)
    for browser in browsers:
        browser.force_login(pair[0])
    Session.objects.update(seen_at=timezone.now() - timedelta(days=1))

    check(Session, lambda: browsers[0].get(reverse("profile")))


def test_an_api_token_is_used(pair):
    expires = timezone.now() + timedelta(days=9)
    tokens = two(api_tokens.create, user=pair[0], name="backup", scopes=["files:read"], expires_at=expires)

    check(ApiToken, lambda: api_tokens.note_use(tokens[0][0]))


def test_a_recovery_code_is_spent(pair):
    codes, _others = [recovery_codes.replace(user) for user in pair]

    check(RecoveryCode, lambda: recovery_codes.spend(pair[0], codes[0]))


def test_a_wrong_code_of_an_app_is_counted(pair):
    for user in pair:
        TotpDevice.objects.create(user=user, secret=sealing.seal(totp.PURPOSE, b"key"))

    check(TotpDevice, lambda: totp.check(pair[0], "000000"))


def test_notices_are_read_by_their_reader(pair):
    mine, _later, foreign = [
        Notification.objects.create(user=user, type="file_received") for user in (pair[0], pair[0], pair[1])
    ]

    check(Notification, lambda: notifications.mark_read(user=pair[0], ids=[mine.pk, foreign.pk]))


def test_a_kind_of_notice_is_taken_out_of_the_digest(pair):
    for user, kind in ((pair[0], "folder_upload"), (pair[0], "file_shared"), (pair[1], "folder_upload")):
        Notification.objects.create(user=user, type=kind, for_digest=True)
    preferences.choose(user=pair[0], wishes={"folder_upload": "digest"})

    check(Notification, lambda: preferences.choose(user=pair[0], wishes={"folder_upload": "off"}))


def test_the_admin_forgets_who_was_erased(pair):
    users = ContentType.objects.get_for_model(User)
    for user in pair:
        LogEntry.objects.create(
            user=user, content_type=users, object_id=str(user.pk), object_repr=user.email, action_flag=CHANGE
        )
    User.objects.filter(pk=pair[0].pk).update(closed_at=LONG_AGO, is_active=False)

    check(LogEntry, lambda: subject_rights.erase(User.objects.get(pk=pair[0].pk)))


# --- Uploads, files and their space -------------------------------------------------------------------


@pytest.fixture
def user():
    return UserFactory(is_superuser=True)


@pytest.fixture
def folders():
    """Two folders with the same used and reserved space."""
    return two(FolderFactory, used_bytes=100, reserved_bytes=100)


@pytest.fixture
def promised(user, folders):
    return two(promise, user, folders[0])


def promise(user, folder, body=BODY):
    facts = {"filename": "notes.txt", "size_bytes": len(body), "content_type": "text/plain"}
    return uploads.initiate(user=user, place=uploads.Place(folder), **facts)


def sent(upload, body=BODY):
    """The upload, after its bytes were sent to the store."""
    (transfer,) = uploads.begin([upload])
    assert send(transfer.url, body, transfer.headers["Content-Type"]).status_code == 200
    return upload


def stored(user, folder, count=2, **facts):
    found = [store_file(user=user, folder=folder, filename="notes.txt", content=BODY) for _n in range(count)]
    if facts:
        File.objects.update(**facts)
    return [File.objects.get(pk=file.pk) for file in found]


def test_an_upload_in_parts_begins(user, folders, settings):
    settings.MULTIPART_THRESHOLD_BYTES = settings.PART_SIZE_BYTES = 1000
    first, _second = two(promise, user, folders[0], b"x" * 1500)

    check(Upload, lambda: uploads.begin([first]))


def test_an_upload_is_completed(promised, user):
    check(Upload, lambda: completion.complete(user=user, file_id=sent(promised[0]).pk))


def test_an_upload_whose_bytes_are_missing_can_be_mended(promised, user):
    """The other upload is claimed in the same moment."""
    with time_machine.travel(timezone.now(), tick=False):
        Upload.objects.filter(pk=promised[1].pk).update(status=UploadStatus.COMPLETING, claimed_at=timezone.now())

        def fail():
            with pytest.raises(Conflict):
                completion.complete(user=user, file_id=promised[0].pk)

        check(Upload, fail, changed=0)
    assert Upload.objects.get(pk=promised[0].pk).status == UploadStatus.PENDING


def test_a_form_s_upload_is_claimed(promised, user, folders):
    check(Upload, lambda: store_file(user=user, folder=folders[0]), changed=0)


def test_space_is_set_aside(user, folders):
    check(Folder, lambda: promise(user, folders[0]))


def test_space_set_aside_is_used(promised, user):
    upload = sent(promised[0])

    check(Folder, lambda: completion.complete(user=user, file_id=upload.pk))


def test_space_set_aside_is_given_back(promised, user):
    check(Folder, lambda: uploads.abort(user=user, file_id=promised[0].pk))


def test_the_space_of_a_file_is_free_again(user, folders):
    first, _second = stored(user, folders[0], deleted_at=timezone.now(), deleted_by=user)

    check(Folder, lambda: files.purge(user=user, file_id=first.pk))


def test_a_file_s_checksums_are_kept(user, folders):
    first, _second = stored(user, folders[0], sha256="", crc32=None)

    check(File, lambda: checksums.compute(first))


def test_a_closed_account_takes_back_what_it_made_public(pair):
    for owner in pair:
        stored(owner, FolderFactory(owner=owner), count=1, visibility=Visibility.PUBLIC)

    check(File, lambda: privacy.close(pair[0]))


class Turn:
    """A turn at the scanner that no other worker takes away."""

    def keep(self):
        pass


def test_a_file_is_claimed_for_the_scanner(user, folders):
    first, _second = stored(user, folders[0], scan_state=ScanState.WAITING, scan_due_at=LONG_AGO)

    check(File, lambda: virus_gate._claim(first.pk, Turn()))


def test_a_claim_of_the_scanner_is_renewed(user, folders):
    first, _second = stored(user, folders[0], scan_state=ScanState.WAITING, scan_due_at=LONG_AGO)

    check(File, virus_gate._Claim(first, LONG_AGO, Turn()).renew)


# --- Links and requests -------------------------------------------------------------------------------


@pytest.fixture
def links(user, folders):
    (file,) = stored(user, folders[0], count=1)
    return [
        made
        for _n in range(2)
        for made in shares.create(user=user, file_id=file.pk, permission="download", expires_in=timedelta(hours=1))
    ]


def test_a_link_is_used(links):
    check(ShareLink, lambda: redeeming.redeem(token=links[0].token))


def test_links_to_several_files_are_used_and_revoked(user, folders):
    rows = [store_file(user=user, folder=folders[0], filename=f"{name}.txt", content=BODY) for name in "abc"]
    facts = {"user": user, "permission": "download", "expires_in": timedelta(hours=1)}
    first, _second = (shares.create(file_ids=[row.pk for row in rows], **facts)[0] for _n in range(2))

    check(ShareLink, lambda: redeeming.redeem(token=first.token))
    check(File, lambda: redeeming.redeem(token=first.token, file_id=str(rows[0].pk)))
    check(ShareLink, lambda: shares.revoke(user=user, share_id=first.link.pk))


def test_a_link_is_revoked(links, user):
    check(ShareLink, lambda: shares.revoke(user=user, share_id=links[0].link.pk))


def test_a_link_of_a_former_key_gets_another_token(links, settings):
    settings.SECRET_KEY = "another key, of more than thirty-two letters"

    check(ShareLink, lambda: addresses.token_to_send(links[0].link))


@pytest.fixture
def two_senders(user, folders):
    """One sender for each of two requests. Both requests have reserved files."""
    found = []
    for request in two(ask_for_files, user, folder_id=folders[0].pk):
        FileRequest.objects.filter(pk=request.pk).update(reserved_files=2, reserved_bytes=200)
        found.append(senders.start(request, email="amina@example.org")[0])
    return found


def deliver(sender):
    facts = {"filename": "notes.txt", "content_type": "text/plain", "size_bytes": len(BODY)}
    return senders.receive(sender=sender, stream=io.BytesIO(BODY), **facts)


def test_a_place_in_a_request_is_set_aside(two_senders):
    facts = {"filename": "notes.txt", "content_type": "text/plain", "size_bytes": len(BODY)}
    check(FileRequest, lambda: senders.initiate(sender=two_senders[0], **facts))


def test_a_place_in_a_request_is_given_back(two_senders):
    facts = {"filename": "notes.txt", "content_type": "text/plain", "size_bytes": len(BODY)}
    upload = senders.initiate(sender=two_senders[0], **facts)

    check(FileRequest, lambda: senders.abort(sender=two_senders[0], file_id=upload.pk))


def test_a_place_in_a_request_is_taken(two_senders):
    check(FileRequest, lambda: deliver(two_senders[0]))


def test_a_sender_is_to_get_a_receipt(two_senders):
    check(RequestSender, lambda: deliver(two_senders[0]))


def test_a_receipt_is_mailed(two_senders):
    RequestSender.objects.update(receipt_due_at=LONG_AGO)

    check(RequestSender, lambda: receipts._mail_receipt(RequestSender.objects.get(pk=two_senders[0].pk)))


def test_a_checksum_comes_to_its_receipt(two_senders):
    known, _unknown = [deliver(sender) for sender in two_senders]
    ReceivedFile.objects.update(sha256="")
    File.objects.exclude(pk=known.pk).update(sha256="")

    check(ReceivedFile, receipts.keep_checksums)
