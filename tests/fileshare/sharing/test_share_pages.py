"""The pages of share links: what a visitor sees, and what the maker of a link does."""

import datetime as dt
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fileshare.models import Folder, ShareLink
from fileshare.sharing import shares
from tests.factories import store_file
from tests.fakes import documents

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)
HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def made(people, report):
    """made(…) is a new link of the uploader to the report."""

    def make(**facts):
        facts = {
            "user": people["uploader"],
            "file_id": report.pk,
            "permission": "download",
            "expires_in": HOUR,
            **facts,
        }
        return shares.create(**facts)[0]

    return make


def text_of(response):
    return response.content.decode()


# --- Outside ------------------------------------------------------------------------------------------


def test_the_page_says_who_what_and_until_when(made, people, report):
    people["uploader"].company = people["colleague"].company
    people["uploader"].save()
    one = made(max_downloads=3, password="x")

    answer = Client().get(f"/share/{one.token}", headers=HTML)

    text = text_of(answer)
    for word in (report.filename, people["uploader"].name, "Baobab", "Good until", "Downloads left", 'type="password"'):
        assert word in text
    assert f'action="/share/{one.token}/download"' in text
    assert "<svg" in text
    assert people["uploader"].email not in text
    assert str(report.pk) not in text
    assert report.folder.name not in text.replace("Baobab</strong>", "")


def test_the_page_is_kept_by_nobody_and_leaks_no_address(made):
    one = made()

    for path in ("", "/download"):
        answer = Client().get(f"/share/{one.token}{path}", headers=HTML)
        assert "no-store" in answer["Cache-Control"]
        assert answer["X-Robots-Tag"] == "noindex, nofollow"
        assert answer["Referrer-Policy"] == "strict-origin"
        assert "session" not in answer.cookies
        # No script and no style stands inline.
        assert not re.search(r"<script(?![^>]*src=)|style=|onclick=|<style", text_of(answer))


def test_a_wrong_password_is_said_on_the_page(made):
    one = made(password="right", max_downloads=1)
    visitor = Client(enforce_csrf_checks=True)

    answer = visitor.post(f"/share/{one.token}/download", {"password": "wrong"}, headers=HTML)

    assert answer.status_code == 403
    assert "That is not the password of this link." in text_of(answer)
    assert "wrong" not in re.findall(r'value="([^"]*)"', text_of(answer))
    assert visitor.post(f"/share/{one.token}/download", {"password": "right"}, headers=HTML).status_code == 302


def test_too_many_guesses_are_said_on_the_page(made, settings):
    settings.RATELIMIT_ENABLE = True
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "share_password": "1/d"}
    one = made(password="right")
    Client().post(f"/share/{one.token}/download", {"password": "wrong"}, headers=HTML)

    answer = Client().post(f"/share/{one.token}/download", {"password": "right"}, headers=HTML)

    assert (answer.status_code, int(answer["Retry-After"]) > 0) == (429, True)
    assert "Too many requests" in text_of(answer)


def test_a_dead_link_has_a_page(made, people):
    one = made()
    shares.revoke(user=people["uploader"], share_id=one.link.pk)

    answer = Client().get(f"/share/{one.token}", headers=HTML)

    assert answer.status_code == 410
    assert "has taken it back" in text_of(answer)
    assert answer["X-Robots-Tag"] == "noindex, nofollow"


def test_a_link_to_view_asks_for_its_password_first(people, company_folder):
    file = store_file(user=people["uploader"], folder=company_folder, filename="a.png", content=documents.png())
    facts = {"permission": "view", "expires_in": HOUR, "password": "x"}
    (one,) = shares.create(user=people["uploader"], file_id=file.pk, **facts)
    visitor = Client()

    assert "/preview" not in text_of(visitor.get(f"/share/{one.token}", headers=HTML))
    visitor.post(f"/share/{one.token}/unlock", {"password": "x"}, headers=HTML)

    text = text_of(visitor.get(f"/share/{one.token}", headers=HTML))
    assert f'src="/share/{one.token}/preview"' in text
    assert "/download" not in text


def test_names_are_escaped(people, company_folder):
    people["uploader"].name = "<script>alert(1)</script>"
    people["uploader"].save()
    file = store_file(user=people["uploader"], folder=company_folder, filename='a<img src=x onerror="x">.docx')
    (one,) = shares.create(user=people["uploader"], file_id=file.pk, permission="download", expires_in=HOUR)

    text = text_of(Client().get(f"/share/{one.token}", headers=HTML))

    assert "<script>alert" not in text
    assert "<img src=x" not in text


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_other_methods_are_none_of_this_page(method, made):
    assert getattr(Client(), method)(f"/share/{made().token}").status_code == 405


def test_the_form_may_go_on_to_the_bucket(made, settings):
    settings.S3_ORIGINS = ["https://files.s3.example.org"]

    policy = Client().get(f"/share/{made().token}", headers=HTML)["Content-Security-Policy"]

    assert "form-action 'self' https://files.s3.example.org" in policy


def test_what_is_told_of_the_policy_is_told_of_these_pages(made, settings):
    settings.S3_ORIGINS = ["https://files.s3.example.org"]
    settings.CSP_REPORT_ONLY, settings.CSP_REPORT_URI = True, "/csp-report"

    page = Client().get(f"/share/{made().token}", headers=HTML)

    assert "Content-Security-Policy" not in page
    policy = page["Content-Security-Policy-Report-Only"]
    assert "form-action 'self' https://files.s3.example.org" in policy
    assert policy.endswith("; report-uri /csp-report; report-to csp")


# --- The maker ----------------------------------------------------------------------------------------


def test_a_link_is_made_on_the_file_s_page_and_its_address_shown_once(page_as, report, settings):
    browser = page_as("uploader")

    answer = browser.post(f"/files/{report.pk}/share", {"permission": "download", "expires_in": "86400"})

    assert (answer.status_code, answer["Location"]) == (302, f"/files/{report.pk}/#share")
    first, again = (text_of(browser.get(f"/files/{report.pk}/")) for _ in range(2))
    (token,) = set(re.findall(rf"{re.escape(settings.SITE_URL)}/share/([\w-]{{43}})", first))
    assert token not in again
    assert token not in str(browser.session.items())
    assert Client().get(f"/share/{token}").status_code == 200


def test_each_recipient_of_the_form_gets_a_link(page_as, report, outbox):
    browser = page_as("uploader")
    emails = "amina@example.org\r\n\r\n baraka@example.org, chiku@example.org"

    browser.post(f"/files/{report.pk}/share", {"permission": "view", "expires_in": "3600", "emails": emails})

    assert {message.to[0] for message in outbox()} == {"amina@example.org", "baraka@example.org", "chiku@example.org"}
    page = text_of(browser.get(f"/files/{report.pk}/"))
    assert "The link for amina@example.org" in page
    assert "3 links are on their way." in page


def test_a_day_of_one_s_choice_is_included(page_as, report, time_machine):
    time_machine.move_to(dt.datetime(2026, 5, 1, 13, 30, tzinfo=dt.UTC), tick=False)

    page_as("uploader").post(
        f"/files/{report.pk}/share", {"permission": "download", "expires_in": "date", "until": "2026-05-03"}
    )

    assert ShareLink.objects.get().expires_at == dt.datetime(2026, 5, 4, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"expires_in": "date"}, "Choose the last day."),
        ({"expires_in": "date", "until": "2020-01-01"}, "A link ends in the future"),
        ({"expires_in": "date", "until": "9999-12-31"}, "at most 366 days"),
        ({"expires_in": "date", "until": "yesterday"}, "Enter a valid date."),
        ({"expires_in": "99"}, "valid choice"),
        ({"permission": "own"}, "valid choice"),
        ({"max_downloads": "0"}, "greater than or equal to 1"),
        ({"max_downloads": "x"}, "whole number"),
        ({"emails": "nobody"}, "valid e-mail address"),
        ({"emails": "\n".join(f"p{n}@example.org" for n in range(51))}, "At most 50 addresses"),
        ({"permission": "view", "max_downloads": "2"}, "no downloads to count"),
        ({"password": "x" * 257}, "at most 256 characters"),
    ],
)
def test_a_form_that_is_wrong_says_where(facts, sentence, page_as, report):
    facts = {"permission": "download", "expires_in": "3600", **facts}

    answer = page_as("uploader").post(f"/files/{report.pk}/share", facts)

    assert answer.status_code == 400
    assert sentence in text_of(answer)
    assert not ShareLink.objects.exists()


def test_the_folder_s_rules_narrow_the_form(page_as, report, company_folder):
    Folder.objects.filter(pk=company_folder.pk).update(share_password_required=True, share_max_days=2)
    browser = page_as("uploader")

    page = text_of(browser.get(f"/files/{report.pk}/"))
    bare = browser.post(f"/files/{report.pk}/share", {"permission": "download", "expires_in": "3600"})

    assert 'value="86400"' in page
    assert 'value="604800"' not in page
    assert bare.status_code == 400
    assert not ShareLink.objects.exists()


@pytest.mark.parametrize(("who", "status"), [("colleague", 403), ("stranger", 404)])
def test_who_may_not_share_sees_no_form(who, status, page_as, report):
    browser = page_as(who)

    answer = browser.post(f"/files/{report.pk}/share", {"permission": "download", "expires_in": "3600"})

    assert answer.status_code == status
    assert b'id="share"' not in browser.get(f"/files/{report.pk}/").content


def test_links_are_listed_with_their_fetches_and_revoked(made, page_as, report):
    one = made(max_downloads=5, emails=["amina@example.org"])
    Client().post(f"/share/{one.token}/download", headers={"User-Agent": "curl/8.5"}, REMOTE_ADDR="192.0.2.9")
    browser = page_as("uploader")

    for path in (f"/files/{report.pk}/", "/shares/"):
        text = text_of(browser.get(path))
        for word in ("amina@example.org", "1 of 5 downloads", "Live", "Revoke"):
            assert word in text
    assert "192.0.2.9" in text_of(browser.get(f"/files/{report.pk}/"))
    assert "curl/8.5" in text_of(browser.get(f"/files/{report.pk}/"))

    answer = browser.post(f"/shares/{one.link.pk}/revoke")

    assert answer["Location"] == "/shares/"
    text = text_of(browser.get("/shares/"))
    assert "Revoked" in text
    assert f"{one.link.pk}/revoke" not in text


def test_the_overview_holds_own_links_only(made, people, page_as, report):
    made(emails=["of.uploader@example.org"])
    made(user=people["super"], emails=["of.super@example.org"])

    text = text_of(page_as("super").get("/shares/"))

    assert "of.super@example.org" in text
    assert "of.uploader@example.org" not in text


@pytest.mark.parametrize("state", ["expired", "used_up", "revoked", "blocked", "live"])
def test_every_state_has_a_word(state, made, people, page_as, company_folder, time_machine):
    one = made(max_downloads=1)
    if state == "expired":
        time_machine.move_to(timezone.now() + 2 * HOUR)
    elif state == "used_up":
        Client().post(f"/share/{one.token}/download")
    elif state == "revoked":
        shares.revoke(user=people["uploader"], share_id=one.link.pk)
    elif state == "blocked":
        Folder.objects.filter(pk=company_folder.pk).update(share_password_required=True)

    words = {"expired": "Expired", "used_up": "Used up", "revoked": "Revoked", "blocked": "Blocked", "live": "Live"}
    assert f">{words[state]}</span>" in text_of(page_as("uploader").get("/shares/"))


def test_pages_cost_the_same_however_many_links(made, page_as, report):
    browser = page_as("uploader")

    def cost(path):
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(path).status_code == 200
        return len(queries)

    def use():
        one = made(max_downloads=3)
        for _ in range(3):
            Client().post(f"/share/{one.token}/download")

    paths = ("/shares/", f"/files/{report.pk}/")
    use()
    [cost(path) for path in paths]
    few = [cost(path) for path in paths]
    for _ in range(12):
        use()

    assert [cost(path) for path in paths] == few


def test_a_share_page_costs_few_queries(made, django_assert_max_num_queries):
    one = made()

    with django_assert_max_num_queries(3):
        Client().get(f"/share/{one.token}", headers=HTML)
