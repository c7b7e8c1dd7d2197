"""Forged Host, Origin, X-Forwarded-For and `next`; bodies that grow; browsers' reports; lines in the log."""

import gzip
import json
import logging
import zlib

import pytest
from django.conf import settings as project
from django.test import Client
from rest_framework.test import APIClient

from accounts.second_factors import passkeys
from config.http import middleware
from config.http.middleware import client_address
from config.http.parsers import MAX_DEPTH
from tests.accounts.notices.letters import link_in
from tests.factories import PASSWORD, proved

pytestmark = pytest.mark.django_db
EVIL = [
    "//evil.example",
    "///evil.example",
    "\\\\evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "https:evil.example",
    "https://evil.example/",
    "http:///evil.example",
    "%0d%0aLocation: https://evil.example",
    "/\r\nSet-Cookie: x=y",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "evil.example",
    "/\t/evil.example",
    "https://testserver@evil.example/",
    "https://testserver.evil.example/",
    " //evil.example",
    "login",
]


def assert_stays(response):
    """Where the answer leads is a page of this portal, on one line."""
    location = response.get("Location", "/")
    assert response.status_code < 500
    assert location.startswith("/"), location
    assert not location.startswith(("//", "/\\")), location
    assert not set("\r\n\t\\") & set(location), location


# --- No open redirect --------------------------------------------------------------------------------


@pytest.mark.parametrize("target", EVIL)
def test_no_log_in_leads_to_another_site(target, people):
    for how in ({"path": "/login"}, {"path": "/login", "query_params": {"next": target}}):
        response = Client().post(data={"email": "client@example.org", "password": PASSWORD, "next": target}, **how)

        assert response.status_code == 302
        assert response["Location"] == "/"


@pytest.mark.parametrize("target", EVIL)
def test_no_other_page_with_a_next_leads_to_another_site(target, people, monkeypatch):
    monkeypatch.setattr(passkeys, "are_possible", lambda: True)
    signed_in = proved(Client(), people["client"])

    assert_stays(signed_in.get("/login", {"next": target}))
    assert_stays(signed_in.post("/login/passkey", {"next": target}))
    assert_stays(signed_in.post("/language", {"language": "sw", "next": target}))
    assert_stays(signed_in.post("/profile/security/confirm", {"password": PASSWORD, "next": target}))
    assert_stays(signed_in.post("/logout", {"next": target}))
    assert_stays(Client().get("/admin/login/", {"next": target}))


@pytest.mark.parametrize(
    "path", ["//evil.example", "//evil.example/%2e%2e", "/\\evil.example", "/fileshare//evil.example"]
)
def test_no_odd_path_leads_to_another_site(path, people):
    client = Client()
    client.force_login(people["client"])

    assert_stays(client.generic("GET", path))


# --- Host --------------------------------------------------------------------------------------------

FORGED = [
    {"HTTP_HOST": "evil.example"},
    {"HTTP_HOST": "testserver@evil.example"},
    {"HTTP_HOST": "testserver:80@evil.example"},
    {"HTTP_HOST": "127.0.0.1.evil.example"},
]
RIGHT_HOST_FORGED_REST = [
    {"HTTP_X_FORWARDED_HOST": "evil.example"},
    {"HTTP_X_HOST": "evil.example", "HTTP_FORWARDED": "host=evil.example"},
    {"HTTP_X_FORWARDED_PROTO": "http", "HTTP_X_FORWARDED_PORT": "81", "HTTP_X_FORWARDED_SERVER": "evil.example"},
    {"HTTP_X_ORIGINAL_URL": "/evil", "HTTP_X_REWRITE_URL": "/evil"},
]


@pytest.mark.parametrize("headers", FORGED)
@pytest.mark.parametrize("path", ["/", "/login", "/forgot-password", "/api/users/me", "/nowhere", "/admin/"])
def test_a_forged_host_is_refused_and_repeated_nowhere(path, headers, people):
    response = Client(raise_request_exception=False).get(path, **headers)

    assert response.status_code == 400
    assert b"evil" not in response.content


@pytest.mark.parametrize("headers", FORGED)
def test_a_forged_host_sends_no_mail(headers, people, outbox):
    APIClient().post("/api/auth/forgot-password", {"email": "client@example.org"}, **headers)

    assert outbox() == []


@pytest.mark.parametrize("headers", RIGHT_HOST_FORGED_REST)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/auth/signup", {"email": "new@example.org", "password": PASSWORD, "name": "New"}),
        ("/api/auth/forgot-password", {"email": "client@example.org"}),
        ("/signup", {"email": "new@example.org", "password": PASSWORD, "name": "New"}),
        ("/forgot-password", {"email": "client@example.org"}),
    ],
)
def test_the_link_in_a_mail_is_made_of_site_url_alone(path, body, headers, people, outbox):
    client = APIClient() if path.startswith("/api") else Client()

    client.post(path, body, **headers)

    (letter,) = outbox()
    assert link_in(letter).startswith(f"{project.SITE_URL}/")
    assert "evil" not in letter.body + letter.alternatives[0][0]


# --- Origin ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://testserver.evil.example", "x"])
def test_a_forged_origin_is_refused(origin, people):
    client = Client(enforce_csrf_checks=True)
    client.force_login(people["client"])
    client.get("/profile")
    token = client.cookies["csrftoken"].value
    headers = {"X-CSRFToken": token, "Origin": origin}

    by_page = client.post("/profile", {"form": "profile", "name": "Evil"}, headers=headers)
    by_api = client.patch("/api/users/me", {"name": "Evil"}, content_type="application/json", headers=headers)

    people["client"].refresh_from_db()
    assert (by_page.status_code, by_api.status_code, by_api.json()["code"]) == (403, 403, "csrf_failed")
    assert people["client"].name != "Evil"


def test_the_right_origin_is_taken(people):
    client = Client(enforce_csrf_checks=True)
    client.force_login(people["client"])
    client.get("/profile")
    headers = {"X-CSRFToken": client.cookies["csrftoken"].value, "Origin": "http://testserver"}

    response = client.patch("/api/users/me", {"name": "New"}, content_type="application/json", headers=headers)

    assert response.status_code == 200


# --- The client's address ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.9", "10.0.0.1"),
        (0, "", "10.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.66, 203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.66,,203.0.113.9 ,", "203.0.113.9"),
        (1, "", "10.0.0.1"),
        (1, "203.0.113.9, nonsense", None),
        (1, "127.0.0.1, 2001:db8::1", "2001:db8::1"),
        # As Azure, IIS and others write the header.
        (1, "203.0.113.9:54321", "203.0.113.9"),
        (1, "198.51.100.66:1, 203.0.113.9:54321", "203.0.113.9"),
        (1, "[2001:db8::1]:443", "2001:db8::1"),
        (1, "[2001:DB8:0::1]", "2001:db8::1"),
        (1, '"[2001:db8::1]:443"', "2001:db8::1"),
        (2, "[2001:db8::1]:443, 10.0.0.2:80", "2001:db8::1"),
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
        (1, "fe80::1%eth0", "fe80::1"),
        (1, "203.0.113.9:nonsense", None),
        (1, "[203.0.113.9", None),
        (1, "unknown", None),
        (2, "198.51.100.66, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (2, "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        # Fewer addresses than our proxies would write: the request bypassed one of them, so the header does not count.
        (2, "198.51.100.66", "10.0.0.1"),
        (2, "1.1.1.1, 2.2.2.2, 3.3.3.3, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
    ],
)
def test_x_forwarded_for_counts_as_far_as_our_proxies_wrote_it(proxies, forwarded, address, rf, settings):
    settings.TRUSTED_PROXY_COUNT = proxies

    request = rf.get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=forwarded)

    assert client_address(request) == address


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "said"),
    [
        (0, "10.0.0.1", "203.0.113.9", "TRUSTED_PROXY_COUNT is 0"),
        (0, "1.1.1.1", "203.0.113.9", None),  # any client may send the header
        (0, "10.0.0.1", None, None),
        (2, "10.0.0.1", "203.0.113.9", "1 addresses in X-Forwarded-For, and TRUSTED_PROXY_COUNT is 2"),
        (1, "10.0.0.1", "203.0.113.9", None),
    ],
)
def test_proxies_that_do_not_fit_the_setting_are_named_once(
    proxies, remote, forwarded, said, rf, settings, caplog, monkeypatch
):
    monkeypatch.setattr(middleware, "_said", set())
    settings.TRUSTED_PROXY_COUNT = proxies
    for _turn in range(2):
        client_address(rf.get("/", REMOTE_ADDR=remote, **({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {})))

    lines = [line.getMessage() for line in caplog.records if line.name == "config.http.middleware"]
    assert len(lines) == (said is not None)
    assert all(said in line for line in lines)


@pytest.mark.parametrize("proxies", [0, 1, 2])
def test_forging_it_opens_no_new_count_behind_any_number_of_proxies(proxies, settings, people):
    settings.RATELIMIT_ENABLE, settings.TRUSTED_PROXY_COUNT = True, proxies
    ours = ", ".join(["203.0.113.9", "10.0.0.2"][:proxies])
    answers = [
        APIClient(REMOTE_ADDR="10.0.0.1").post(
            "/api/auth/forgot-password",
            {"email": "client@example.org"},
            HTTP_X_FORWARDED_FOR=", ".join(filter(None, [f"198.51.100.{turn}", ours])),
        )
        for turn in range(6)
    ]

    assert [answer.status_code for answer in answers] == [202] * 5 + [429]


# --- Bodies that grow ----------------------------------------------------------------------------------


@pytest.mark.parametrize("squeeze", [gzip.compress, zlib.compress])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "GZIP"])
def test_a_compressed_body_is_not_unpacked(squeeze, encoding, people):
    bomb = squeeze(b'{"email": "' + b"x" * 50_000_000 + b'"}') if encoding == "gzip" else squeeze(b"{}")

    response = APIClient().generic(
        "POST", "/api/auth/login", bomb, content_type="application/json", HTTP_CONTENT_ENCODING=encoding
    )

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_encoding")


@pytest.mark.parametrize("shape", ["[{}]", '{{"a": {}}}'])
@pytest.mark.parametrize(("depth", "code"), [(MAX_DEPTH - 2, "invalid"), (MAX_DEPTH + 1, "malformed")])
def test_json_is_read_to_a_depth_and_no_further(shape, depth, code, people):
    value = "1"
    for _level in range(depth):
        value = shape.format(value)
    body = f'{{"email": {value}, "password": "x"}}'

    response = APIClient().generic("POST", "/api/auth/login", body, content_type="application/json")

    assert (response.status_code, response.json()["code"]) == (400, code)


# --- What browsers report ------------------------------------------------------------------------------

OLD = {
    "csp-report": {
        "document-uri": "https://portal.example.org/share/hunter2-token?token=hunter2",
        "effective-directive": "script-src-elem",
        "blocked-uri": "https://evil.example/x.js?key=hunter2",
        "line-number": 3,
    }
}
NEW = [{"type": "csp-violation", "body": {"documentURL": "https://p.example/", "effectiveDirective": "img-src"}}]


def report(body, content_type="application/csp-report"):
    body = body if isinstance(body, bytes | str) else json.dumps(body)
    return Client(enforce_csrf_checks=True).post("/csp-report", body, content_type=content_type)


@pytest.fixture
def told(caplog):
    """told() is the lines that the reports left in the log."""
    caplog.set_level(logging.WARNING, "config.http.csp_reports")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "config.http.csp_reports"]


def test_a_report_becomes_one_line_without_secrets(told):
    assert report(OLD).status_code == 204

    (line,) = told()
    assert "directive=script-src-elem" in line
    assert "blocked=https://evil.example/x.js" in line
    assert "token=hunter2" not in line
    assert "key=hunter2" not in line


def test_the_newer_form_is_read_too(told):
    assert report(NEW, "application/reports+json").status_code == 204
    assert "directive=img-src" in told()[0]


def test_a_report_forges_no_line(told):
    report({"csp-report": {"effective-directive": "x\nERROR root owned", "blocked-uri": "\u2028\x1b[2J" * 500}})

    (line,) = told()
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    assert len(line) < 500


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("x", "application/csp-report", 400),
        ("[" * 5000, "application/csp-report", 400),
        ("1", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        ("{}", "text/plain", 415),
        ("{}", "application/x-www-form-urlencoded", 415),
        ('{"a": "' + "x" * 20_000 + '"}', "application/json", 413),
        ("{}", "application/json", 204),
        ("[[], 1, null, {}]", "application/json", 204),
        ({"csp-report": []}, "application/json", 204),
        ({"body": {"blockedURL": {"a": 1}, "documentURL": "http://[::1"}}, "application/json", 204),
    ],
)
def test_what_is_no_report_leaves_nothing(body, content_type, status, told):
    assert report(body, content_type).status_code == status
    assert len(told()) <= 1


def test_reports_are_limited(limits_on):
    answers = [report({}, "application/json") for _turn in range(31)]

    assert [answer.status_code for answer in answers] == [204] * 30 + [429]
    assert int(answers[-1]["Retry-After"]) >= 1


# --- Lines in the log ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_USER_AGENT": "x\r\nERROR owned"},
        {"HTTP_X_REQUEST_ID": "abc\nERROR owned"},
        {"HTTP_X_FORWARDED_FOR": "1.2.3.4\nERROR owned"},
        {"HTTP_HOST": "evil\nERROR owned"},
        {"HTTP_ORIGIN": "https://x\nERROR owned"},
        {"HTTP_REFERER": "https://x\nERROR owned"},
    ],
)
def test_nothing_that_is_sent_begins_a_line_of_its_own(headers, people, capsys):
    formatters = [handler for handler in logging.getLogger().handlers if handler.filters]
    client = Client(raise_request_exception=False)

    client.get("/nowhere\n%0aERROR owned", **headers)
    client.post("/login", {"email": "a\nERROR owned@example.org", "password": "x"}, **headers)

    assert formatters, "the handlers of settings.LOGGING are in place"
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("ERROR owned")] == []
