"""PostgreSQL does not answer: clients are told to try again, and the portal recovers when PostgreSQL is back."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.faults.portal import begun, complete, eventually, new_folder, readiness, refusal, send, text_of

pytestmark = [pytest.mark.postgres, pytest.mark.redis, pytest.mark.s3]
PAGES = ("/fileshare/", "/files/", "/notifications", "/profile")


@pytest.fixture
def api(apart):
    with apart.signed_in() as client:
        yield client


def many(count, act):
    """The results of `count` calls of act(), from more threads than the portal has."""
    with ThreadPoolExecutor(24) as pool:
        return list(pool.map(lambda number: act(), range(count)))


def test_without_a_database_everybody_is_told_to_come_again(apart, api):
    folder, body = new_folder(api), text_of(1000)
    transfer = begun(api, folder, body)
    named = send(transfer, body)
    browser = apart.browser()
    assert set(many(40, lambda: api.get("/api/fileshare/folders").status_code)) == {200}

    apart.lines["database"].cut()

    for path in ("/api/fileshare/folders", "/api/users/me", f"/api/fileshare/upload/{transfer['file_id']}"):
        assert refusal(api.get(path)).code == "database_unavailable"
    assert refusal(complete(api, transfer, named)).code == "database_unavailable"
    facts = {"email": "super@example.org", "password": "seven green boats"}
    assert refusal(api.post("/api/auth/login", json=facts)).code == "database_unavailable"
    assert httpx.get(f"{apart.url}/login").status_code == 200, "to show a form nobody has to be asked"
    for path in PAGES:
        page = browser.get(path)
        assert page.status_code == 503, page.text
        assert int(page.headers["Retry-After"]) > 0
        assert "Not available for the moment" in page.text
    assert api.get("/healthz").status_code == 200
    readiness(api, 503, status="unavailable", cache="ok")

    apart.lines["database"].restore()

    assert set(many(40, lambda: api.get("/api/fileshare/folders").status_code)) == {200}
    assert browser.get("/fileshare/").status_code == 200
    readiness(api, 200)
    assert complete(api, transfer, named).status_code == 200
    assert apart.space(folder) == (len(body), 0)
    person = {"email": "after-the-database@example.org", "password": "seven green boats", "name": "Person"}
    assert api.post("/api/auth/signup", json=person).status_code == 201
    eventually(lambda: apart.mail.to(person["email"]))


def test_a_database_that_freezes_costs_a_refusal_within_seconds(apart, api):
    assert set(many(40, lambda: api.get("/api/fileshare/folders").status_code)) == {200}
    apart.lines["database"].freeze()
    start = time.monotonic()

    answers = many(8, lambda: refusal(api.get("/api/fileshare/folders")).code)

    assert set(answers) == {"database_unavailable"}
    assert time.monotonic() - start < 15
    apart.lines["database"].restore()
    eventually(lambda: api.get("/api/fileshare/folders").status_code == 200)


def test_a_database_that_was_started_anew_is_noticed_by_nobody(apart, api):
    """The open connections are dead by then. The portal tries each one before it uses it."""
    assert set(many(40, lambda: api.get("/api/fileshare/folders").status_code)) == {200}

    apart.lines["database"].drop()

    assert set(many(40, lambda: api.get("/api/fileshare/folders").status_code)) == {200}


def test_a_database_lost_in_the_middle_of_requests_is_no_fault_of_the_portal(apart, api):
    folder = new_folder(api)
    over, bodies = threading.Event(), []
    browser = apart.browser()

    def ask():
        statuses = set()
        while not over.is_set():
            statuses.add(api.get(f"/api/fileshare/folders/{folder}/files").status_code)
            statuses.add(browser.get("/fileshare/").status_code)
        return statuses

    def upload():
        sent = 0
        while not over.is_set():
            body = text_of(500)
            facts = {"folder_id": folder, "filename": "a.txt", "size_bytes": len(body), "content_type": "text/plain"}
            answer = api.post("/api/fileshare/upload/initiate", json=facts)
            if answer.status_code == 201:
                named = send(answer.json(), body)
                bodies.append((answer.json(), named))
                sent += complete(api, answer.json(), named).status_code == 200
        return sent

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask) for _ in range(4)]
        sending = [pool.submit(upload) for _ in range(2)]
        for _ in range(8):
            over.wait(0.4)
            apart.lines["database"].cut()
            over.wait(0.2)
            apart.lines["database"].restore()
        over.wait(0.5)
        over.set()

    assert set().union(*(each.result() for each in asked)) <= {200, 503}
    assert sum(each.result() for each in sending) > 0
    for transfer, named in bodies:
        apart.forget_claims()
        assert complete(api, transfer, named).status_code == 200
    # A client whose answer was cut does not know of its upload. The upload keeps its space until it is abandoned.
    ((unknown,),) = apart.query("SELECT count(*) FROM fileshare_upload WHERE folder_id = ?", folder)
    assert apart.space(folder) == (500 * len(bodies), 500 * unknown)
