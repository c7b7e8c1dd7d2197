"""The virus gate: no way to download a file works before the file is clean."""

import contextlib
import datetime as dt
import io
import socket
import threading
import zipfile
from types import SimpleNamespace

import pytest
import time_machine
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.http import Http404
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Notification, OutgoingMail
from accounts.notices import mail
from audit.models import Event
from config.errors import Refused
from fileshare import files, folder_notices, tasks
from fileshare.desk import ops
from fileshare.incoming import completion
from fileshare.models import Archive, File, QuarantinedFile, ScanState, ShareLink
from fileshare.outgoing import downloads
from fileshare.scanning import virus_gate
from fileshare.sharing import redeeming, shares
from fileshare.storage import get_store
from fileshare.upkeep import reconcile
from tests.factories import proved, store_file
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once, content, path_of, promise, send_whole, space
from tests.fileshare.scanning.scanner import EICAR, OWN, STREAM_BYTES, take_all

pytestmark = pytest.mark.django_db
BODY = b"figures of the year " * 100
NOT_CLEAN = [ScanState.WAITING, ScanState.INFECTED, ScanState.UNSCANNABLE]


@pytest.fixture
def gate(settings):
    """Switch the gate on, without a scanner."""
    settings.CLAMD_URL = "tcp://127.0.0.1:1"


@pytest.fixture
def put(people, company_folder):
    """put(content) is a new text of the uploader in the company folder."""

    def store(body=BODY, filename="notes.txt", **facts):
        facts = {"user": people["uploader"], "folder": company_folder, **facts}
        return store_file(filename=filename, content=body, **facts)

    return store


def marked(file, state):
    """Set the file's state, as the scanner does; returns the file."""
    due = timezone.now() if state == ScanState.WAITING else None
    File.objects.filter(pk=file.pk).update(scan_state=state, scan_due_at=due, scanned_at=timezone.now())
    file.refresh_from_db()
    return file


def due_again(file):
    """Make the file due, as if the time until the next try, or a dead worker's claim, had passed."""
    File.objects.filter(pk=file.pk).update(scan_due_at=timezone.now())


def state_of(file):
    file.refresh_from_db()
    return file.scan_state


# --- How files come in --------------------------------------------------------------------------------


def test_without_a_scanner_files_are_downloadable_at_once(put, api_as):
    file = put()

    assert (file.scan_state, file.scan_due_at) == ("clean", None)
    assert api_as("colleague").get(f"/api/files/{file.pk}/download").status_code == 302


def test_a_file_waits_however_it_came(gate, people, company_folder, put, api_as, commits, monkeypatch):
    asked = []
    monkeypatch.setattr("config.outside.queue.app.send_task", lambda task, **options: asked.append(task))
    api = api_as("uploader")
    with commits():
        by_form = put()
        transfer = promise(api, company_folder, BODY, "direct.txt").json()
        send_whole(transfer, BODY)
        done = api.post("/api/fileshare/upload/complete", {"file_id": transfer["file_id"]})
        lost = promise(api, company_folder, BODY, "lost.txt").json()
        send_whole(lost, BODY)
        completion.Upload.objects.update(created_at=timezone.now() - dt.timedelta(hours=2))
        completed = reconcile.complete_received()

    assert (done.status_code, completed) == (200, 1)
    states = File.objects.values_list("pk", "scan_state")
    assert {str(pk): state for pk, state in states} == dict.fromkeys(
        [str(by_form.pk), transfer["file_id"], lost["file_id"]], "waiting"
    )
    assert asked.count("fileshare.tasks.scan_waiting_files") == 3


def test_a_sender_s_file_waits_and_its_asker_sees_that(gate, people, company_folder, page_as):
    from_sender = store_file(user=people["uploader"], folder=company_folder, filename="sent.txt", content=BODY)

    answer = page_as("uploader").get(f"/fileshare/{company_folder.slug}/")

    assert "Being checked" in answer.content.decode()
    assert from_sender.scan_state == "waiting"


def test_a_state_nobody_knows_cannot_be_stored(put):
    for facts in ({"scan_state": "fine"}, {"scan_state": "waiting", "scan_due_at": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            File.objects.filter(pk=put().pk).update(**facts)


# --- With a real scanner ------------------------------------------------------------------------------


@pytest.mark.clamd
def test_a_clean_file_passes(clamd, put, api_as):
    file = put()
    assert api_as("colleague").get(f"/api/files/{file.pk}").status_code == 404

    assert tasks.scan_waiting_files() == 1

    assert state_of(file) == "clean"
    assert (file.scanned_at is None, file.scan_due_at) == (False, None)
    assert api_as("colleague").get(f"/api/files/{file.pk}/download").status_code == 302
    assert tasks.scan_waiting_files() == 0, "nothing is scanned twice"


def zipped(text):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("letter.txt", text)
    return out.getvalue()


@pytest.mark.clamd
@pytest.mark.parametrize(
    ("filename", "body", "signature"),
    [
        ("eicar.txt", EICAR.encode(), "Portal.Test.Eicar.UNOFFICIAL"),
        ("letter.txt", f"They say: {OWN}.".encode(), "Portal.Test.Own.UNOFFICIAL"),
        ("bundle.zip", zipped(EICAR), "Portal.Test.Eicar.UNOFFICIAL"),
    ],
)
def test_what_the_scanner_finds_is_in_quarantine(filename, body, signature, clamd, people, put, api_as, outbox):
    file = put(body, filename)

    tasks.scan_waiting_files()

    assert (state_of(file), file.scan_detail) == ("infected", signature)
    event = Event.objects.get(action="quarantined")
    assert (event.target_id, event.detail["signature"], event.actor) == (str(file.pk), signature, None)
    notice = Notification.objects.get(type="file_quarantined")
    assert (notice.user, notice.payload["filename"]) == (people["uploader"], filename)
    assert any(signature in letter.body for letter in outbox())
    assert get_store().head(file.object_key) is not None, "kept for a super to decide"
    answer = api_as("uploader").get(f"/api/files/{file.pk}/download")
    assert (answer.status_code, answer.json()["code"]) == (403, "file_quarantined")


@pytest.mark.clamd
@pytest.mark.parametrize("most", [1000, 2 * STREAM_BYTES], ids=["of ours", "of the scanner"])
def test_a_file_beyond_the_size_limit_is_in_quarantine(most, clamd, put, settings):
    settings.CLAMD_MAX_BYTES = most
    file = put(b"x" * (1001 if most == 1000 else STREAM_BYTES + 2**20))

    tasks.scan_waiting_files()

    assert state_of(file) == "unscannable"
    assert "larger than" in file.scan_detail


@pytest.mark.clamd
def test_a_scanner_killed_half_way_lets_the_file_wait_and_it_passes_later(
    clamd,
    put,
    fake_scanner,
    settings,
):
    def pass_on_and_kill(incoming):
        with socket.create_connection(("127.0.0.1", clamd.port)) as outgoing:
            while data := incoming.recv(2**16):
                with contextlib.suppress(OSError):
                    outgoing.sendall(data)
                if clamd.process.poll() is None:
                    clamd.kill()
                else:
                    return

    file = put(b"y" * 3 * 2**20)
    fake_scanner(pass_on_and_kill)
    assert tasks.scan_waiting_files() == 0
    assert (state_of(file), file.scan_failures) == ("waiting", 1)
    settings.CLAMD_URL = clamd.url
    due_again(file)

    assert tasks.scan_waiting_files() == 0, "the scanner is away"
    clamd.start()

    assert tasks.scan_waiting_files() == 1
    assert (state_of(file), file.scan_failures) == ("clean", 0)


@pytest.mark.clamd
def test_files_of_before_are_scanned_when_the_gate_is_switched_on(clamd, put, settings, people):
    url, settings.CLAMD_URL = settings.CLAMD_URL, ""
    old, evil = put(), put(EICAR.encode(), "evil.txt")
    settings.CLAMD_URL = url

    call_command("rescan_files", stdout=io.StringIO(), stderr=io.StringIO())

    assert state_of(old) == "waiting"
    tasks.scan_waiting_files()
    assert (state_of(old), state_of(evil)) == ("clean", "infected")
    out = io.StringIO()
    call_command("rescan_files", stdout=out, stderr=io.StringIO())
    assert out.getvalue().strip().endswith(": 0.")
    call_command("rescan_files", "--again", stdout=out, stderr=io.StringIO())
    assert (state_of(old), state_of(evil)) == ("waiting", "infected")


def test_there_is_nothing_to_rescan_with_without_a_scanner():
    with pytest.raises(CommandError, match="CLAMD_URL"):
        call_command("rescan_files")


# --- With scanners that fail --------------------------------------------------------------------------


def test_a_scanner_that_is_away_touches_nothing(gate, put, caplog):
    file = put()
    before = File.objects.values().get(pk=file.pk)

    assert tasks.scan_waiting_files() == 0

    assert File.objects.values().get(pk=file.pk) == before
    assert "scanner is away" in caplog.text


@pytest.mark.parametrize("answer", [b"", b"oops\0", b"stream: OK and more\0", b"some trouble ERROR\0"])
def test_a_scanner_that_talks_nonsense_lets_nothing_pass(answer, put, fake_scanner):
    fake_scanner(lambda connection: (take_all(connection), connection.sendall(answer)))
    file = put()
    waits = []

    for _try in range(4):
        due_again(file)
        assert tasks.scan_waiting_files() == 0
        assert state_of(file) == "waiting"
        waits.append(round((file.scan_due_at - timezone.now()).total_seconds(), -1))

    assert waits == [30, 60, 120, 240], "each time it is left alone twice as long"
    assert tasks.scan_waiting_files() == 0
    assert file.scan_failures == 4


def answer_by_content(connection):
    """A scanner that fails on content with "bomb" in it, and finds everything else clean."""
    connection.sendall(b"no more memory ERROR\0" if b"bomb" in take_all(connection) else b"stream: OK\0")


def test_a_file_the_scanner_never_finishes_is_in_quarantine_in_the_end(put, fake_scanner, people):
    fake_scanner(answer_by_content)
    bomb, fine = put(b"a bomb"), put()

    assert tasks.scan_waiting_files() == 1
    for _try in range(4):
        due_again(bomb)
        assert tasks.scan_waiting_files() == 0
    assert (state_of(fine), state_of(bomb)) == ("clean", "waiting")
    due_again(bomb)

    assert tasks.scan_waiting_files() == 1
    assert state_of(bomb) == "unscannable"
    assert "failed on it 6 times" in bomb.scan_detail
    assert Event.objects.get(action="quarantined").target_id == str(bomb.pk)
    assert Notification.objects.get(type="file_quarantined").user == people["uploader"]
    virus_gate.release(by=people["super"], file_id=bomb.pk, reason="Our own archive, looked at by hand.")
    assert state_of(bomb) == "clean"


def test_a_scanner_that_fails_on_everything_judges_nothing_and_supers_see_what_is_stuck(
    put,
    fake_scanner,
    people,
    client,
):
    fake_scanner(lambda connection: (take_all(connection), connection.sendall(b"no more memory ERROR\0")))
    file = put(filename="stuck.txt")
    proved(client, people["super"])
    for _try in range(5):
        due_again(file)
        tasks.scan_waiting_files()
    assert not File.objects.quarantined().exists()

    due_again(file)
    tasks.scan_waiting_files()

    assert (state_of(file), file.scan_failures) == ("waiting", 6)
    listed = client.get("/admin/fileshare/quarantinedfile/").content.decode()
    assert "stuck.txt" in listed
    assert "no more memory" in listed
    files.purge_quarantined(by=people["super"], file_id=file.pk)
    assert not File.objects.exists()


def test_files_that_failed_before_keep_no_new_one_waiting(put, fake_scanner):
    order = []
    fake_scanner(lambda connection: (order.append(b"old" in take_all(connection)), connection.sendall(b"stream: OK\0")))
    old = put(b"an old file")
    File.objects.filter(pk=old.pk).update(scan_failures=3)
    put(b"a new one", "new.txt")

    assert tasks.scan_waiting_files() == 2

    assert order == [False, True]


def test_a_scanner_that_goes_away_in_a_run_counts_against_no_file(put, fake_scanner, caplog):
    def serve(connection):
        take_all(connection)
        fake.go_away()
        connection.sendall(b"stream: OK\0")

    fake = fake_scanner(serve)
    rows = [put(), put(filename="other.txt"), put(filename="third.txt")]

    assert tasks.scan_waiting_files() == 1

    assert sorted(state_of(row) for row in rows) == ["clean", "waiting", "waiting"]
    assert [row.scan_failures for row in rows] == [0, 0, 0]
    assert virus_gate._due().count() == 2, "they are scanned as soon as it is back"
    assert "has gone" in caplog.text


def test_one_file_the_scanner_fails_on_does_not_keep_back_the_others(put, fake_scanner):
    served = []

    def serve(connection):
        take_all(connection)
        served.append(1)
        connection.sendall(b"oh ERROR\0" if len(served) == 1 else b"stream: OK\0")

    fake_scanner(serve)
    first, second = put(), put(filename="other.txt")

    assert tasks.scan_waiting_files() == 1
    assert {state_of(first), state_of(second)} == {"waiting", "clean"}


def test_a_file_whose_bytes_are_gone_waits(put, fake_scanner):
    fake_scanner(lambda connection: (take_all(connection), connection.sendall(b"stream: OK\0")))
    file = put()
    get_store().delete(file.object_key)

    assert tasks.scan_waiting_files() == 0

    assert state_of(file) == "waiting"


def test_a_file_purged_while_it_is_scanned_is_nobody_s_trouble(put, fake_scanner):
    fake_scanner(lambda connection: (take_all(connection), connection.sendall(b"stream: Virus FOUND\0")))
    claim = virus_gate._claim(put().pk, virus_gate._Turn())
    verdict = virus_gate._judge(claim)
    File.objects.all().delete()

    assert not virus_gate._settle(claim, verdict)
    assert not Event.objects.filter(action="quarantined").exists()


def test_a_dead_worker_s_claim_runs_out_and_its_late_verdict_counts_for_nothing(put, fake_scanner):
    fake_scanner(lambda connection: (take_all(connection), connection.sendall(b"stream: Virus FOUND\0")))
    file = put()
    lost = virus_gate._claim(file.pk, virus_gate._Turn())
    assert virus_gate._claim(file.pk, virus_gate._Turn()) is None, "it is claimed"
    assert tasks.scan_waiting_files() == 0

    due_again(file)

    assert tasks.scan_waiting_files() == 1
    assert not virus_gate._settle(lost, virus_gate.clamd.Verdict(virus_gate.clamd.Outcome.CLEAN))
    assert state_of(file) == "infected"
    with pytest.raises(virus_gate.ClaimLost):
        lost.renew()


@REAL_TRANSACTIONS
def test_two_workers_scan_no_file_twice(put, fake_scanner):
    scanned = []

    def serve(connection):
        take_all(connection)
        scanned.append(1)
        connection.sendall(b"stream: OK\0")

    fake_scanner(serve)
    for number in range(6):
        put(filename=f"{number}.txt")

    counts = at_once(2, lambda number: tasks.scan_waiting_files())

    assert (sum(counts), len(scanned)) == (6, 6)
    assert not File.objects.exclude(scan_state="clean").exists()


# --- One run at a time --------------------------------------------------------------------------------


@REAL_TRANSACTIONS
def test_while_one_worker_scans_another_comes_back_at_once_and_its_file_is_scanned_all_the_same(
    put,
    fake_scanner,
    settings,
):
    scanning, goes_on = threading.Event(), threading.Event()

    def serve(connection):
        take_all(connection)
        scanning.set()
        goes_on.wait(20)
        connection.sendall(b"stream: OK\0")

    fake_scanner(serve)
    settings.CLAMD_TIMEOUT_SECONDS = 30
    put()

    def act(number):
        if number == 0:
            return tasks.scan_waiting_files()
        assert scanning.wait(20)
        put(filename="came meanwhile.txt")
        try:
            return tasks.scan_waiting_files()
        finally:
            goes_on.set()

    assert at_once(2, act) == [2, 0]
    assert not File.objects.exclude(scan_state="clean").exists()


def test_a_long_run_makes_room_for_other_jobs_and_the_rest_is_scanned_after_them(
    put,
    fake_scanner,
    commits,
    monkeypatch,
):
    clock, asked = [0], []

    def serve(connection):
        take_all(connection)
        clock[0] += 40
        connection.sendall(b"stream: OK\0")

    fake_scanner(serve)
    for number in range(3):
        put(filename=f"{number}.txt")
    monkeypatch.setattr("config.outside.queue.app.send_task", lambda task, **options: asked.append(task))
    monkeypatch.setattr(virus_gate, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    with commits():
        first = tasks.scan_waiting_files()

    assert (first, asked) == (2, ["fileshare.tasks.scan_waiting_files"])
    with commits():
        assert tasks.scan_waiting_files() == 1
    assert len(asked) == 1, "nothing is left to ask for"


@pytest.mark.once
def test_a_worker_that_died_in_a_run_keeps_the_others_waiting_no_longer_than_its_lease(put, fake_scanner):
    fake_scanner(lambda connection: (take_all(connection), connection.sendall(b"stream: OK\0")))
    file, dead = put(), virus_gate._Turn()
    assert dead.take()
    assert tasks.scan_waiting_files() == 0
    assert state_of(file) == "waiting"

    with time_machine.travel(timezone.now() + virus_gate.lease() + dt.timedelta(seconds=1)):
        assert tasks.scan_waiting_files() == 1

        assert not dead.keep()


def test_who_lost_the_turn_leaves_it_to_whoever_has_it(put, gate):
    lost, other = virus_gate._Turn(), virus_gate._Turn()
    assert lost.take()
    assert not other.take()
    virus_gate.cache.delete(virus_gate.TURN)
    assert other.take()

    assert not lost.keep()
    lost.give_back()

    assert other.keep()
    other.give_back()
    assert lost.take()


# --- Every door ---------------------------------------------------------------------------------------


def links_to(file, people, page_as):
    """Links made while the file is clean: {who: [paths]}, tokens to download and to view, paths of redeemed links."""
    made = {}
    for who in ("uploader", "colleague", "super"):
        user = people[who]
        made[who] = [
            downloads.link_for(user=user, file_id=file.pk),
            downloads.link_for(user=user, file_id=file.pk, one_time=True),
        ]
        if not get_store().is_remote:
            made[who].append(path_of(downloads.presigned_url(user=user, file_id=file.pk)))
        archive = page_as(who).post("/files/download.zip", {"file_ids": [str(file.pk)]})
        made[who].append(f"/api/fileshare/download/bulk/{Archive.objects.latest('created_at').pk}")
        assert content(archive)
    facts = {"user": people["uploader"], "file_id": file.pk, "expires_in": dt.timedelta(hours=1)}
    to_download = shares.create(permission="download", **facts)[0].token
    to_view = shares.create(permission="view", **facts)[0].token
    spent = [] if get_store().is_remote else [path_of(redeeming.redeem(token=to_download))]
    return made, to_download, to_view, spent


@pytest.mark.parametrize("state", NOT_CLEAN)
@pytest.mark.parametrize("who", ["uploader", "colleague", "super", "stranger", None])
def test_no_door_gives_a_byte_of_what_is_not_clean(state, who, put, people, api_as, page_as):
    file = put(filename="secret figures.txt")
    made, to_download, to_view, spent = links_to(file, people, page_as)
    marked(file, state)
    page, api, pk = page_as(who), api_as(who), str(file.pk)
    asks = []

    for headers in ({}, {"Range": "bytes=0-9"}, {"Range": "bytes=5-"}):
        asks += [
            page.get(f"/files/{pk}/download", headers=headers, follow=True),
            page.get(f"/files/{pk}/preview", headers=headers),
            api.get(f"/api/files/{pk}/download", headers=headers),
            api.get(f"/api/client/download/{pk}", headers=headers),
            page.get(f"/share/{to_view}/preview", headers=headers),
            *(page.get(path, headers=headers, follow=True) for path in made.get(who, made["uploader"])),
            *(Client().get(path, headers=headers) for path in spent),
        ]
    asks += [
        api.post(f"/api/fileshare/download/{pk}"),
        api.post("/api/fileshare/download/bulk", {"file_ids": [pk]}, format="json"),
        page.post("/files/download.zip", {"file_ids": [pk]}),
        page.post(f"/fileshare/{file.folder.slug}/download.zip"),
        Client().post(f"/share/{to_download}/download"),
        Client().get(f"/share/{to_download}"),
        Client().post(f"/share/{to_view}/unlock"),
        api.post(f"/api/files/{pk}/share", {"permission": "download", "expires_in": 3600}, format="json"),
    ]

    for answer in asks:
        if answer.status_code == 200:
            # A visitor who is not signed in was sent to the sign-in page.
            assert [step[0][:6] for step in answer.redirect_chain[:1]] == ["/login"]
        assert BODY[5:15] not in content(answer)
        assert answer.status_code < 500
    partial = api.post("/api/fileshare/download/bulk", {"file_ids": [pk], "partial": True}, format="json")
    assert BODY[:10] not in content(partial)
    listed = [
        api.get("/api/client/files"),
        api.get("/api/files/search?q=secret"),
        page.get("/search?q=secret"),
        page.get("/"),
    ]
    for answer in listed:
        assert "secret figures" not in answer.content.decode().replace('value="secret', "")


@pytest.mark.parametrize("state", NOT_CLEAN)
def test_others_do_not_know_of_it_and_its_uploader_and_supers_see_how_it_stands(
    state, put, people, api_as, page_as, company_folder
):
    file = marked(put(), state)
    word = "Being checked" if state == ScanState.WAITING else "In quarantine"

    for who in ("uploader", "super"):
        for path in (f"/files/{file.pk}/", f"/fileshare/{company_folder.slug}/"):
            text = page_as(who).get(path).content.decode()
            assert word in text
            assert f"/files/{file.pk}/download" not in text
        assert api_as(who).get(f"/api/files/{file.pk}").status_code == 200
    for who in ("colleague", "stranger"):
        assert page_as(who).get(f"/files/{file.pk}/").status_code == 404
        assert api_as(who).get(f"/api/files/{file.pk}").status_code == 404
    assert file.filename not in page_as("colleague").get(f"/fileshare/{company_folder.slug}/").content.decode()
    rows = api_as("colleague").get(f"/api/fileshare/folders/{company_folder.pk}/files").json()["results"]
    assert rows == []


@contextlib.contextmanager
def before_look(number, act):
    """Run `act`, as another request would, just before the `number`th SELECT of files."""
    looks = []

    def watch(execute, sql, params, many, context):
        if sql.startswith("SELECT") and 'FROM "fileshare_file"' in sql:
            looks.append(sql)
            if len(looks) == number:
                act()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield


GET = {
    "downloaded": lambda user, file: downloads.downloadable(user=user, file_id=file.pk),
    "shared": lambda user, file: (
        shares.create(user=user, file_id=file.pk, permission="view", expires_in=dt.timedelta(hours=1))[0].link.file
    ),
}


@pytest.mark.parametrize("get", GET.values(), ids=GET)
def test_a_file_deleted_while_somebody_is_refused_it_is_not_there(get, put, people):
    file = marked(put(), ScanState.WAITING)

    with (
        before_look(3, lambda: File.objects.filter(pk=file.pk).update(deleted_at=timezone.now())),
        pytest.raises(Http404),
    ):
        get(people["uploader"], file)


@pytest.mark.parametrize("get", GET.values(), ids=GET)
def test_a_file_that_passes_while_somebody_is_refused_it_is_given(get, put, people):
    file = marked(put(), ScanState.WAITING)

    with before_look(3, lambda: marked(file, ScanState.CLEAN)):
        assert get(people["uploader"], file) == file


def test_a_file_clean_again_opens_its_links_again(put, people, page_as):
    file = put()
    _made, to_download, _to_view, _spent = links_to(file, people, page_as)
    marked(file, ScanState.WAITING)
    link = ShareLink.objects.with_details().get(permission="download")
    assert shares.state_of(link) == "blocked"

    marked(file, ScanState.CLEAN)

    assert shares.state_of(link) == "live"
    assert Client().post(f"/share/{to_download}/download").status_code == 302


def test_a_clean_version_stays_to_be_had_while_its_next_one_waits(put, page_as, company_folder):
    old = put()
    marked(put(b"second of that name"), ScanState.WAITING)

    text = page_as("colleague").get(f"/fileshare/{company_folder.slug}/").content.decode()

    assert f"/files/{old.pk}/download" in text


def test_what_waits_can_be_deleted_and_restored_by_its_uploader(put, people, api_as):
    file = marked(put(), ScanState.WAITING)

    assert api_as("uploader").delete(f"/api/files/{file.pk}").status_code == 204
    assert api_as("uploader").post(f"/api/files/{file.pk}/restore").status_code == 200
    assert state_of(file) == "waiting"


def test_a_folder_s_page_asks_no_more_when_more_wait(put, page_as, company_folder):
    page, counts = page_as("uploader"), []
    page.get(f"/fileshare/{company_folder.slug}/")

    for number in range(6):
        marked(put(filename=f"{number}.txt"), ScanState.WAITING)
        with CaptureQueriesContext(connection) as asked:
            page.get(f"/fileshare/{company_folder.slug}/")
        counts.append(len(asked))

    assert len(set(counts)) == 1


def test_people_are_told_of_a_file_when_it_has_passed(put, people):
    began = timezone.now()
    file = marked(put(), ScanState.WAITING)
    later = began + dt.timedelta(minutes=5)
    folder_notices.tell_of_new_files(now=later)
    assert not Notification.objects.filter(type="folder_upload").exists()

    File.objects.filter(pk=file.pk).update(
        scan_state="clean", scan_due_at=None, scanned_at=later + dt.timedelta(minutes=1)
    )
    folder_notices.tell_of_new_files(now=later + dt.timedelta(minutes=5))

    assert Notification.objects.get(type="folder_upload").user == people["colleague"]


def test_the_lists_of_the_gate_have_indexes(gate, put):
    put()
    plans = {
        "file_scan_waiting": virus_gate._due().order_by("scan_due_at").values("pk")[:10],
        "file_quarantine": File.objects.quarantined().order_by("-scanned_at", "-pk")[:10],
    }

    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        for name, rows in plans.items():
            assert name in rows.explain()


# --- Quarantine ---------------------------------------------------------------------------------------


@pytest.fixture
def caught(put, gate):
    return marked(put(filename="caught.txt"), ScanState.INFECTED)


def test_a_super_releases_a_false_alarm(caught, people, api_as):
    virus_gate.release(by=people["super"], file_id=caught.pk, reason="Our own macro, known good.")

    assert state_of(caught) == "clean"
    event = Event.objects.get(action="quarantine_released")
    assert (event.actor, event.detail["reason"]) == (people["super"], "Our own macro, known good.")
    assert api_as("colleague").get(f"/api/files/{caught.pk}/download").status_code == 302


def test_nobody_else_releases_and_nobody_without_a_reason(caught, people, put):
    for who in ("uploader", "ops", "client"):
        with pytest.raises(PermissionDenied):
            virus_gate.release(by=people[who], file_id=caught.pk, reason="please")
        with pytest.raises(PermissionDenied):
            files.purge_quarantined(by=people[who], file_id=caught.pk)
    for reason in ("", " \n ", "x" * 2001):
        with pytest.raises(Refused) as refused:
            virus_gate.release(by=people["super"], file_id=caught.pk, reason=reason)
        assert refused.value.status == 400
    waiting = marked(put(filename="other.txt"), ScanState.WAITING)
    with pytest.raises(Refused) as refused:
        virus_gate.release(by=people["super"], file_id=waiting.pk, reason="hurry")
    assert refused.value.code == "not_in_quarantine", "while a scanner is there, nothing passes it by"
    assert state_of(caught) == "infected"


def test_with_the_gate_off_a_super_decides_about_what_still_waits(put, people, settings):
    file = marked(put(), ScanState.WAITING)
    settings.CLAMD_URL = ""

    virus_gate.release(by=people["super"], file_id=file.pk, reason="We have no scanner any more.")

    assert state_of(file) == "clean"


def test_deleted_for_good_its_space_is_free(caught, people, commits):
    folder, key = caught.folder, caught.object_key
    assert space(folder) == (len(BODY), 0)

    with commits():
        files.purge_quarantined(by=people["super"], file_id=caught.pk)

    assert space(folder) == (0, 0)
    assert get_store().head(key) is None
    assert Event.objects.get(action="purge").actor == people["super"]


@REAL_TRANSACTIONS
def test_released_and_deleted_at_once_one_of_both_happens(put, people, settings):
    settings.CLAMD_URL = "tcp://127.0.0.1:1"
    file = marked(put(), ScanState.INFECTED)

    def act(number):
        try:
            if number:
                return virus_gate.release(by=people["super"], file_id=file.pk, reason="fine") and "released"
            return files.purge_quarantined(by=people["super"], file_id=file.pk) and "deleted"
        except Http404:
            return "gone"
        except Refused as refusal:
            return refusal.code

    answers = set(at_once(2, act))

    assert answers in ({"released", "gone"}, {"deleted", "gone"})
    assert File.objects.filter(pk=file.pk, scan_state="clean").exists() == ("released" in answers)


def test_the_admin_lists_releases_and_deletes(caught, put, people, client, commits):
    other = marked(put(filename="other.txt"), ScanState.UNSCANNABLE)
    put(filename="fine.txt")
    proved(client, people["super"])
    base = "/admin/fileshare/quarantinedfile/"

    listed = client.get(base).content.decode()
    empty = client.post(f"{base}{caught.pk}/change/", {"reason": " "})
    released = client.post(f"{base}{caught.pk}/change/", {"reason": "A false alarm."})
    asked = client.get(f"{base}{other.pk}/delete/")
    with commits():
        deleted = client.post(f"{base}{other.pk}/delete/", {"post": "yes"})

    assert [name in listed for name in ("caught.txt", "other.txt", "fine.txt")] == [True, True, False]
    assert (empty.status_code, released.status_code) == (200, 302)
    assert (asked.status_code, deleted.status_code) == (200, 302)
    assert state_of(caught) == "clean"
    assert not File.objects.filter(pk=other.pk).exists()
    assert not QuarantinedFile.objects.quarantined().exists()


@pytest.mark.parametrize("who", ["uploader", "client"])
def test_the_quarantine_is_for_supers(who, caught, people, client):
    people[who].is_staff = True
    people[who].save()
    proved(client, people[who])

    assert client.get("/admin/fileshare/quarantinedfile/").status_code == 403


# --- Letters ------------------------------------------------------------------------------------------


def letters_wait(letter, *, rounds):
    """Make the letter due and send waiting mail, `rounds` times; returns the letter."""
    for _turn in range(rounds):
        OutgoingMail.objects.filter(letter=letter).update(next_try_at=timezone.now())
        mail.send_waiting()
    return OutgoingMail.objects.get(letter=letter)


def test_the_letter_of_a_link_waits_with_its_file(put, people, mailoutbox):
    file = put()
    shares.create(
        user=people["uploader"], file_id=file.pk, permission="download", expires_in=dt.timedelta(days=2),
        emails=["amina@example.org"],
    )  # fmt: skip
    virus_gate.mark_waiting()

    waiting = letters_wait("share_link", rounds=mail.MAX_TRIES + 1)
    assert (waiting.sent_at, waiting.failed_at, waiting.tries, mailoutbox) == (None, None, 0, [])

    File.objects.update(scan_state=ScanState.CLEAN, scan_due_at=None)
    assert letters_wait("share_link", rounds=2).sent_at is not None
    assert [message.to for message in mailoutbox] == [["amina@example.org"]]


@pytest.mark.parametrize("end", ["quarantine", "time", "revoked"])
def test_the_letter_of_a_link_that_is_over_waits_no_longer(end, put, people, mailoutbox):
    file = put()
    (made,) = shares.create(
        user=people["uploader"], file_id=file.pk, permission="download", expires_in=dt.timedelta(days=2),
        emails=["amina@example.org"],
    )  # fmt: skip
    virus_gate.mark_waiting()
    letters_wait("share_link", rounds=1)

    if end == "quarantine":
        File.objects.update(scan_state=ScanState.INFECTED, scan_due_at=None)
    elif end == "revoked":
        shares.revoke(user=people["uploader"], share_id=made.link.pk)
    later = dt.timedelta(days=3) if end == "time" else dt.timedelta()
    with time_machine.travel(timezone.now() + later, tick=False):
        done = letters_wait("share_link", rounds=1)

    assert (done.sent_at is not None, mailoutbox) == (True, [])


def test_letters_that_wait_for_the_scanner_keep_no_other_back(put, people, mailoutbox):
    for number in range(5):
        shares.create(
            user=people["uploader"], file_id=put().pk, permission="download", expires_in=dt.timedelta(days=2),
            emails=[f"amina{number}@example.org"],
        )  # fmt: skip
    virus_gate.mark_waiting()
    shares.create(
        user=people["uploader"], file_id=put().pk, permission="download", expires_in=dt.timedelta(days=2),
        emails=["baraka@example.org"],
    )  # fmt: skip

    assert mail.send_waiting() == 1
    assert [message.to for message in mailoutbox] == [["baraka@example.org"]]


def test_a_reminder_waits_with_its_files(put, people, company_folder, mailoutbox):
    put()
    ops.nudge(user=people["uploader"], folder_id=company_folder.pk, client_id=people["colleague"].pk)
    virus_gate.mark_waiting()

    waiting = letters_wait(ops.LETTER, rounds=2)
    assert (waiting.sent_at, waiting.tries, mailoutbox) == (None, 0, [])

    File.objects.update(scan_state=ScanState.CLEAN, scan_due_at=None)
    letters_wait(ops.LETTER, rounds=1)
    assert ["colleague@example.org"] in [message.to for message in mailoutbox]
