"""The uploader under the conditions it is made for: large files, bad connections, refused files."""

import hashlib
import os
import re

import pytest
from playwright.sync_api import expect

from fileshare import checksums
from fileshare.models import File, Upload
from fileshare.storage import get_store
from tests.browser.steps import agree, choose, download, drop, press, unfinished_row, upload_row
from tests.factories import DOCX
from tests.fakes import documents

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.both]
MIB = 1024 * 1024
PARTS = 6


@pytest.fixture
def large(settings, tmp_path):
    """A file of PARTS parts, the last one short."""
    # S3 takes no smaller parts. To a local store a page sends no smaller pieces, so that each part is one request,
    # however busy the machine is.
    part = 5 * MIB if settings.STORAGE == "s3" else 32 * 1024
    settings.MULTIPART_THRESHOLD_BYTES = settings.PART_SIZE_BYTES = part
    path = tmp_path / "Backup.bin"
    path.write_bytes((bytes(range(251)) * (part * PARTS // 251 + 1))[: part * PARTS - 1000])
    return path


@pytest.fixture
def huge(tmp_path):
    """A sparse file of 250 MiB with a mark in each part and one across the first border."""
    path = tmp_path / "Disk image.bin"
    path.touch()
    os.truncate(path, 250 * MIB)
    with path.open("r+b") as file:
        for offset in (0, 50 * MIB - 8, 75 * MIB + 1, 125 * MIB, 199 * MIB, 250 * MIB - 16):
            file.seek(offset)
            file.write(b"mark%012d" % offset)
    return path


@pytest.fixture
def page(visit, people, company_folder):
    """The company folder, which takes any kind of file, in the uploader's browser."""
    page = visit(people["uploader"])
    page.goto(company_folder.get_absolute_url())
    return page


class Gate:
    """Intercepts the page's requests to the store: lets some PUTs through and holds the others."""

    def __init__(self, page, puts):
        self.page = page
        self.left = puts
        page.route("**/*", self._put)

    def _put(self, route):
        if route.request.method != "PUT":
            route.continue_()
        elif self.left > 0:
            self.left -= 1
            route.continue_()

    def opens(self):
        """Stop intercepting. The held requests go on, unless the page has given them up."""
        self.page.unroute("**/*")


# Used in place of a Gate for large bodies, because a Gate copies each body through the browser's debugger.
COUNT_BYTES = """left => {
  const send = XMLHttpRequest.prototype.send;
  window.sentBytes = 0;
  XMLHttpRequest.prototype.send = function (body) {
    if (window.sentBytes >= left) return;
    window.sentBytes += body.size;
    send.call(this, body);
  };
}"""


def until_answered(page, puts):
    """Wait until the store has answered `puts` PUTs. Only the uploader uses XMLHttpRequest, and only for PUTs.

    The browser may send all of a body long before the store answers.
    """
    expect_answers = """puts => new Promise(resolve => {
      const count = () => performance.getEntriesByType("resource").filter(e => e.initiatorType === "xmlhttprequest");
      const look = () => count().length >= puts ? resolve() : setTimeout(look, 50);
      look();
    })"""
    page.evaluate(expect_answers, puts)


def puts_of(page):
    """A list that grows with every PUT the page sends."""
    seen = []
    page.on("request", lambda request: seen.append(request.url) if request.method == "PUT" else None)
    return seen


def test_a_reload_half_way_and_the_same_file_goes_on_where_it_stopped(page, large, watch):
    page.on("dialog", lambda dialog: dialog.accept())  # "leave the page?"
    gate = Gate(page, puts=2)
    choose(page, large)
    until_answered(page, 2)
    expect(upload_row(page, large.name)).to_contain_text("33%")
    page.reload()
    gate.opens()

    expect(unfinished_row(page, large.name)).to_contain_text("Choose the same file again to go on.")
    puts = puts_of(page)
    choose(page, large)
    expect(upload_row(page, large.name)).to_have_attribute("data-state", "done")
    expect(unfinished_row(page, large.name)).to_have_count(0)
    assert len(puts) == PARTS - 2
    expect(page.get_by_role("link", name=large.name, exact=True)).to_be_visible()
    assert download(page, large.name) == large.read_bytes()


def test_250_mib_in_parts_survive_a_reload_half_way(page, huge):
    page.on("dialog", lambda dialog: dialog.accept())
    page.evaluate(COUNT_BYTES, 100 * 1024**2)
    choose(page, huge)
    expect(upload_row(page, huge.name)).to_contain_text(re.compile("4[0-9]%"), timeout=120_000)
    page.wait_for_function("count => performance.getEntriesByType('resource').length >= count", arg=20)
    first = page.evaluate("window.sentBytes")
    page.reload()

    page.evaluate(COUNT_BYTES, 2**40)
    choose(page, huge)
    expect(upload_row(page, huge.name)).to_contain_text(re.compile("Continues at (3[0-9]|4[0-9])%"))
    expect(upload_row(page, huge.name)).to_have_attribute("data-state", "done", timeout=120_000)
    assert first + page.evaluate("window.sentBytes") <= huge.stat().st_size + 4 * 8 * 1024**2
    row = File.objects.get()
    stored = hashlib.sha256()
    for block in get_store().read_range(row.object_key, 0, row.size_bytes):
        stored.update(block)
    with huge.open("rb") as sent:
        digest = hashlib.file_digest(sent, "sha256").hexdigest()
    assert stored.hexdigest() == digest
    checksums.complete()  # what the task does for a file that came in parts
    assert page.request.get(f"/api/files/{row.pk}").json()["sha256"] == digest
    assert row.size_bytes == huge.stat().st_size


def test_an_unfinished_upload_can_be_discarded(page, large, company_folder, watch):
    page.on("dialog", lambda dialog: dialog.accept())
    gate = Gate(page, puts=2)
    choose(page, large)
    until_answered(page, 2)
    expect(upload_row(page, large.name)).to_contain_text("33%")
    page.evaluate("localStorage.clear()")  # as if it had been begun in another browser
    page.reload()
    gate.opens()

    row = unfinished_row(page, large.name)
    expect(row).to_contain_text("Begun in another browser or program")
    row.get_by_role("button", name=f"Discard: {large.name}").click()
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    expect(page.locator("[data-part=unfinished]")).to_be_hidden()
    company_folder.refresh_from_db()
    assert (company_folder.reserved_bytes, Upload.objects.count()) == (0, 0)


def test_an_upload_given_up_elsewhere_begins_anew(page, large, watch):
    watch.expect("404 GET .*/fileshare/upload/")
    page.on("dialog", lambda dialog: dialog.accept())
    gate = Gate(page, puts=2)
    choose(page, large)
    until_answered(page, 2)
    expect(upload_row(page, large.name)).to_contain_text("33%")
    page.reload()
    gate.opens()
    upload = Upload.objects.get()
    page.request.post(
        "/api/fileshare/upload/abort",
        data={"file_id": str(upload.pk)},
        headers={"X-CSRFToken": page.locator("[name=csrfmiddlewaretoken]").first.input_value()},
    )

    puts = puts_of(page)
    choose(page, large)
    expect(upload_row(page, large.name)).to_have_attribute("data-state", "done")
    assert len(puts) == PARTS
    assert [file.size_bytes for file in File.objects.exclude(pk=upload.pk)] == [large.stat().st_size]


def test_an_address_the_store_refuses_is_replaced_once_for_the_parts_still_missing(page, large, watch):
    watch.expect("403 PUT ")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if is_status_call(request) else None)
    arrived = []

    def spoil(route):
        """Break every address but the first part's, until the page has asked for new ones."""
        if route.request.method == "PUT" and arrived and not asked:
            route.continue_(url=f"{route.request.url}x")
        else:
            arrived.extend([route.request.url] if route.request.method == "PUT" else [])
            route.continue_()

    page.route("**/*", spoil)
    choose(page, large)
    expect(upload_row(page, large.name)).to_have_attribute("data-state", "done")
    assert len(asked) == 1
    assert len(arrived) == PARTS


def is_status_call(request):
    return request.method == "GET" and re.search(r"/fileshare/upload/[0-9a-f-]{36}$", request.url) is not None


def test_the_network_goes_and_comes_back_and_the_upload_goes_on_by_itself(page, large, watch):
    watch.expect("failed (PUT|GET) .*ERR_INTERNET_DISCONNECTED")
    gate = Gate(page, puts=2)
    choose(page, large)
    row = upload_row(page, large.name)
    until_answered(page, 2)
    expect(row).to_contain_text("33%")
    page.context.set_offline(True)
    gate.opens()
    expect(row).to_contain_text("Interrupted; goes on by itself")
    page.context.set_offline(False)
    expect(row).to_have_attribute("data-state", "done")
    assert File.objects.get().size_bytes == large.stat().st_size


def test_pause_and_resume_send_no_part_twice_that_had_arrived(page, large, watch):
    gate = Gate(page, puts=2)
    choose(page, large)
    row = upload_row(page, large.name)
    until_answered(page, 2)
    expect(row).to_contain_text("33%")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_have_attribute("data-state", "paused")
    expect(row.get_by_role("button", name="Resume")).to_be_focused()
    gate.opens()
    puts = puts_of(page)
    row.get_by_role("button", name="Resume").click()
    expect(row).to_have_attribute("data-state", "done")
    assert len(puts) == PARTS - 2


def test_cancel_gives_the_space_back(page, large, company_folder, watch):
    Gate(page, puts=0)
    choose(page, large)
    row = upload_row(page, large.name)
    expect(row).to_have_attribute("data-state", "uploading")
    with page.expect_response("**/upload/abort"):
        row.get_by_role("button", name="Cancel").click()
    expect(row).to_have_attribute("data-state", "cancelled")
    company_folder.refresh_from_db()
    assert (company_folder.reserved_bytes, Upload.objects.count()) == (0, 0)


def test_a_connection_that_breaks_is_tried_again(page, large, watch):
    watch.expect("failed PUT .*ERR_CONNECTION_RESET")
    broken = []

    def breaks_once(route):
        if broken or route.request.method != "PUT":
            route.continue_()
        else:
            broken.append(route)
            route.abort("connectionreset")

    page.route("**/*", breaks_once)
    choose(page, large)
    expect(upload_row(page, large.name)).to_have_attribute("data-state", "done", timeout=20_000)
    assert File.objects.get().size_bytes == large.stat().st_size


def test_an_upload_that_was_completed_unseen_is_not_sent_again(page, large):
    kept = """() => Object.entries(localStorage).find(([key]) => key.startsWith("upload:"))"""
    gate = Gate(page, puts=0)
    choose(page, large)
    expect(upload_row(page, large.name)).to_have_attribute("data-state", "uploading")
    entry = page.evaluate(kept)
    gate.opens()
    expect(upload_row(page, large.name)).to_have_attribute("data-state", "done")
    assert page.evaluate(kept) is None
    expect(page.get_by_role("link", name=large.name, exact=True)).to_be_visible()  # the page has fetched the list again
    page.reload()
    page.evaluate("([key, value]) => localStorage.setItem(key, value)", entry)  # as if the answer had been lost
    puts = puts_of(page)
    choose(page, large)
    expect(upload_row(page, large.name)).to_have_attribute("data-state", "done")
    assert (puts, File.objects.count()) == ([], 1)


def test_all_that_failed_is_tried_again_at_once(page, company_folder):
    company_folder.quota_bytes = 5
    company_folder.save()
    drop(page, *[(f"{number}.txt", "text/plain", b"12345") for number in range(4)])
    expect(page.locator("[data-part=failed]")).to_have_text("3 of 4 failed")
    expect(page.locator(".upload [role=status]")).to_have_text("1 of 4 files were uploaded, 3 failed.")
    company_folder.quota_bytes = 1000
    company_folder.save()
    press(page, "Retry all")
    expect(page.locator("[data-part=summary]")).to_have_text("4 of 4 uploaded")
    expect(page.locator("[data-part=failed]")).to_be_hidden()
    assert File.objects.count() == 4


def test_a_refused_file_says_why_and_the_others_go_on(visit, people, watch):
    page = visit(people["ops"])
    page.goto("/fileshare/documents/")
    watch.expect("415 POST .*/upload/complete")
    drop(
        page,
        ("One.docx", DOCX, documents.docx("one")),
        ("Macros.docm", "application/vnd.ms-word.document.macroEnabled.12", documents.macro_document()),
        ("Renamed.docx", DOCX, documents.macro_document()),
        ("Two.docx", DOCX, documents.docx("two")),
    )
    agree(page)
    for name in ("One.docx", "Two.docx"):
        expect(upload_row(page, name)).to_have_attribute("data-state", "done")
    for name in ("Macros.docm", "Renamed.docx"):
        expect(upload_row(page, name)).to_have_attribute("data-state", "failed")
    expect(upload_row(page, "Macros.docm")).to_contain_text("Only .docx, .xlsx and .pptx files are taken here.")
    expect(upload_row(page, "Renamed.docx")).to_contain_text("macro")
    expect(page.locator("[data-part=summary]")).to_have_text("2 of 4 uploaded")
    assert sorted(File.objects.values_list("filename", flat=True)) == ["One.docx", "Two.docx"]


def test_before_the_first_upload_that_many_will_see_the_page_asks_once(visit, people):
    page = visit(people["ops"])
    page.goto("/fileshare/documents/")
    dialog = page.get_by_role("dialog")

    drop(page, ("One.docx", DOCX, documents.docx("one")))
    expect(dialog).to_contain_text("Everybody with an account (6 people of 2 companies) will see these files. Upload?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    expect(page.locator(".upload-row[data-state]")).to_have_count(0)

    drop(page, ("One.docx", DOCX, documents.docx("one")))
    agree(page)
    expect(upload_row(page, "One.docx")).to_have_attribute("data-state", "done")
    drop(page, ("Two.docx", DOCX, documents.docx("two")))
    expect(upload_row(page, "Two.docx")).to_have_attribute("data-state", "done")
    assert sorted(File.objects.values_list("filename", flat=True)) == ["One.docx", "Two.docx"]


def test_where_one_company_sees_it_the_page_asks_nothing(page):
    drop(page, ("One.txt", "text/plain", b"one"))

    expect(upload_row(page, "One.txt")).to_have_attribute("data-state", "done")
