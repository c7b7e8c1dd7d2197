"""Runs every example of docs/api.md, curl and Python alike, against a portal with the demo in it.

A section is one story. Its blocks of one language make one script, after the lines at the top that every example
begins with. The sections run in their order, as a reader would run them. `<!-- check … -->` behind a block holds what
must be true then, in the block's language; `<!-- as super -->` says whose token the section takes.
"""

import io
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from django.core import mail as django_mail
from django.core.management import call_command
from django.db import transaction
from django.urls import resolve
from django.utils import timezone
from django_otp.oath import TOTP
from PIL import Image

from accounts.credentials import api_tokens, passwords
from accounts.models import TotpDevice, User
from accounts.notices import mail
from accounts.scopes import choices_for
from accounts.second_factors import totp
from config.outside import sealing
from fileshare.demo.office_files import docx
from payments.mpesa import callback_records
from tests.factories import PlanFactory
from tests.payments.daraja import simulated  # noqa: F401 - a fixture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.skipif(not shutil.which("curl"), reason="no curl")]

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "api.md"
PIECE = re.compile(
    r"^```(?P<language>bash|python)\n(?P<code>.*?)^```$|^<!-- (?P<word>check|as)(?P<note>.*?)-->$", re.M | re.S
)
LANGUAGES = ("bash", "python")
PART = 5 * 1024 * 1024
# Calls that the document does not explain to its readers, and why.
UNTOLD = {
    "POST /api/mpesa/callback": "M-Pesa calls it: docs/payments.md",
    "POST /api/payments/cb/{secret}": "the same",
}


@dataclass
class Section:
    """One section of the document: its scripts by language, and the user whose token they take."""

    title: str
    who: str = "ops"
    scripts: dict = field(default_factory=lambda: dict.fromkeys(LANGUAGES, ""))


def sections():
    """The Sections of the document. The first one holds the lines that every example begins with."""
    for text in re.split(r"^## ", DOCUMENT.read_text(encoding="utf-8"), flags=re.M):
        section, language = Section(text.split("\n", 1)[0]), None
        for piece in PIECE.finditer(text):
            if piece["word"] == "as":
                section.who = piece["note"].strip()
                continue
            language = piece["language"] or language
            section.scripts[language] += piece["code"] or piece["note"]
        yield section


FIRST, *EXAMPLES = sections()


@pytest.fixture
def portal(transactional_db, seeded, settings, live_server, tmp_path, daraja, monkeypatch):
    """A portal with the demo in it and with small parts, which are quick to send. Payers answer at once."""
    settings.SITE_URL = settings.MPESA_CALLBACK_URL = live_server.url
    settings.EXPOSE_VERIFICATION_LINK = True
    settings.MULTIPART_THRESHOLD_BYTES, settings.PART_SIZE_BYTES = PART, PART
    call_command("seed_demo", stdout=io.StringIO(), stderr=io.StringIO())
    PlanFactory()

    def work(task, *, record_id):
        transaction.on_commit(lambda: callback_records.process_callback(record_id))

    # No worker runs, so what M-Pesa says takes effect right after the commit.
    monkeypatch.setattr(callback_records, "send_after_commit", work)
    (tmp_path / "notes.txt").write_text("Ask about the lease.\n")
    Image.new("RGB", (300, 200), "teal").save(tmp_path / "picture.png")
    (tmp_path / "report.docx").write_bytes(docx("Report", ["All is well."]))
    (tmp_path / "survey.bak").write_bytes(os.urandom(2 * PART + 1000))
    return live_server.url


def token_of(name):
    """An API token of a user of the demo, with every scope that this user may have."""
    user = User.objects.get(email=f"{name}@demo.example")
    scopes = [name for name, _label in choices_for(user)]
    facts = {"user": user, "name": "docs", "scopes": scopes, "expires_at": timezone.now() + timedelta(days=1)}
    return api_tokens.create(**facts)[1]


def code_of(email):
    """Give this user an authenticator app; returns the code that it shows."""
    device = TotpDevice.objects.create(user=User.objects.get(email=email), secret=totp.new_secret())
    app = TOTP(sealing.unseal(totp.PURPOSE, device.secret))
    app.time = timezone.now().timestamp()
    return f"{app.token():06d}"


def link_of_the_letter(email):
    """The link for a new password in the letter to this address."""
    passwords.request_reset(email=email)
    mail.send_waiting()
    letter = next(
        letter for letter in reversed(django_mail.outbox) if letter.to == [email] and "reset-password" in letter.body
    )
    return re.search(r"https?://\S+/reset-password\?token=\S+", letter.body)[0]


def visible_calls():
    """(method, path) of each call that a reader sees, in curl or in a sentence, with ids as the document has them."""
    text = re.sub(r"<!-- check.*?-->", "", DOCUMENT.read_text(encoding="utf-8"), flags=re.S)
    yield from re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/api/[^`\s?]*)", text)
    scripts = "\n".join(re.findall(r"^```bash\n(.*?)^```$", text, re.M | re.S))
    # Replace an id that is taken out of an answer by one word.
    for command in re.sub(r"\$\(json [^()]*\)", "ID", scripts).split("curl ")[1:]:
        command = command.split("\n\n")[0]
        if path := re.search(r"\$B(/api/[^\s\"'?|)]*)", command):
            named = re.search(r"\s-X (\w+)", command)
            sends = re.search(r"\s-[dF]\s", command) and "-G " not in command
            yield named[1] if named else "POST" if sends else "GET", path[1]


def test_every_operation_of_the_schema_is_told_of(client):
    schema = yaml.safe_load(client.get("/api/schema").content)
    operations = {f"{method.upper()} {path}" for path, found in schema["paths"].items() for method in found}
    routes = [(method, resolve(path).route) for method, path in visible_calls()]
    told = {re.sub(r"<str:(\w+)>", r"{\1}", f"{method} /{route}") for method, route in routes}

    assert operations - told == set(UNTOLD)
    assert told <= operations


def test_the_document_has_an_example_in_both_languages_for_each_job():
    assert len(EXAMPLES) > 15
    assert [section.title for section in EXAMPLES if not all(section.scripts.values())] == []


def test_every_example_is_checked():
    text = DOCUMENT.read_text(encoding="utf-8")
    parts = [part.split("\n", 1) for part in text.split("\n## ")[1:]]

    unchecked = [title for title, body in parts if body.count("<!-- check") < len(LANGUAGES)]

    assert unchecked == []


def run(section, language, portal, folder):
    """What an example printed if it failed, otherwise None."""
    script = "\n".join([FIRST.scripts[language], section.scripts[language]])
    script = script.replace("http://127.0.0.1:8000", portal).replace("pat_...", token_of(section.who))
    if "123456" in script:
        script = script.replace("123456", code_of("client@demo.example"))
    if (link := f"{portal}/reset-password?token=...") in script:
        script = script.replace(link, link_of_the_letter("you@example.org"))
    if language == "bash":
        script = f"set -euo pipefail\n{script}"
    file = folder / f"example.{language}"
    file.write_text(script, encoding="utf-8")
    done = subprocess.run(
        [shutil.which("bash") if language == "bash" else sys.executable, file],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return f"{done.stdout[-1500:]}\n{done.stderr[-1500:]}" if done.returncode else None


@pytest.mark.parametrize("language", LANGUAGES)
def test_followed_from_top_to_bottom_every_example_does_what_it_says(language, portal, tmp_path):
    failed = {
        section.title: output
        for section in EXAMPLES
        if (output := run(section, language, portal, tmp_path)) is not None
    }

    assert not failed, "\n\n".join(f"## {title}\n{output}" for title, output in failed.items())
