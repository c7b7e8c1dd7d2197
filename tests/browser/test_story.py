"""The portal's main job in a browser: one user uploads a document, and a newcomer downloads it."""

import pytest
from playwright.sync_api import expect

from accounts.models import User
from fileshare.models import File
from tests.browser.steps import agree, choose, download, drop, link_in_letter, log_in, press, sign_up, upload_row
from tests.factories import DOCX, PASSWORD
from tests.fakes import documents

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.both]
NEWCOMER = "nia@newcomer.example"


def test_a_newcomer_downloads_what_ops_dropped_on_the_page(page, visit, people):
    content = documents.docx("Terms of our work")
    ops = visit(people["ops"])
    ops.goto("/fileshare/documents/")
    drop(ops, ("Terms.docx", DOCX, content))
    agree(ops)
    expect(upload_row(ops, "Terms.docx")).to_have_attribute("data-state", "done")
    expect(ops.get_by_role("link", name="Terms.docx", exact=True)).to_be_visible()

    sign_up(page, name="Nia", address=NEWCOMER)
    expect(page.get_by_role("heading", name="Check your mail")).to_be_visible()
    page.goto(link_in_letter(NEWCOMER, "/verify-email"))
    assert not User.objects.get(email=NEWCOMER).is_active  # opening is not enough: mail scanners open links too
    press(page, "Confirm my address")
    page.get_by_role("main").get_by_role("link", name="Log in").click()
    log_in(page, NEWCOMER)
    expect(page.get_by_role("heading", name="Welcome, Nia")).to_be_visible()
    page.get_by_role("article").get_by_role("link", name="Client documents").click()

    assert download(page, "Terms.docx") == content


def test_the_whole_story_without_scripts(visit, people, watch, tmp_path):
    content = documents.docx("Without scripts")
    good, bad = tmp_path / "Plain.docx", tmp_path / "Renamed.docx"
    good.write_bytes(content)
    bad.write_bytes(documents.macro_document())
    ops, newcomer = visit(java_script_enabled=False), visit(java_script_enabled=False)

    ops.goto("/fileshare/documents/")
    log_in(ops, people["ops"].email)
    ops.get_by_label("Choose a file to upload").set_input_files(bad)
    ops.get_by_label("may see this file.").check()
    watch.expect("415 POST .*/files/upload")
    press(ops, "Upload")
    expect(ops.get_by_role("heading", name="This kind of file is not accepted")).to_be_visible()
    ops.get_by_role("link", name="Go back and try again").click()
    ops.get_by_label("Choose a file to upload").set_input_files(good)
    ops.get_by_label("may see this file.").check()
    press(ops, "Upload")
    expect(ops.get_by_text("“Plain.docx” is uploaded.")).to_be_visible()

    sign_up(newcomer, name="Nia", address=NEWCOMER)
    newcomer.goto(link_in_letter(NEWCOMER, "/verify-email"))
    press(newcomer, "Confirm my address")
    newcomer.get_by_role("main").get_by_role("link", name="Log in").click()
    log_in(newcomer, NEWCOMER)
    newcomer.goto("/fileshare/documents/")
    assert download(newcomer, "Plain.docx") == content

    ops.get_by_role("button", name="Delete: Plain.docx").click()
    expect(ops.get_by_text("“Plain.docx” was moved to the trash.")).to_be_visible()
    assert not File.objects.kept().exists()
    watch.expect("404 GET .*/download")
    newcomer.get_by_role("link", name="Download: Plain.docx").click()
    expect(newcomer.get_by_role("heading", name="Nothing here")).to_be_visible()


def test_a_used_link_says_so_and_a_forgotten_password_is_replaced(page, people, watch):
    client = people["client"]
    page.goto("/login?next=/files/")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("E-mail address").fill(client.email)
    press(page, "Send the link")
    link = link_in_letter(client.email, "/reset-password")
    page.goto(link)
    page.get_by_label("New password").fill("nine blue kites")
    press(page, "Save the password")
    expect(page.get_by_role("heading", name="Your password is changed")).to_be_visible()
    watch.expect("410 GET .*/reset-password")
    page.goto(link)
    expect(page.get_by_role("heading", name="This link was used before")).to_be_visible()
    page.goto("/login?next=/files/")
    watch.expect("401 POST .*/login")
    log_in(page, client.email, PASSWORD)
    expect(page.get_by_role("alert")).to_contain_text("not right")
    log_in(page, client.email, "nine blue kites")
    expect(page.get_by_role("heading", name="My files", exact=True)).to_be_visible()


def test_the_profile_changes_name_address_password_and_picture(visit, people, tmp_path):
    client = people["client"]
    page = visit(client)
    page.goto("/profile")
    page.get_by_label("Name", exact=True).fill("Amina")
    press(page, "Save")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Amina")

    page.get_by_label("New e-mail address").fill("amina@elsewhere.example")
    press(page, "Change the address")
    # A session alone may not change the address, so the portal asks for the password.
    page.get_by_role("textbox", name="Your password").fill(PASSWORD)
    press(page, "Go on")
    page.get_by_label("New e-mail address").fill("amina@elsewhere.example")
    press(page, "Change the address")
    expect(page.get_by_text("Waiting for you to confirm amina@elsewhere.example")).to_be_visible()
    page.goto(link_in_letter("amina@elsewhere.example", "/change-email"))
    press(page, "Confirm my address")
    page.get_by_role("link", name="Go to your profile").click()
    expect(page.get_by_text("amina@elsewhere.example", exact=True).locator("visible=true")).to_be_visible()

    page.goto("/profile/security")
    page.get_by_label("Present password").fill(PASSWORD)
    page.get_by_label("New password").fill("nine blue kites")
    press(page, "Change the password")
    expect(page.get_by_text("Your password is changed.")).to_be_visible()

    page.goto("/profile")
    picture = tmp_path / "me.png"
    picture.write_bytes(documents.png())
    page.locator("[name=avatar]").set_input_files(picture)
    press(page, "Save the picture")
    expect(page.locator("main img.avatar")).to_have_js_property("naturalWidth", 256)
    press(page, "Remove picture")
    expect(page.get_by_text("Your picture is removed.")).to_be_visible()
    expect(page.locator("img.avatar")).to_have_count(0)


def test_a_file_is_renamed_tagged_and_its_versions_are_listed(visit, people, tmp_path):
    page = visit(people["ops"])
    page.goto("/fileshare/documents/")
    for text in ("first", "second"):
        path = tmp_path / "Plan.docx"
        path.write_bytes(documents.docx(text))
        choose(page, path)
        if text == "first":
            agree(page)
        expect(page.locator(".upload-row[data-state=done]")).to_have_count(1)
        page.get_by_role("button", name="Clear finished").click()
    expect(page.get_by_text("2 versions")).to_be_visible()
    page.get_by_role("link", name="Plan.docx", exact=True).click()
    expect(page.get_by_role("table", name="Versions, newest first").locator("tbody tr")).to_have_count(2)

    page.get_by_label("Name", exact=True).fill("Plan of the year.docx")
    press(page, "Save")
    expect(page.get_by_role("heading", name="Plan of the year.docx")).to_be_visible()
    page.get_by_label("Add tags").fill("Blue, blue , Green")
    press(page, "Add")
    expect(page.get_by_role("button", name="Remove the tag: green")).to_be_visible()
    assert [tag.name for tag in File.objects.get(filename="Plan of the year.docx").tags.all()] == ["blue", "green"]
