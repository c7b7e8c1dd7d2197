"""Steps of users on the pages, shared by the tests."""

import email
import email.policy
import re
from pathlib import Path

from django.conf import settings

from accounts.notices import mail
from tests.factories import PASSWORD


def press(page, name):
    """Click the button of that name in the page's main part."""
    page.get_by_role("main").get_by_role("button", name=name, exact=True).click()


def sign_up(page, *, name, address):
    """Go from the landing page to the sign-up form and fill it in."""
    page.goto("/")
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Your name").fill(name)
    page.get_by_label("E-mail address").fill(address)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    press(page, "Create account")


def log_in(page, address, password=PASSWORD):
    """Fill in the form of the log-in page, which is open."""
    page.get_by_label("E-mail address").fill(address)
    page.get_by_label("Password", exact=True).fill(password)
    press(page, "Log in")


def link_in_letter(address, path):
    """Send the waiting mail; returns the link to `path` in the newest letter to `address`."""
    mail.send_waiting()
    letters = sorted(Path(settings.EMAIL_FILE_PATH).glob(f"*-{address}-*.eml"))
    letter = email.message_from_bytes(letters[-1].read_bytes(), policy=email.policy.default)
    text = letter.get_body(("plain",)).get_content()
    return re.search(re.escape(f"{settings.SITE_URL}{path}") + r"\?\S+", text)[0]


def drop(page, *files):
    """Drop (name, type, content) files on the page's drop zone, as a file manager would."""
    data = [{"name": name, "type": kind, "bytes": list(content)} for name, kind, content in files]
    page.locator(".upload.is-live").wait_for()
    transfer = page.evaluate_handle(
        """files => {
          const transfer = new DataTransfer();
          for (const { name, type, bytes } of files) {
            transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
          }
          return transfer;
        }""",
        data,
    )
    zone = page.locator(".drop")
    zone.dispatch_event("dragover", {"dataTransfer": transfer})
    zone.dispatch_event("drop", {"dataTransfer": transfer})


def choose(page, *paths):
    """Pick files for the uploader."""
    page.locator(".upload.is-live").wait_for()
    page.locator("#upload-file").set_input_files([str(path) for path in paths])


def agree(page):
    """Say yes to the question before the first upload to a folder that people of several companies see."""
    page.get_by_role("dialog").get_by_role("button", name="Upload", exact=True).click()


def upload_row(page, name):
    """The row of one upload in the list below the drop zone."""
    return page.locator(".upload-row[data-state]").filter(has=page.get_by_text(name, exact=True))


def unfinished_row(page, name):
    """The row of an upload that was begun earlier and waits for its file."""
    return page.locator("[data-part=unfinished] .upload-row").filter(has=page.get_by_text(name, exact=True))


def download(page, name):
    """Click a file's download button; returns the bytes that arrived."""
    with page.expect_download() as arriving:
        page.get_by_role("link", name=f"Download: {name}", exact=True).click()
    assert arriving.value.suggested_filename == name
    return Path(arriving.value.path()).read_bytes()
