"""The mail server is away or refuses messages: letters wait in the outbox, and each is sent once."""

import datetime as dt

from tests.faults.mail_server import NEVER, NOT_NOW, TAKE
from tests.faults.portal import eventually


def sign_up(api, name):
    """Make an account of name@example.org."""
    facts = {"email": f"{name}@example.org", "password": "seven green boats", "name": name}
    answer = api.post("/api/auth/signup", json=facts)
    assert answer.status_code == 201, answer.text


def letters(portal):
    """The outbox as {recipient's name: (tries, seconds from its creation to its next try, whether it was sent)}."""
    rows = portal.query('SELECT "to", tries, created_at, next_try_at, sent_at IS NOT NULL FROM accounts_outgoingmail')
    return {
        to.partition("@")[0]: (tries, (moment(later) - moment(begun)).total_seconds(), bool(sent))
        for to, tries, begun, later, sent in rows
    }


def moment(value):
    """A time as a datetime, whichever database returns it."""
    return dt.datetime.fromisoformat(value) if isinstance(value, str) else value


def waits(portal, name):
    """Whether the first try of the letter failed and the next one is more than 20 seconds away."""
    tries, seconds, sent = letters(portal)[name]
    # While a worker sends the letter, next_try_at is five minutes ahead: that is no failed try.
    return tries == 1 and 20 < seconds < 200 and not sent


def test_a_letter_waits_and_goes_once(portal, api):
    line, waiting = portal.lines["mail"], ("line-cut", "refused-for-now", "refused-for-good")
    line.cut()
    sign_up(api, "line-cut")
    eventually(lambda: waits(portal, "line-cut"))
    line.restore()
    for name, answer in (("refused-for-now", NOT_NOW), ("refused-for-good", NEVER)):
        portal.mail.answer = answer
        sign_up(api, name)
        eventually(lambda name=name: waits(portal, name))
    assert portal.mail.refused == 2

    portal.mail.answer = TAKE
    sign_up(api, "at-once")
    eventually(lambda: portal.mail.to("at-once@example.org"))
    assert not any(portal.mail.to(f"{name}@example.org") for name in waiting), "their time has not come"
    # Make the letters due. A test cannot move the portal's clock.
    portal.query("UPDATE accounts_outgoingmail SET next_try_at = created_at WHERE sent_at IS NULL")

    eventually(lambda: all(letters(portal)[name][2] for name in waiting))
    assert [letters(portal)[name][0] for name in waiting] == [2, 2, 2]
    portal.shell("from accounts.notices import mail; mail.send_waiting()")
    for name in (*waiting, "at-once"):
        assert len(portal.mail.to(f"{name}@example.org")) == 1


def test_a_mail_server_that_stands_still_keeps_nobody_waiting(portal, api):
    portal.lines["mail"].freeze()

    sign_up(api, "stands-still")
    assert api.get("/api/fileshare/folders").status_code == 200
    eventually(lambda: letters(portal)["stands-still"][0] == 1)

    portal.lines["mail"].restore()
    eventually(lambda: letters(portal)["stands-still"][2])
    assert len(portal.mail.to("stands-still@example.org")) == 1
