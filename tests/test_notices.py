"""Each kind of notice, made by an operation: who is told, and that its link leads to a page that exists."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import tasks as account_tasks
from accounts.contributions.notice_kinds import SECURITY_EVENTS
from accounts.credentials import api_tokens, lockout, passwords, tokens
from accounts.credentials.sessions import SessionStore
from accounts.models import Notification, OutgoingMail
from accounts.notices import kinds, mailed_links, notifications, preferences
from accounts.people import registration, roles
from accounts.second_factors import factors
from config.errors import Refused
from fileshare import files, folder_notices, folders, tasks
from fileshare.desk import ops
from fileshare.models import File, Folder, QuotaGrant, ScanState
from fileshare.scanning import virus_gate
from fileshare.sharing import redeeming, shares
from payments import notices as payment_notices
from payments.bookkeeping import reviews
from payments.models import Transaction
from tests.accounts.second_factors.authenticator import Authenticator
from tests.accounts.second_factors.factors import code_for, give_app, wrong_code
from tests.accounts.second_factors.test_passkeys import SITE, register, use
from tests.accounts.second_factors.test_second_factor import log_in
from tests.factories import PASSWORD, PlanFactory, store_file
from tests.fileshare.requests.request_helpers import Outsider, ask_for_files
from tests.fileshare.scanning.scanner import fake_scanner, take_all  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
ROWS = []


def leaves(kind, *, to, what=None, **facts):
    """Make a row of the table: the function, called with a World, gives `to` a notice of this kind with these facts."""

    def note(function):
        ROWS.append(pytest.param(function, kind, to, facts | ({"what": what} if what else {}), id=function.__name__))
        return function

    return note


class World:
    """Users, a folder with a file, and the fixtures that some operations need."""

    def __init__(self, people, folder, report, settings, monkeypatch, fake_scanner):  # noqa: F811
        self.people, self.folder, self.report = people, folder, report
        self.settings, self.monkeypatch, self.fake_scanner = settings, monkeypatch, fake_scanner
        self.client, self.super, self.uploader = people["client"], people["super"], people["uploader"]

    def store(self, **facts):
        """A file of the uploader's."""
        return store_file(**{"user": self.uploader, "folder": self.folder, **facts})

    def share(self, **facts):
        """A share link of the uploader's to the report."""
        return shares.create(
            user=self.uploader, file_id=self.report.pk, permission="download", expires_in=HOUR, **facts
        )[0]

    def grant(self):
        """Let the client download."""
        return folders.grant(
            user=self.super, folder_id=self.folder.pk, permission_type="download", user_id=self.client.pk
        )

    def payment(self):
        """A payment of the client's that waits for a review."""
        plan, folder = PlanFactory(), folders.personal_folder(self.client)
        return Transaction.objects.create(
            user=self.client,
            plan=plan,
            plan_name=plan.name,
            amount=plan.amount,
            extra_bytes=plan.extra_bytes,
            days=plan.days,
            folder=folder,
            folder_name=folder.name,
            phone_number="254711111111",
            status="needs_review",
            review_reason="no_answer",
        )

    def paid(self):
        """Approve a payment, so that its plan runs."""
        row = self.payment()
        reviews.decide(user=self.super, transaction_id=row.pk, approve=True)

    def quarantined(self):
        """Mark the report as infected."""
        File.objects.filter(pk=self.report.pk).update(scan_state=ScanState.INFECTED, scanned_at=timezone.now())

    def token(self):
        """An API token of the client's."""
        later = timezone.now() + timedelta(days=1)
        return api_tokens.create(user=self.client, name="Night", scopes=["files:read"], expires_at=later)[0]


@pytest.fixture
def world(people, company_folder, report, settings, monkeypatch, fake_scanner):  # noqa: F811
    return World(people, company_folder, report, settings, monkeypatch, fake_scanner)


# --- Files and folders --------------------------------------------------------------------------------


@leaves("file_shared", to="colleague")
def sharing_by_mail(world):
    world.share(emails=[world.people["colleague"].email])


@leaves("share_downloaded", to="uploader")
def fetching_by_a_link(world):
    redeeming.redeem(token=world.share().token)


@leaves("request_answered", to="client")
def answering_a_request(world):
    sender = Outsider(ask_for_files(world.client))
    sender.start()
    sender.send(("notes.txt", b"some words"))


@leaves("folder_granted", to="client", permission_type="download")
def granting(world):
    world.grant()


@leaves("folder_revoked", to="client")
def taking_a_grant_back(world):
    folders.revoke(user=world.super, permission_id=world.grant().pk)


@leaves("folder_upload", to="colleague")
def uploading_for_others(world):
    folder_notices.tell_of_new_files(now=timezone.now() + timedelta(minutes=1))


@leaves("files_waiting", to="colleague")
def reminding_a_client(world):
    ops.nudge(user=world.uploader, folder_id=world.folder.pk, client_id=world.people["colleague"].pk)


@leaves("upload_refused", to="uploader")
def uploading_what_is_no_document(world):
    with pytest.raises(Refused):
        world.store(filename="report.docx", content=b"no document")


@leaves("file_expiring", to="uploader")
def the_night_before_files_expire(world):
    File.objects.filter(pk=world.report.pk).update(expires_at=timezone.now() + timedelta(days=2))
    folder_notices.tell_of_expiring_files()


@leaves("quota_near_full", to="super")
def filling_a_folder(world):
    Folder.objects.filter(pk=world.folder.pk).update(quota_bytes=(world.report.size_bytes + 90) * 10 // 9)
    world.store(filename="notes.txt", content=b"x" * 95)


@leaves("file_quarantined", to="uploader", state="infected", signature="Portal.Test")
def finding_a_virus(world):
    answers = lambda connection: (take_all(connection), connection.sendall(b"stream: Portal.Test FOUND\0"))  # noqa: E731
    world.fake_scanner(answers)
    world.store()
    tasks.scan_waiting_files()


@leaves("file_quarantined", to="uploader", state="released")
def letting_a_file_out_of_quarantine(world):
    world.quarantined()
    virus_gate.release(by=world.super, file_id=world.report.pk, reason="Known good.")


@leaves("file_quarantined", to="uploader", state="deleted")
def deleting_a_file_in_quarantine(world):
    world.quarantined()
    files.purge_quarantined(by=world.super, file_id=world.report.pk)


@leaves("file_deleted", to="uploader", count=1)
def deleting_somebody_elses_file(world):
    files.delete(user=world.super, file_id=world.report.pk)


@leaves("file_renamed", to="uploader", before="report.docx", filename="Lease.docx")
def renaming_somebodys_file(world):
    files.change(user=world.super, file_id=world.report.pk, filename="Lease.docx")


# --- Payments -----------------------------------------------------------------------------------------


@leaves("payment_settled", to="client", status="failed")
def rejecting_a_payment(world):
    reviews.decide(user=world.super, transaction_id=world.payment().pk, approve=False)


@leaves("payment_settled", to="client", status="paid")
def crediting_a_payment(world):
    world.paid()


@leaves("plan_ending", to="client")
def the_days_before_space_ends(world):
    world.paid()
    QuotaGrant.objects.update(ends_at=timezone.now() + timedelta(days=2))
    payment_notices.remind()


@leaves("plan_ended", to="client")
def the_end_of_bought_space(world):
    world.paid()
    QuotaGrant.objects.update(starts_at=timezone.now() - timedelta(days=30), ends_at=timezone.now())
    payment_notices.remind()


# --- Accounts -----------------------------------------------------------------------------------------


@leaves("account_changed", to="client", roles_added=["ops"], roles_removed=["client"], is_active=False)
def changing_somebody(world):
    roles.change_user(by=world.super, user_id=world.client.pk, roles=["ops"], is_active=False)


@leaves("security_changed", to="client", what="password_changed")
def changing_ones_password(world):
    passwords.change(user=world.client, current_password=PASSWORD, new_password="eight yellow boats")


@leaves("security_changed", to="client", what="password_changed")
def setting_a_password_by_mail(world):
    passwords.reset(
        token=mailed_links.make_link_token(world.client, mailed_links.RESET), new_password="eight yellow boats"
    )


@leaves("security_changed", to="client", what="email_change_asked")
def asking_for_another_address(world):
    registration.request_email_change(user=world.client, email="new@example.org")


@leaves("security_changed", to="client", what="email_changed")
def confirming_another_address(world):
    world.client.pending_email = "new@example.org"
    world.client.save()
    registration.confirm_email_change(token=mailed_links.make_link_token(world.client, mailed_links.CHANGE_EMAIL))


@leaves("security_changed", to="client", what="second_factor_added")
def adding_an_app(world):
    session = SessionStore()
    code = code_for(factors.pending_secret(session))
    factors.add_app(user=world.client, session=session, code=code)


@leaves("security_changed", to="client", what="second_factor_removed")
def removing_an_app(world):
    give_app(world.client)
    factors.remove_app(user=world.client)


@leaves("security_changed", to="client", what="second_factor_removed")
def removing_the_factors_of_somebody_locked_out(world):
    give_app(world.client)
    factors.remove_all(by=world.super, user_id=world.client.pk)


@leaves("security_changed", to="client", what="recovery_codes_made")
def making_recovery_codes(world):
    give_app(world.client)
    factors.new_codes(user=world.client)


@leaves("security_changed", to="client", what="recovery_code_used")
def using_a_recovery_code(world):
    factors.prove(world.client, recovery_code=give_app(world.client)[0])


@leaves("security_changed", to="client", what="wrong_codes")
def typing_wrong_codes(world):
    give_app(world.client)
    for _guess in range(5):
        with pytest.raises(factors.CodeWrong):
            factors.prove(world.client, code=wrong_code(world.client))


@leaves("security_changed", to="client", what="passkey_copied")
def using_a_copied_passkey(world):
    world.settings.SITE_URL = SITE
    key = Authenticator(origin=SITE)
    register(log_in(world.client), key)
    for count in (7, 3):
        key.sign_count = count
        use(Client(), key)


@leaves("security_changed", to="client", what="api_token_created")
def making_an_api_token(world):
    world.token()


@leaves("security_changed", to="client", what="api_token_revoked")
def revoking_an_api_token(world):
    api_tokens.end(by=world.super, token_id=world.token().pk)


@leaves("security_changed", to="client", what="api_tokens_revoked")
def switching_an_account_off_that_has_api_tokens(world):
    world.token()
    roles.change_user(by=world.super, user_id=world.client.pk, is_active=False)


@leaves("security_changed", to="client", what="new_browser")
def logging_in_from_a_second_browser(world):
    for _browser in range(2):
        Client().post("/login", {"email": world.client.email, "password": PASSWORD})


@leaves("security_changed", to="client", what="login_locked")
def guessing_until_the_account_is_locked(world):
    world.settings.RATELIMIT_ENABLE, world.settings.LOGIN_LOCKOUT_FAILURES = True, 1
    sent = []
    world.monkeypatch.setattr(lockout, "send_after_commit", lambda task, **facts: sent.append((task, facts)))
    for _guess in range(2):
        Client().post("/login", {"email": world.client.email, "password": "wrong"})
    ((task, facts),) = sent
    assert task == "accounts.tasks.tell_of_lock"
    account_tasks.tell_of_lock(**facts)


@leaves("security_changed", to="client", what="logged_out")
def logging_somebody_out(world):
    tokens.open_family(world.client)
    roles.log_out(by=world.super, user_id=world.client.pk)


@leaves("security_changed", to="client", what="token_reused")
def using_a_refresh_token_twice(world):
    body = {"refresh": tokens.open_family(world.client)["refresh"]}
    for _use in range(2):
        Client().post("/api/auth/refresh", body, content_type="application/json")


# --- The table ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operation", "kind", "to", "facts"), ROWS)
def test_an_operation_tells_whom_it_concerns_and_leads_them_on(operation, kind, to, facts, world, people):
    operation(world)

    reader = people[to]
    told = Notification.objects.filter(user=reader, type=kind)
    notice = told.get(payload__what=facts["what"]) if "what" in facts else told.get()
    assert facts.items() <= notice.payload.items()
    assert notifications.sentence(notice)
    reader.refresh_from_db()
    reader.is_active = True
    reader.save()
    browser = Client()
    browser.force_login(reader)
    assert browser.get(f"/notifications/{notice.pk}/open", follow=True).status_code == 200


def test_every_kind_of_notice_and_every_event_of_an_account_is_in_the_table():
    rows = [row.values for row in ROWS]

    assert {kind for _operation, kind, _to, _facts in rows} == set(kinds.KINDS)
    assert {facts["what"] for _operation, _kind, _to, facts in rows if "what" in facts} == set(SECURITY_EVENTS)


# --- No notice, or one only ---------------------------------------------------------------------------


def told(kind):
    return Notification.objects.filter(type=kind)


def letters():
    return OutgoingMail.objects.filter(letter="notice")


def test_nobody_is_told_of_what_they_did_themselves(world):
    own = world.store(user=world.super)
    world.quarantined()
    File.objects.filter(pk=world.report.pk).update(uploaded_by=world.super)

    files.delete(user=world.uploader, file_id=world.store().pk)
    files.delete(user=world.super, file_id=own.pk)
    virus_gate.release(by=world.super, file_id=world.report.pk, reason="Known good.")
    roles.change_user(by=world.super, user_id=world.super.pk, name="Amina")
    roles.change_user(by=world.super, user_id=world.client.pk, name=world.client.name, roles=["client"])

    assert not Notification.objects.exclude(type__in=["folder_upload", "quota_near_full"]).exists()


def test_many_deleted_files_are_one_notice_and_one_letter(world):
    for _turn in range(3):
        files.delete(user=world.super, file_id=world.store().pk)

    notice = told("file_deleted").get()
    assert (notice.user, notice.payload["count"]) == (world.uploader, 3)
    assert letters().count() == 1


def test_a_rename_of_ones_own_and_of_what_one_no_longer_sees_is_not_told(world):
    files.change(user=world.uploader, file_id=world.report.pk, filename="Own.docx")
    files.change(user=world.super, file_id=world.report.pk, filename="Own.docx")
    world.folder.permissions.filter(user=world.uploader).delete()
    files.change(user=world.super, file_id=world.report.pk, filename="Secret.docx")

    assert not told("file_renamed").exists()


def test_who_hears_that_a_file_is_in_quarantine_hears_what_became_of_it(world):
    finding_a_virus(world)
    caught = File.objects.quarantined().get()
    virus_gate.release(by=world.super, file_id=caught.pk, reason="Known good.")

    assert told("file_quarantined").get().payload["state"] == "released", "the same notice while it is unread"
    assert letters().count() == 2


def browser(world, client=None):
    client = client or Client()
    assert client.post("/login", {"email": world.client.email, "password": PASSWORD}).status_code == 302
    return client


def test_the_first_log_in_and_a_browser_that_is_known_are_no_news(world):
    first = browser(world)
    first.post("/logout")
    browser(world, first)
    assert not told("security_changed").exists()

    second = browser(world)
    second.post("/logout")
    browser(world, second)
    assert told("security_changed").get().payload == {"what": "new_browser"}
    assert letters().get().to == world.client.email


def test_a_browser_that_opened_a_mailed_link_is_known(world):
    browser(world)
    opened = Client()
    token = mailed_links.make_link_token(world.client, mailed_links.RESET)
    opened.post("/reset-password", {"token": token, "new_password": "eight yellow boats"})
    opened.post("/login", {"email": world.client.email, "password": "eight yellow boats"})

    assert not told("security_changed").filter(payload__what="new_browser").exists()


def test_a_new_browser_is_mailed_as_its_owner_wants_it(world):
    preferences.choose(user=world.client, wishes={"security_changed": "digest"})
    browser(world)
    browser(world)

    assert told("security_changed").get().for_digest
    assert not letters().exists()


def test_a_log_in_by_script_is_no_new_browser(world):
    for _turn in range(2):
        Client().post("/api/auth/login", {"email": world.client.email, "password": PASSWORD})

    assert not told("security_changed").exists()


def test_a_refresh_token_tried_again_and_again_is_told_and_mailed_once(world):
    for _turn in range(2):
        using_a_refresh_token_twice(world)
    body = {"refresh": tokens.open_family(world.client)["refresh"]}
    for _use in range(4):
        Client().post("/api/auth/refresh", body, content_type="application/json")

    assert told("security_changed").count() == letters().count() == 3, "one for each log-in"


def test_switched_off_one_is_told_in_the_portal_alone(world):
    switching_an_account_off_that_has_api_tokens(world)
    # The only letter is about the new token.
    assert letters().count() == 1

    roles.change_user(by=world.super, user_id=world.client.pk, is_active=True)
    assert told("account_changed").count() == 2
    assert letters().count() == 2
