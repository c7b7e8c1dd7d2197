"""The ops page and the admin: what ops users and supers see, without errors or accessibility violations."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from audit.log import record
from config.errors import Refused
from fileshare.contributions.actions import Action
from fileshare.incoming import uploads
from fileshare.sharing import shares
from tests.browser.test_pages import assert_good, assert_good_now
from tests.factories import PlanFactory, SubfolderFactory, UserFactory, store_file

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WIDTHS = [(390, "light"), (1280, "dark")]


@pytest.fixture
def busy(people, company_folder, report):
    """A company folder with clients who downloaded some files, two uploads under way and a refused one."""
    uploader, place = people["uploader"], uploads.Place(company_folder)
    SubfolderFactory(folder=company_folder, name="Exports", slug="exports")
    for number in range(4):
        person = UserFactory(company=company_folder.company, name=f"Client {number}")
        file = store_file(user=uploader, folder=company_folder, filename=f"Statement {number}.docx")
        record(Action.DOWNLOAD, user=person, target=file, folder=company_folder, size_bytes=file.size_bytes)
    for name in ("Backup of the week.zip", "Later.docx"):
        uploads.initiate(user=uploader, place=place, filename=name, size_bytes=9000, content_type="")
    with pytest.raises(Refused):
        uploads.initiate(user=uploader, place=place, filename="Setup.exe", size_bytes=9, content_type="")
    return company_folder


@pytest.mark.parametrize(("width", "scheme"), WIDTHS)
def test_the_ops_pages_look_finished(width, scheme, visit, people, busy, report):
    page = visit(people["uploader"], viewport={"width": width, "height": 900}, color_scheme=scheme)
    for path in ("/ops/", "/ops/uploads/", "/ops/files/", "/ops/files/?folder=baobab-files", "/ops/clients/"):
        assert_good(page, path)
    for path in (f"/ops/files/{report.pk}/", "/ops/refusals/"):
        assert_good(page, path)
    page.goto("/ops/")
    page.get_by_text("The numbers, day by day").click()
    assert_good_now(page)


def test_empty_ops_pages_look_finished(visit, people):
    page = visit(people["ops"])
    for path in ("/ops/", "/ops/uploads/", "/ops/files/", "/ops/clients/", "/ops/refusals/"):
        assert_good(page, path)


def test_a_client_is_reminded_and_an_upload_given_up(visit, people, busy):
    page = visit(people["uploader"])
    page.goto("/")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Operations").click()
    page.get_by_role("link", name="Fetched, by client").click()

    page.get_by_role("button", name="Remind: Client 0, Baobab").click()
    expect(page.get_by_text("A reminder is on its way.")).to_be_visible()
    expect(page.get_by_role("button", name="Remind: Client 0, Baobab")).to_have_count(0)

    page.get_by_role("link", name="Uploads on their way").click()
    page.get_by_role("button", name="Give up: Later.docx").click()
    page.get_by_role("dialog").get_by_role("button", name="Give up").click()
    expect(page.get_by_text("The upload of “Later.docx” was given up.")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), WIDTHS)
def test_the_admin_works_without_an_error_in_the_console(width, scheme, visit, people, busy, report):
    link = shares.create(
        user=people["uploader"], file_id=report.pk, permission="download", expires_in=timedelta(days=1)
    )
    PlanFactory()
    page = visit(people["super"], viewport={"width": width, "height": 900}, color_scheme=scheme)
    company = f"/admin/accounts/company/{busy.company_id}"
    for path in (
        *("/admin/", "/admin/fileshare/folder/", f"/admin/fileshare/folder/{busy.pk}/change/"),
        *("/admin/fileshare/file/", f"/admin/fileshare/file/{report.pk}/change/", "/admin/fileshare/upload/"),
        *("/admin/fileshare/sharelink/", f"/admin/fileshare/sharelink/{link[0].link.pk}/change/"),
        *("/admin/fileshare/filerequest/", "/admin/payments/plan/add/", "/admin/payments/transaction/"),
        *("/admin/accounts/user/", "/admin/accounts/company/", f"{company}/change/", f"{company}/set-up-folders/"),
    ):
        page.goto(path)
        expect(page.locator("#content")).to_be_visible()


def test_a_permission_is_granted_on_several_folders(visit, people, busy, documents):
    page = visit(people["super"])
    page.goto("/admin/fileshare/folder/")
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option("grant")
    page.get_by_role("button", name="Run").or_(page.get_by_role("button", name="Go")).first.click()
    page.get_by_label("Or role").select_option(label="ops")
    page.get_by_role("checkbox", name="Upload").check()
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("1 permission was granted.")).to_be_visible()
    expect(page.get_by_text("This was granted before.")).to_be_visible()
