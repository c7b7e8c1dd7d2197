"""Every page has a clean console, breaks no accessibility rule and does not scroll sideways."""

import uuid

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from accounts.notices.notifications import notify
from fileshare import files
from fileshare.incoming import uploads
from tests.browser.steps import drop, unfinished_row
from tests.factories import SubfolderFactory, store_file
from tests.fakes import documents

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]
LOOKS = [(390, "dark"), (1440, "light")]


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def look(request):
    """Width in pixels and colour scheme of the browser, as options of `visit`."""
    width, scheme = request.param
    return {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}


def assert_good(page, path):
    """Open `path` and check the page."""
    page.goto(path)
    assert_good_now(page)


def assert_good_now(page):
    """The open page has no accessibility violation and does not scroll sideways."""
    page.locator("html").evaluate("() => document.fonts.ready")
    results = Axe().run(page)
    assert results.violations_count == 0, f"{page.url}: {results.generate_report()}"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{page.url} scrolls sideways"


def test_pages_of_a_stranger(visit, look, watch):
    page = visit(**look)
    for path in ("/", "/signup", "/login", "/login?next=/files/", "/forgot-password"):
        assert_good(page, path)
    watch.expect("400 GET .*/verify-email")
    watch.expect("400 GET .*/reset-password")
    watch.expect("404 GET .*/nothing")
    for path in ("/verify-email?token=x", "/reset-password?token=x", "/nothing"):
        assert_good(page, path)


def test_pages_of_somebody_signed_in(visit, look, people, company_folder, report, watch):
    super_ = people["super"]
    place = SubfolderFactory(folder=company_folder, name="Contracts", slug="contracts")
    long_name = f"{'A rather long name of a document ' * 4}.docx"
    store_file(user=super_, folder=company_folder, subfolder=place, filename=long_name)
    store_file(user=super_, folder=company_folder, filename="report.docx")
    store_file(user=super_, folder=company_folder, filename="figures.png", content=documents.png())
    files.delete(user=super_, file_id=store_file(user=super_, folder=company_folder, filename=long_name).pk)
    notify(super_, "folder_granted", folder=company_folder.name, folder_slug=company_folder.slug)

    page = visit(super_, **look)
    folder = company_folder.get_absolute_url()
    paths = [
        "/",
        "/fileshare/",
        folder,
        f"{folder}contracts/",
        f"{folder}seen-by",
        "/fileshare/documents/",
        "/files/",
        "/files/trash/",
        report.get_absolute_url(),
    ]
    for path in [*paths, "/notifications", "/profile"]:
        assert_good(page, path)
    watch.expect("404 GET .*/files/")
    assert_good(page, f"/files/{uuid.uuid4()}/")

    page.goto(report.get_absolute_url())
    page.get_by_role("button", name="Delete this version").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert Axe().run(page).violations_count == 0


def test_many_files_at_once(visit, look, people, company_folder, report):
    SubfolderFactory(folder=company_folder, name="A rather long name of a subfolder " * 3, slug="contracts")
    page = visit(people["super"], **look)
    page.goto(company_folder.get_absolute_url())
    page.get_by_role("checkbox", name="Select all").check()
    assert_good_now(page)
    page.get_by_role("button", name="Tag", exact=True).click()
    expect(page.get_by_role("heading", name="Tag 1 file")).to_be_visible()
    assert_good_now(page)
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("checkbox", name="Select all").check()
    page.get_by_role("button", name="Move", exact=True).click()
    expect(page.get_by_role("heading", name="Move 1 file to …")).to_be_visible()
    assert_good_now(page)
    page.get_by_role("button", name="Baobab / A rather long name").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert_good_now(page)


def test_uploads_and_choices_look_finished(visit, look, people, company_folder, report, watch):
    super_ = people["super"]
    place = uploads.Place(company_folder)
    uploads.initiate(user=super_, place=place, filename="Backup.bin", size_bytes=10, content_type="")
    gone = store_file(user=super_, folder=company_folder, filename="gone.docx")
    page = visit(super_, **look)
    page.goto(company_folder.get_absolute_url())
    expect(unfinished_row(page, "Backup.bin")).to_be_visible()
    drop(page, ("A.txt", "text/plain", b"words"), ("Setup.exe", "application/octet-stream", b"MZ"))
    expect(page.locator("[data-part=failed]")).to_have_text("1 of 2 failed")
    expect(page.locator("[data-part=summary]")).to_have_text("1 of 2 uploaded")
    # Wait until the page has fetched the list again. A later fetch would remove the file that is deleted below.
    expect(page.get_by_role("checkbox", name="Select: A.txt")).to_be_visible()
    page.get_by_role("checkbox", name="Select: gone.docx").check()
    page.get_by_role("checkbox", name="Select: report.docx").check()
    assert_good_now(page)

    files.delete(user=super_, file_id=gone.pk)
    watch.expect("404 POST .*/files/download.zip")
    page.locator("#select-download").click()
    expect(page.get_by_role("button", name="Download the rest (1 file)")).to_be_visible()
    assert_good_now(page)


def test_an_empty_portal_looks_finished(visit, look, people):
    page = visit(people["client"], **look)
    for path in ("/", "/fileshare/", "/fileshare/documents/", "/files/", "/notifications"):
        assert_good(page, path)


def test_the_api_page_and_the_administration_run_from_this_portal_alone(visit, people, company_folder):
    page = visit(people["super"])
    page.goto("/api/docs")
    expect(page.locator(".opblock").filter(has_text="/api/auth/login").first).to_be_visible()
    page.goto("/admin/fileshare/folder/")
    page.get_by_role("link", name=company_folder.name).first.click()
    expect(page.get_by_role("heading", name="Permissions:")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()


def test_the_chosen_theme_stays(visit):
    page = visit(color_scheme="light")
    page.goto("/")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Dark theme").click()
    expect(page.get_by_role("button", name="Dark theme")).to_have_attribute("aria-pressed", "true")
    dark = page.evaluate(ground)
    assert dark != light
    page.goto("/login")
    assert page.evaluate(ground) == dark
