"""The uploader under the conditions it is made for: large files, bad connections, refused files."""

import pytest
from playwright.sync_api import expect

from fileshare.models import File, Upload
from tests.browser.steps import choose, download, drop, upload_row
from tests.factories import DOCX
from tests.fakes import documents

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PART = 256 * 1024
PARTS = 6


@pytest.fixture
def large(settings, tmp_path):
    """A file of PARTS parts, the last one short."""
    settings.MULTIPART_THRESHOLD_BYTES = settings.PART_SIZE_BYTES = PART
    path = tmp_path / "Backup.bin"
    path.write_bytes(bytes(number * 7 % 251 for number in range(PART * PARTS - 1000)))
    return path


@pytest.fixture
def page(visit, people, company_folder):
    """The company folder, which takes any kind of file, in the uploader's browser."""
    page = visit(people["uploader"])
    page.goto(company_folder.get_absolute_url())
    return page


class Store:
    """Stands between the page and the store: lets some PUTs through and holds the others."""

    def __init__(self, page, puts):
        self.page = page
        self.left = puts
        page.route("**/store/**", self._put)

    def _put(self, route):
        if route.request.method != "PUT":
            route.continue_()
        elif self.left > 0:
            self.left -= 1
            route.continue_()

    def gone(self):
        """From here on nothing stands in between; what was held goes on, unless the page has given it up."""
        self.page.unroute("**/store/**")


def puts_of(page):
    """A list that grows with every PUT the page sends."""
    seen = []
    page.on("request", lambda request: seen.append(request.url) if request.method == "PUT" else None)
    return seen


def test_a_reload_half_way_and_the_same_file_goes_on_where_it_stopped(page, large, watch):
    watch.expect("failed PUT .*/store/part")
    page.on("dialog", lambda dialog: dialog.accept())  # "leave the page?"
    store = Store(page, puts=2)
    choose(page, large)
    expect(upload_row(page, large.name)).to_contain_text("33%")
    page.reload()
    store.gone()

    puts = puts_of(page)
    choose(page, large)
    expect(upload_row(page, large.name)).to_have_attribute("data-state", "done")
    assert len(puts) == PARTS - 2
    expect(page.get_by_role("link", name=large.name, exact=True)).to_be_visible()
    assert download(page, large.name) == large.read_bytes()


def test_pause_and_resume_send_no_part_twice_that_had_arrived(page, large, watch):
    watch.expect("failed PUT .*/store/part")
    store = Store(page, puts=2)
    choose(page, large)
    row = upload_row(page, large.name)
    expect(row).to_contain_text("33%")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_have_attribute("data-state", "paused")
    expect(row.get_by_role("button", name="Resume")).to_be_focused()
    store.gone()
    puts = puts_of(page)
    row.get_by_role("button", name="Resume").click()
    expect(row).to_have_attribute("data-state", "done")
    assert len(puts) == PARTS - 2


def test_cancel_gives_the_space_back(page, large, company_folder, watch):
    watch.expect("failed PUT .*/store/part")
    Store(page, puts=0)
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
        if broken:
            route.continue_()
        else:
            broken.append(route)
            route.abort("connectionreset")

    page.route("**/store/**", breaks_once)
    choose(page, large)
    expect(upload_row(page, large.name)).to_have_attribute("data-state", "done", timeout=20_000)
    assert File.objects.get().size_bytes == large.stat().st_size


def test_an_upload_that_was_completed_unseen_is_not_sent_again(page, large):
    kept = """() => Object.entries(localStorage).find(([key]) => key.startsWith("upload:"))"""
    store = Store(page, puts=0)
    choose(page, large)
    expect(upload_row(page, large.name)).to_have_attribute("data-state", "uploading")
    entry = page.evaluate(kept)
    store.gone()
    expect(upload_row(page, large.name)).to_have_attribute("data-state", "done")
    assert page.evaluate(kept) is None
    page.reload()
    page.evaluate("([key, value]) => localStorage.setItem(key, value)", entry)  # as if the answer had been lost
    puts = puts_of(page)
    choose(page, large)
    expect(upload_row(page, large.name)).to_have_attribute("data-state", "done")
    assert (puts, File.objects.count()) == ([], 1)


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
    for name in ("One.docx", "Two.docx"):
        expect(upload_row(page, name)).to_have_attribute("data-state", "done")
    for name in ("Macros.docm", "Renamed.docx"):
        expect(upload_row(page, name)).to_have_attribute("data-state", "failed")
    expect(upload_row(page, "Macros.docm")).to_contain_text("Only .docx, .xlsx and .pptx files are taken here.")
    expect(upload_row(page, "Renamed.docx")).to_contain_text("macro")
    expect(page.locator("[data-part=summary]")).to_have_text("2 of 4 uploaded")
    assert sorted(File.objects.values_list("filename", flat=True)) == ["One.docx", "Two.docx"]
