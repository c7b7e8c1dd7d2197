"""The headers and cookies of refusals, server errors, static files and downloads; test_matrix.py has every address."""

import json
import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings as project
from django.test import Client

from accounts.credentials import lockout
from fileshare.outgoing import downloads
from fileshare.sharing import shares
from tests.factories import PASSWORD
from tests.fileshare.requests.request_helpers import ask_for_files, path_of_request
from tests.judges import faults_of
from tests.plugin import ROOT

pytestmark = pytest.mark.django_db
COOKIES = {"session", "csrftoken", "language", lockout.COOKIE_NAME, "messages"}


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
    monkeypatch.setattr("accounts.people.roles.role_names", fail)
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


def test_a_throttled_answer_has_them_too(people, limits_on):
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


# Prints as JSON what follows from an https address: the settings, and the name of lockout's cookie.
HTTPS = """
import json
import django
django.setup()
from django.conf import settings
from accounts.credentials import lockout
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
    # Scripts of the portal's pages read the CSRF cookie, to send it with their requests. They can read no other.
    assert {name for name, cookie in cookies.items() if not cookie["httponly"]} == {"csrftoken"}
    for cookie in cookies.values():
        assert (cookie["secure"], cookie["samesite"], cookie["domain"]) == (True, "Lax", ""), cookie.OutputString()
    # The cookies work under these names.
    for someone, path in ((browser, "/profile"), (outsider, request), (outsider, f"/share/{share.token}")):
        assert someone.get(path, secure=True).status_code == 200
    # A browser accepts a cookie named __Host-… only with Secure and Path=/, also when the answer deletes it.
    gone = browser.post("/logout", secure=True).cookies["__Host-session"]
    assert (gone.value, gone["max-age"], gone["secure"], gone["path"]) == ("", 0, True, "/")
