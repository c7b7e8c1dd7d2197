"""One share link for several files, in a browser: made in three clicks, opened and downloaded by an outsider."""

import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from fileshare.models import ShareLink
from fileshare.sharing import shares
from tests.browser.steps import press
from tests.browser.test_pages import LOOKS, assert_good, assert_good_now
from tests.factories import SubfolderFactory, store_file
from tests.fakes import documents

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]
HOUR = timedelta(hours=1)


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def look(request):
    """Width in pixels and colour scheme of the browser, as options of `visit`."""
    width, scheme = request.param
    return {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}


@pytest.fixture
def ten(people, company_folder):
    """paper-0.txt to paper-9.txt of the uploader, in the company folder."""
    return [
        store_file(
            user=people["uploader"], folder=company_folder, filename=f"paper-{number}.txt", content=b"words" * 200
        )
        for number in range(10)
    ]


class Clicks:
    """Counts what the user of a page clicks, ticks included."""

    def __init__(self):
        self.count = 0

    def on(self, control):
        control.click()
        self.count += 1


def names_in(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return sorted(archive.namelist())


def test_ten_files_in_one_link_by_three_clicks(visit, people, company_folder, ten):
    page, clicks = visit(people["uploader"]), Clicks()
    page.goto(company_folder.get_absolute_url())
    page.locator(".select-bar.is-live").wait_for()

    clicks.on(page.get_by_role("checkbox", name="Select all"))
    clicks.on(page.get_by_role("button", name="Share", exact=True))
    clicks.on(page.get_by_role("button", name="Make the link"))

    address = page.locator(".share-made code").text_content().strip()
    assert clicks.count == 3
    assert ShareLink.objects.get().file_count == 10
    outsider = visit()
    outsider.goto(address)
    expect(outsider.locator(".share-files li")).to_have_count(10)
    with outsider.expect_download() as arriving:
        press(outsider, "Download all as ZIP")
    assert names_in(arriving.value.path()) == [f"paper-{number}.txt" for number in range(10)]
    with outsider.expect_download() as arriving:
        press(outsider, "Download: paper-3.txt")
    assert Path(arriving.value.path()).read_bytes() == b"words" * 200
    assert ShareLink.objects.get().download_count == 2


def test_without_scripts_and_with_a_password_asked_once(visit, people, company_folder, ten, watch):
    page = visit(people["uploader"], java_script_enabled=False)
    page.goto(company_folder.get_absolute_url())
    page.get_by_role("checkbox", name="Select: paper-1.txt").check()
    page.get_by_role("checkbox", name="Select: paper-2.txt").check()
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.get_by_role("heading", name="Share 2 files")).to_be_visible()
    page.locator("[name=password]").fill("seven boats")
    page.get_by_role("button", name="Make the link").click()
    address = page.locator(".share-made code").text_content().strip()

    outsider = visit(java_script_enabled=False)
    outsider.goto(address)
    expect(outsider.get_by_text("paper-1.txt")).to_have_count(0)
    watch.expect("403 POST .*/share/.*/unlock")
    outsider.get_by_label("Password", exact=True).fill("wrong")
    press(outsider, "Open")
    expect(outsider.get_by_role("alert")).to_have_text("That is not the password of this link.")
    outsider.get_by_label("Password", exact=True).fill("seven boats")
    press(outsider, "Open")
    for button in ("Download: paper-1.txt", "Download all as ZIP", "Download: paper-2.txt"):
        with outsider.expect_download():
            press(outsider, button)
    assert ShareLink.objects.get().download_count == 3


def test_a_folder_is_shared_from_its_page(visit, people, company_folder, ten):
    page = visit(people["uploader"])
    page.goto(company_folder.get_absolute_url())
    page.get_by_role("link", name="Share folder").click()
    expect(page.get_by_text("only files that you uploaded yourself")).to_be_visible()
    page.get_by_role("button", name="Make the link").click()
    expect(page.locator(".share-made code")).to_be_visible()
    page.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("The link no longer works.")).to_be_visible()
    assert ShareLink.objects.get().revoked_at is not None


def test_pages_look_finished(visit, look, people, company_folder, ten):
    uploader = people["uploader"]
    inner = SubfolderFactory(folder=company_folder, name="Contracts", slug="contracts")
    long_name = f"{'A rather long name of a document ' * 4}.docx"
    store_file(user=uploader, folder=company_folder, subfolder=inner, filename=long_name)
    picture = store_file(user=uploader, folder=company_folder, filename="plan.png", content=documents.png())
    foreign = store_file(user=people["super"], folder=company_folder, filename="foreign.txt", content=b"x")
    all_ = [*ten[:4], picture]

    def made(**facts):
        facts = {"permission": "download", "expires_in": HOUR, **facts}
        if "folder_id" not in facts:
            facts["file_ids"] = [file.pk for file in all_]
        return shares.create(user=uploader, **facts)[0]

    outsider = visit(**look)
    folder = made(folder_id=company_folder.pk, max_downloads=20)
    for one in (made(), made(permission="view"), made(password="x"), folder):
        assert_good(outsider, f"/share/{one.token}")
    assert_good(outsider, f"/share/{folder.token}?limit=3")
    maker = visit(uploader, **look)
    press_after = [f"paper-{number}.txt" for number in range(3)] + ["foreign.txt"]
    maker.goto(company_folder.get_absolute_url())
    for name in press_after:
        maker.get_by_role("checkbox", name=f"Select: {name}").check()
    assert_good_now(maker)
    maker.get_by_role("button", name="Share", exact=True).click()
    expect(maker.get_by_text(foreign.filename)).to_be_visible()
    assert_good_now(maker)
    maker.get_by_role("button", name="Make the link").click()
    expect(maker.locator(".share-made code")).to_be_visible()
    assert_good_now(maker)
    assert_good(maker, f"/shares/new?folder_id={company_folder.pk}")
    assert_good(maker, f"/shares/{folder.link.pk}/")
    assert_good(maker, "/shares/")
    assert_good(maker, ten[0].get_absolute_url())
