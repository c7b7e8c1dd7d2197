"""The headers and cookies of every address there is, for every role, refusals and bytes included."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings as project
from django.db import transaction
from django.test import Client

from accounts import lockout, tokens
from fileshare import downloads, shares
from tests.factories import PASSWORD
from tests.fileshare.request_helpers import ask_for_files, path_of_request
from tests.payments.daraja import simulated  # noqa: F401 - a fixture
from tests.plugin import ROOT
from tests.test_matrix import API, PAGES, POSTS, World, signed_in

pytestmark = pytest.mark.django_db
WHO = ["nobody", "colleague", "super"]
COOKIES = {"session", "csrftoken", "language", lockout.COOKIE_NAME, "messages"}
# Answers that may be kept: they are the same for everybody.
KEPT = re.compile(r"^/(static/|favicon\.ico|api/schema|api/docs)")


@pytest.fixture
def world(people, company_folder, report, daraja):
    return World(people, company_folder, report)


def faults_of(response, path):
    """What is missing or wrong with the headers of this answer."""
    found = []
    policy = response.get("Content-Security-Policy", "")
    own = "sandbox" in policy
    parts = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    if "unsafe" in policy or ("*" in policy and "//*" not in policy):
        found.append(f"policy: {policy}")
    if parts.get("default-src") not in ("'self'", "'none'"):
        found.append(f"default-src: {policy}")
    if not own and not {"object-src", "base-uri", "form-action", "frame-ancestors"} <= set(parts):
        found.append(f"not all of the policy: {policy}")
    expected = {
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    found += [f"{name}: {response.get(name)}" for name, value in expected.items() if response.get(name) != value]
    # Of a share link, whose address is a secret, another site learns the portal's name at most.
    if response.get("Referrer-Policy") not in ("same-origin", "strict-origin", "no-referrer"):
        found.append(f"Referrer-Policy: {response.get('Referrer-Policy')}")
    # A preview is framed by its own page, and by no other.
    if response.get("X-Frame-Options") not in ("DENY", "SAMEORIGIN"):
        found.append(f"X-Frame-Options: {response.get('X-Frame-Options')}")
    if "camera=()" not in response.get("Permissions-Policy", ""):
        found.append("no Permissions-Policy")
    if len(response.get("X-Request-ID", "")) != 32:
        found.append("no X-Request-ID")
    kept = response.get("Cache-Control", "")
    if not KEPT.match(path) and response.status_code == 200 and not re.search(r"no-store|private|no-cache", kept):
        found.append(f"Cache-Control: {kept!r}")
    if "public" in kept and not KEPT.match(path):
        found.append(f"Cache-Control: {kept!r}")
    for name in ("Server", "X-Powered-By"):
        if name in response:
            found.append(name)
    for cookie in response.cookies.values():
        if cookie["samesite"] not in ("Lax", "Strict") or (cookie["path"] or "/")[0] != "/" or cookie["domain"]:
            found.append(f"cookie {cookie.key}: {cookie.OutputString()}")
        if cookie.key != "csrftoken" and cookie.value and not cookie["httponly"]:
            found.append(f"cookie {cookie.key} is for scripts too")
    return found


def collect(people, role, asked):
    """{(method and path): faults} of what `asked(client)` yields for this role; what it changes is taken back."""
    faults = {}
    for name, ask in asked:
        with transaction.atomic():
            response = ask(signed_in(Client(raise_request_exception=False), people, role))
            transaction.set_rollback(True)
        found = faults_of(response, response.request["PATH_INFO"])
        if found:
            faults[name, response.status_code] = found
    return faults


@pytest.mark.parametrize("who", WHO)
def test_every_page(who, world, people):
    asked = [(path, lambda client, path=path: client.get(world.path(path))) for path in PAGES if path != "metrics"]

    assert collect(people, who, asked) == {}


@pytest.mark.parametrize("who", WHO)
def test_every_form(who, world, people):
    asked = [
        (path, lambda client, path=path: client.post(world.path(path, path), world.forms.get(path, dict)()))
        for path in POSTS
    ]

    assert collect(people, who, asked) == {}


@pytest.mark.parametrize("who", WHO)
def test_every_call(who, world, people):
    headers = {} if who == "nobody" else {"Authorization": f"Bearer {tokens.access_for(people[who])}"}

    def ask(client, call):
        method, route = call.split(" ", 1)
        form = world.forms.get(call)
        data = {"data": form()} if form else {"data": world.bodies.get(call), "content_type": "application/json"}
        return getattr(client, method.lower())(
            world.path(f"api/{route}", call), headers=headers, **(data if method != "GET" else {})
        )

    # Nobody's session: the bearer's token alone.
    asked = [(call, lambda client, call=call: ask(Client(raise_request_exception=False), call)) for call in API]

    assert collect(people, "nobody", asked) == {}


def refusals(people, report, monkeypatch):
    def fail(*args, **kwargs):
        raise ZeroDivisionError

    client = Client(raise_request_exception=False)
    client.force_login(people["colleague"])
    strict = Client(enforce_csrf_checks=True)
    yield 400, client.get("/login", HTTP_HOST="evil.example")
    yield 400, client.post("/profile", "x", content_type="multipart/form-data")
    yield 403, strict.post("/login", {"email": "x"})
    yield 404, client.get("/nowhere")
    yield 404, client.get("/static/nowhere.css")
    yield 404, client.get("/api/nowhere")
    yield 405, client.get("/language")
    yield 413, client.post("/login", "email=" + "x" * 2**21, content_type="application/x-www-form-urlencoded")
    yield 400, client.post("/login", "x", content_type="text/plain", CONTENT_LENGTH="x")
    yield 200, client.get("/static/css/base.css")
    link = downloads.link_for(user=people["colleague"], file_id=report.pk)
    if project.STORAGE == "local":
        yield 200, client.get(link)
        yield 206, client.get(link, headers={"range": "bytes=0-9"})
        yield 200, client.get(downloads.presigned_url(user=people["colleague"], file_id=report.pk))
        yield 403, client.get("/store/nonsense")
    yield 400, client.get("/secure-download/nonsense")
    monkeypatch.setattr("accounts.roles.role_names", fail)
    yield 500, client.get("/profile")
    yield 500, client.get("/api/users/me")


def test_refusals_faults_static_files_and_bytes(people, report, monkeypatch):
    faults = {}
    for status, response in refusals(people, report, monkeypatch):
        path = response.request["PATH_INFO"]
        assert response.status_code == status, path
        if found := faults_of(response, path):
            faults[path, status] = found

    assert faults == {}


def test_a_throttled_answer_has_them_too(people, settings):
    settings.RATELIMIT_ENABLE = True
    for _turn in range(11):
        response = Client().post("/login", {"email": "client@example.org", "password": "wrong"})

    assert (response.status_code, faults_of(response, "/login")) == (429, [])


def test_there_is_no_cookie_nobody_knows_of(people):
    client = Client()
    client.post("/login", {"email": "client@example.org", "password": PASSWORD, "language": "sw"})
    client.post("/language", {"language": "sw"})
    client.post("/profile", {"form": "profile", "name": "New"})

    assert set(client.cookies) <= COOKIES
    assert {"session", "csrftoken", lockout.COOKIE_NAME} <= set(client.cookies)


@pytest.mark.parametrize("uri", ["/csp-report", "https://reports.example.org/csp?key=x"])
def test_breaches_of_the_policy_can_be_reported(uri, client, settings):
    settings.CSP_REPORT_URI = uri

    response = client.get("/login")

    assert response["Content-Security-Policy"].endswith(f"; report-uri {uri}; report-to csp")
    assert response["Reporting-Endpoints"] == f'csp="{uri}"'


def test_the_policy_can_be_tried_out_and_that_of_bytes_stays(people, report, client, settings):
    settings.CSP_REPORT_ONLY = True
    client.force_login(people["colleague"])

    tried = client.get("/login")
    kept = client.get("/api/users/me")

    for response in (tried, kept):
        assert "Content-Security-Policy" not in response
        assert response["Content-Security-Policy-Report-Only"].startswith("default-src 'self'")
    if project.STORAGE == "local":
        link = downloads.link_for(user=people["colleague"], file_id=report.pk)
        assert "sandbox" in client.get(link)["Content-Security-Policy"]


# Prints as JSON what follows from an https address: settings, and a name that is made of one.
HTTPS = """
import json
import django
django.setup()
from django.conf import settings
from accounts import lockout
told = [name for name in dir(settings) if "COOKIE" in name or name.startswith("SECURE_") or name == "SITE_IS_SECURE"]
print(json.dumps({"settings": {name: getattr(settings, name) for name in told}, "device": lockout.COOKIE_NAME}))
"""


@pytest.fixture
def https(settings, tmp_path, monkeypatch):
    """The portal's settings are those that config/settings.py makes of a SITE_URL with https."""
    environment = {**os.environ, "SITE_URL": "https://localhost", "DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", HTTPS], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    told = json.loads(done.stdout)
    for name, value in told["settings"].items():
        setattr(settings, name, value)
    monkeypatch.setattr(lockout, "COOKIE_NAME", told["device"])


@pytest.mark.once
def test_over_https_the_browser_stays_there(https, client):
    assert client.get("/login").status_code == 301
    response = client.get("/login", secure=True)

    assert response["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"


@pytest.mark.once
def test_over_https_every_cookie_is_secure(https, people, report):
    share = shares.create(
        user=people["uploader"], file_id=report.pk, permission="view", expires_in=timedelta(hours=1), password=PASSWORD
    )[0]
    request = path_of_request(ask_for_files(people["uploader"]))
    browser, outsider = Client(), Client(headers={"accept": "text/html"})
    sent = [
        (browser, "/login", None),
        (browser, "/language", {"language": "sw"}),
        (browser, "/login", {"email": "client@example.org", "password": PASSWORD}),
        (browser, "/profile", {"form": "profile", "name": "New"}),
        (outsider, f"/share/{share.token}/unlock", {"password": PASSWORD}),
        (outsider, f"{request}/start", {"name": "Wanjiru"}),
    ]

    answers = [
        someone.get(path, secure=True) if form is None else someone.post(path, form, secure=True)
        for someone, path, form in sent
    ]

    assert [answer.status_code for answer in answers] == [200, *[302] * 5]
    cookies = {cookie.key: cookie for answer in answers for cookie in answer.cookies.values()}
    paths = dict.fromkeys(["__Host-session", "csrftoken", "__Host-device", "language", "messages"], "/")
    paths |= {"share_unlocked": f"/share/{share.token}", "sender": request}
    assert {name: cookie["path"] for name, cookie in cookies.items()} == paths
    # Scripts of the portal's pages read the one with which their requests prove where they come from, and no other.
    assert {name for name, cookie in cookies.items() if not cookie["httponly"]} == {"csrftoken"}
    for cookie in cookies.values():
        assert (cookie["secure"], cookie["samesite"], cookie["domain"]) == (True, "Lax", ""), cookie.OutputString()
    # They do what they are for under these names.
    for someone, path in ((browser, "/profile"), (outsider, request), (outsider, f"/share/{share.token}")):
        assert someone.get(path, secure=True).status_code == 200
    # Of a name that begins like this a browser hears only where the same is said, to forget it too.
    gone = browser.post("/logout", secure=True).cookies["__Host-session"]
    assert (gone.value, gone["max-age"], gone["secure"], gone["path"]) == ("", 0, True, "/")
