"""`make run` collects the static files once: pages then load one style sheet and one script, and work as before."""

import os
import re
import sys

import httpx
import pytest
from django.conf import settings
from playwright.sync_api import expect

from tests.browser.steps import choose, upload_row
from tests.servers import LOOPBACK, free_ports, spawn, stop, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.once]
COMMAND = [sys.executable, "manage.py", "portal_run"]


def answers(port):
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def portal(tmp_path_factory):
    """The address of a demo portal, started as `make run` starts it."""
    folder = tmp_path_factory.mktemp("run")
    (port,) = free_ports(1)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    facts = kept | {"ENV_FILE": os.devnull, "DATA_DIR": str(folder / "data"), "PORT": str(port), "DEMO": "1"}
    process = spawn(COMMAND, log=folder / "log", env=facts, cwd=settings.BASE_DIR)
    try:
        wait_until(lambda: answers(port), process=process, log=folder / "log", seconds=120)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        stop(process, seconds=30)


@pytest.fixture
def client(portal, page):
    """A page of a client who is logged in."""
    page.goto(f"{portal}/login")
    page.get_by_label("E-mail address").fill("client@demo.example")
    page.get_by_label("Password", exact=True).fill("try-the-portal")
    page.get_by_role("main").get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url(f"{portal}/")
    return page


def test_a_page_loads_few_files_and_all_of_them_work(portal, client, tmp_path):
    page, loaded = client, []
    page.on("request", lambda request: loaded.append(request.url.removeprefix(portal)))

    page.goto(f"{portal}/files/")
    page.wait_for_load_state("networkidle")

    assert len(loaded) <= 10, loaded
    assert len([path for path in loaded if re.fullmatch(r"/static/(css|js)/portal\.[0-9a-f]{12}\.(css|js)", path)]) <= 2
    path = tmp_path / "Notes.txt"
    path.write_text("words " * 100)
    choose(page, path)
    expect(upload_row(page, path.name)).to_have_attribute("data-state", "done")
    page.get_by_role("button", name="Dark theme").click()
    expect(page.locator("#dark-theme")).to_have_attribute("media", "all")
    page.goto(f"{portal}/search")
    page.get_by_label("Name, tag or type").press_sequentially("Notes")
    expect(page.get_by_role("link", name="Notes.txt", exact=True)).to_be_visible()


def test_while_its_script_comes_nothing_moves_and_if_it_does_not_come_the_page_works_without(portal, client, watch):
    watch.expect(r"failed GET .*/js/portal\.")
    page, held = client, []
    page.route("**/js/portal.*.js", lambda route: held.append(route))
    page.goto(f"{portal}/files/", wait_until="commit")

    expect(page.get_by_role("button", name="Choose files")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("button", name="Upload", exact=True)).to_be_hidden()
    held[0].abort()

    expect(page.get_by_role("main").get_by_role("button", name="Upload", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Choose files")).to_be_hidden()
