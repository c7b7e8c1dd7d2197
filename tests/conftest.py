"""A cast everybody knows, the ways to ask the portal, and the servers of tests.servers."""

import importlib
from types import SimpleNamespace

import pytest
import redis
from django.apps import apps
from django.core.cache import cache, caches
from django.db import connection
from django.utils import translation
from whitenoise.middleware import WhiteNoiseMiddleware

from accounts import mail, tokens
from accounts.models import Role
from audit import triggers
from config import queue
from fileshare import folders
from fileshare.models import PermissionType
from tests.factories import CompanyFactory, FolderFactory, UserFactory, grant, store_file

# Fixtures: pytest finds them by their name in this module.
from tests.servers import browser_type_launch_args, s3_bucket, s3_server  # noqa: F401
from tests.store_client import ScriptClient

SEEDS = ("accounts.migrations.0002_built_in_roles", "fileshare.migrations.0002_client_documents")


@pytest.fixture(autouse=True, scope="session")
def emptied_log():
    """After a test on real transactions every table is emptied; the log, which refuses that, for once too."""
    operations = type(connection.ops)
    flush = operations.execute_sql_flush

    def execute_sql_flush(self, statements):
        if any(triggers.TABLE in statement for statement in statements):
            with triggers.lifted():
                flush(self, statements)
        else:
            flush(self, statements)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "execute_sql_flush", execute_sql_flush)
        yield


@pytest.fixture(autouse=True, scope="session")
def static_files_found_once():
    """Each test client builds the middleware anew; half of a test's time went into finding the same static files."""
    found, find = {}, WhiteNoiseMiddleware.add_files_from_finders

    def add_files_from_finders(self):
        facts = {name: repr(value) for name, value in vars(self).items() if name != "files"}
        key = str(sorted((name, text) for name, text in facts.items() if " at 0x" not in text))
        if key not in found:
            find(self)
            found[key] = self.files
        self.files = dict(found[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", add_files_from_finders)
        yield


@pytest.fixture(autouse=True)
def seeded(request):
    """What the migrations put in: a test on real transactions has emptied every table behind it."""
    marker = request.node.get_closest_marker("django_db")
    if (marker and marker.kwargs.get("transaction")) or "transactional_db" in request.fixturenames:
        request.getfixturevalue("transactional_db")
        for name in SEEDS:
            importlib.import_module(name).seed(apps, SimpleNamespace(connection=connection))


@pytest.fixture(autouse=True)
def store_of_the_test(request, settings, monkeypatch):
    """A test marked `local` has the local store, processes it starts included, whatever the run is about."""
    if request.node.get_closest_marker("local"):
        monkeypatch.setenv("STORAGE", "local")
        settings.STORAGE, settings.S3_ENDPOINT_URL = "local", ""


@pytest.fixture(autouse=True)
def quick_hashes(settings):
    """Argon2 costs 0.2 s by design; tests of the hashing itself set their own."""
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]


@pytest.fixture(autouse=True)
def english():
    """The language of the last test's last page is not the next test's."""
    translation.activate("en")


@pytest.fixture(autouse=True)
def empty_cache():
    """No count of a rate limit goes from one test to the next."""
    cache.clear()


@pytest.fixture(autouse=True)
def broker_is_back():
    """A broker that was away in one test is another one in the next."""
    queue.outage.ended()


@pytest.fixture
def cache_away(monkeypatch):
    """A cache whose Redis does not answer."""

    def away(*args, **options):
        raise redis.exceptions.ConnectionError

    for name in ("add", "get", "incr", "set"):
        monkeypatch.setattr(type(caches["default"]), name, away)


@pytest.fixture
def people(db):
    """uploader: ops who uploaded the report · colleague: of the folder's company · ops: another of the role
    · client: a client of no company · stranger: of another company · super · off: switched off."""
    company, other = CompanyFactory(name="Baobab", slug="baobab"), CompanyFactory(name="Savanna", slug="savanna")
    return {
        "uploader": UserFactory(email="uploader@example.org", roles=["ops"]),
        "ops": UserFactory(email="ops@example.org", roles=["ops"]),
        "colleague": UserFactory(email="colleague@example.org", roles=["client"], company=company),
        "client": UserFactory(email="client@example.org", roles=["client"]),
        "stranger": UserFactory(email="stranger@example.org", roles=["client"], company=other),
        "super": UserFactory(email="super@example.org", roles=["super"], is_superuser=True, is_staff=True),
        "off": UserFactory(email="off@example.org", roles=["client"], company=company, is_active=False),
    }


@pytest.fixture
def company_folder(people):
    """The folder of the colleague's company, general; the uploader may upload to it and download from it."""
    folder = FolderFactory(name="Baobab", slug="baobab-files", company=people["colleague"].company)
    grant(folder, PermissionType.UPLOAD, user=people["uploader"])
    grant(folder, PermissionType.DOWNLOAD, user=people["uploader"])
    return folder


@pytest.fixture
def documents(people):
    """The seeded Client documents."""
    return folders.documents_folder()


@pytest.fixture
def report(people, company_folder):
    """A .docx in the company folder."""
    return store_file(user=people["uploader"], folder=company_folder, filename="report.docx")


@pytest.fixture
def api_as(people):
    """api_as("client") is an API client with that person's access token; api_as(None) has none."""

    def client_of(who):
        client = ScriptClient()
        if who is not None:
            user = people[who] if isinstance(who, str) else who
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.access_for(user)}")
        return client

    return client_of


@pytest.fixture
def role():
    """role("ops") is the Role."""
    return lambda name: Role.objects.get(name=name)


@pytest.fixture
def commits(django_capture_on_commit_callbacks):
    """`with commits():` runs what waits for the commit, as outside a test."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def outbox(mailoutbox):
    """Send what waits in the outbox and return the messages: outbox()."""

    def send():
        mail.send_waiting()
        return mailoutbox

    return send
