"""A live portal whose SITE_URL has a path, behind a proxy that serves other sites of the host too."""

import contextlib
import re
import threading
import time
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser import steps
from tests.deploy.conftest import PASSWORD, SEED, listens, manage, production, running, web_command
from tests.environments import reason_of, settings_of
from tests.migrated import migrate
from tests.servers import LOOPBACK, free_ports

pytestmark = pytest.mark.once
PATH = "/clients/portal"
EMAIL = "super@example.org"
ADDRESSES = re.compile(r"""(?:href|src|action|data-[a-z-]*url)=["'](/[^"'#]*)""")
MOST_PAGES = 40


class Proxy(BaseHTTPRequestHandler):
    """Passes requests under PATH on unchanged. Other paths belong to another site of the host."""

    protocol_version = "HTTP/1.1"

    def _pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not (self.path + "/").startswith(f"{PATH}/"):
            self.server.strays.append(self.path)
            status, headers, content = 404, [], b"Another site"
        else:
            given = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
            given |= {"X-Forwarded-For": self.client_address[0], "Accept-Encoding": "identity"}
            url = f"http://{LOOPBACK}:{self.server.behind}{self.path}"
            answer = httpx.request(self.command, url, headers=given, content=body, timeout=60)
            status, content = answer.status_code, answer.content
            dropped = ("content-length", "connection", "transfer-encoding", "date", "server")
            headers = [(name, value) for name, value in answer.headers.multi_items() if name not in dropped]
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _pass_on  # noqa: N815 - the names that http.server calls

    def log_message(self, *args):
        """Write no log."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The portal: url, strays (requested paths outside PATH), its own port, data_dir."""
    folder = tmp_path_factory.mktemp("site")
    (port,) = free_ports(1)
    proxy = ThreadingHTTPServer((LOOPBACK, 0), Proxy)
    proxy.behind, proxy.strays = port, []
    url = f"http://{LOOPBACK}:{proxy.server_port}{PATH}"
    environment = production(folder / "data", PORT=str(port), SITE_URL=f"{url}/", DEMO="0")
    migrate(environment)
    manage(environment, "shell", "--verbosity", "0", "--command", SEED)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    with running(web_command(), environment=environment, log=folder / "log", is_ready=lambda: listens(port)):
        yield SimpleNamespace(url=url, strays=proxy.strays, port=port, data_dir=folder / "data")
    proxy.shutdown()


def form_of(page):
    """The hidden CSRF token of a page's form."""
    return re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]


def logged_in(site):
    browser = httpx.Client(follow_redirects=True, timeout=60)
    token = form_of(browser.get(f"{site.url}/login").text)
    answer = browser.post(
        f"{site.url}/login", data={"email": EMAIL, "password": PASSWORD, "csrfmiddlewaretoken": token}
    )
    assert answer.status_code == 200
    assert str(answer.url).startswith(f"{site.url}/")
    return browser


def test_pages_redirects_cookies_and_static_files_stay_below_the_path(site):
    with contextlib.closing(logged_in(site)) as browser:
        assert {cookie.path for cookie in browser.cookies.jar} == {PATH}
        assert {cookie.name for cookie in browser.cookies.jar} >= {"session", "csrftoken"}
        assert f'data-root="{PATH}"' in browser.get(f"{site.url}/").text
        assert str(browser.get(site.url).url) == f"{site.url}/"
        waiting, seen = [f"{PATH}/", f"{PATH}/admin/", f"{PATH}/api/docs", f"{PATH}/favicon.ico"], set()
        while waiting and len(seen) < MOST_PAGES:
            path = waiting.pop(0)
            if path in seen:
                continue
            seen.add(path)
            answer = browser.get(site.url.removesuffix(PATH) + path)
            assert answer.status_code != 404, path
            assert answer.status_code < 500, path
            if "text/html" in answer.headers["Content-Type"]:
                found = {found.replace("&amp;", "&") for found in ADDRESSES.findall(answer.text)}
                assert [one for one in found if not f"{one}/".startswith(f"{PATH}/")] == [], path
                waiting += sorted(found - seen)
        assert sum("/static/" in path for path in seen) > 5
        assert len(seen) == MOST_PAGES
        browser.cookies.clear()
        again = browser.get(f"{site.url}/profile")
        assert str(again.url) == f"{site.url}/login?next={PATH}/profile"
    assert site.strays == []


def test_a_script_uploads_and_downloads_by_the_addresses_it_is_given(site):
    pair = httpx.post(f"{site.url}/api/auth/login", json={"email": EMAIL, "password": PASSWORD}, timeout=60).json()
    with httpx.Client(headers={"Authorization": f"Bearer {pair['access']}"}, timeout=60) as script:
        api = f"{site.url}/api"
        # The first file creates the personal folder, which accepts files of any kind.
        first = script.post(f"{api}/files/upload", files={"file": ("a.txt", b"hello", "text/plain")}).json()
        asked = {"folder_id": first["folder"]["id"], "filename": "b.txt", "size_bytes": 5, "content_type": "text/plain"}
        begun = script.post(f"{api}/fileshare/upload/initiate", json=asked)
        promise = begun.json()
        assert promise["upload_url"].startswith(f"{site.url}/store/")
        assert httpx.put(promise["upload_url"], content=b"hello", headers=promise["headers"]).status_code == 200
        assert script.post(f"{api}/fileshare/upload/complete", json={"file_id": promise["file_id"]}).status_code == 200
        url = script.post(f"{api}/fileshare/download/{promise['file_id']}").json()["download_url"]
        assert url.startswith(f"{site.url}/")
        assert httpx.get(url).content == b"hello"
        link = script.get(f"{api}/client/download/{promise['file_id']}").json()["download-link"]
        assert link.startswith(f"{PATH}/secure-download/")
        assert script.get(site.url.removesuffix(PATH) + link).content == b"hello"
        assert script.get(f"{api}/files/search?q=.txt&limit=1").json()["next"].startswith(f"{api}/files/search?")
        assert f"url: {PATH}" in script.get(f"{api}/schema").text
    assert site.strays == []


@pytest.mark.browser
def test_a_browser_uploads_tags_and_searches_below_the_path(site, page):
    failed = []
    page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(f"{site.url}/login")
    steps.log_in(page, EMAIL, PASSWORD)
    page.goto(f"{site.url}/files/")
    page.get_by_text("Add tags", exact=True).click()
    page.get_by_label("Tags", exact=True).fill("below")
    steps.drop(page, ("Report.txt", "text/plain", b"words"))
    expect(steps.upload_row(page, "Report.txt")).to_have_attribute("data-state", "done")
    page.goto(f"{site.url}/search")
    page.get_by_label("Name, tag or type").press_sequentially("repo")
    expect(page.get_by_role("link", name="Report.txt", exact=True)).to_be_visible()
    expect(page).to_have_url(f"{site.url}/search?q=repo")
    page.get_by_role("link", name="below", exact=True).click()
    expect(page).to_have_url(f"{site.url}/search?tags=below")
    page.get_by_role("link", name="Report.txt", exact=True).click()
    assert steps.download(page, "Report.txt") == b"words"
    assert failed == []
    assert site.strays == []


def test_a_letter_leads_to_the_portal(site):
    httpx.post(f"{site.url}/api/auth/forgot-password", json={"email": EMAIL}, timeout=60)
    deadline = time.monotonic() + 60
    found = []
    while not found and time.monotonic() < deadline:
        time.sleep(0.2)
        with contextlib.suppress(OSError):
            found = [*(site.data_dir / "mail").glob("*.eml")]
    letter = message_from_bytes(found[0].read_bytes(), policy=policy.default).get_body(["plain"]).get_content()

    (link,) = re.findall(r"http\S+\?token=\S+", letter)
    assert link.startswith(f"{site.url}/reset-password?token=")
    assert "csrfmiddlewaretoken" in httpx.get(link, timeout=60).text
    assert site.strays == []


def test_probes_answer_without_the_path_and_a_proxy_that_cuts_it_off_is_told(site):
    assert httpx.get(f"http://{LOOPBACK}:{site.port}/healthz").status_code == 200
    assert httpx.get(f"{site.url}/healthz").status_code == 200
    answer = httpx.get(f"http://{LOOPBACK}:{site.port}/login")
    assert answer.status_code == 404
    assert "must pass the whole path on" in answer.text


def test_what_follows_from_the_path(tmp_path):
    with_path = settings_of(tmp_path, SITE_URL="https://example.org/portal/")
    alone = settings_of(tmp_path)

    assert (with_path.SESSION_COOKIE_NAME, with_path.SESSION_COOKIE_PATH) == ("__Secure-session", "/portal")
    assert (alone.SESSION_COOKIE_NAME, alone.SESSION_COOKIE_PATH) == ("__Host-session", "/")
    assert with_path.SITE_ORIGIN == with_path.MPESA_CALLBACK_URL == "https://example.org"
    assert (
        settings_of(tmp_path, SITE_URL="https://a.org/p", CSP_REPORT_URI="/csp-report").CSP_REPORT_URI
        == "/p/csp-report"
    )
    exempt = re.compile(with_path.SECURE_REDIRECT_EXEMPT[0])
    assert exempt.search("portal/healthz")


@pytest.mark.parametrize("url", ["https://a.org/a b", "https://a.org/a?b", "https://a.org/a#b", "https://a.org/../b"])
def test_a_path_that_is_none_stops_the_start(url, tmp_path):
    assert "SITE_URL" in reason_of(tmp_path, SITE_URL=url)
