"""Fixtures of all tests: users, folders, clients, the outbox, and the servers of tests.servers."""

import functools
import importlib
import os
import shutil
from types import SimpleNamespace

import httpx
import pytest
import redis
from botocore.loaders import JSONFileLoader
from django.apps import apps
from django.core.cache import cache, caches
from django.db import connection
from django.test import TransactionTestCase
from django.utils import timezone, translation
from whitenoise.middleware import WhiteNoiseMiddleware

from accounts.credentials import tokens
from accounts.models import Role, User
from accounts.notices import mail
from audit import triggers
from config.outside import queue
from fileshare import folders
from fileshare.models import PermissionType
from tests import migrated
from tests.emptying import empty_tables
from tests.factories import CompanyFactory, FolderFactory, UserFactory, grant, store_file

# Fixtures: pytest finds them by their name in this module.
from tests.servers import browser_type_launch_args, s3_bucket, s3_server  # noqa: F401
from tests.store_client import ScriptClient

SEEDS = ("accounts.migrations.0002_built_in_roles", "fileshare.migrations.0002_client_documents")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix):
    """The tests' database begins as a copy of one with all tables, if this run has made one."""
    test = connection.settings_dict["TEST"]
    if connection.vendor == "postgresql":
        test["TEMPLATE"] = os.environ.get(migrated.POSTGRESQL)
    elif migrated.SQLITE in os.environ:
        shutil.copyfile(os.environ[migrated.SQLITE], test["NAME"])


@pytest.fixture(scope="session")
def django_db_keepdb(request):
    """Keep the database that is there: the copy, or with --reuse-db that of the last run."""
    copied = connection.vendor == "sqlite" and migrated.SQLITE in os.environ
    return copied or request.config.getvalue("reuse_db")


@pytest.fixture(autouse=True, scope="session")
def quickly_emptied():
    """Empty the tables with DELETE after a test on real transactions: Django's way is slower (tests.emptying)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: empty_tables())
        yield


@pytest.fixture(autouse=True, scope="session")
def flushed_log():
    """Let `flush`, which some tests call, empty the audit log too: the log's triggers would refuse it."""
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
    """Find the static files once: each test client builds the middleware again, which took half of a test's time."""
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


@pytest.fixture(autouse=True, scope="session")
def service_models_read_once():
    """Read boto3's service models once: each session parses megabytes of JSON, and tests make hundreds of sessions."""
    read, load_file = {}, JSONFileLoader.load_file

    def load_once(self, path):
        if path not in read:
            read[path] = load_file(self, path)
        return read[path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", load_once)
        yield


@pytest.fixture(autouse=True, scope="session")
def certificates_read_once():
    """Each call of httpx reads the certificates of all authorities anew, though tests talk to loopback."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", functools.cache(httpx.create_ssl_context))
        yield


@pytest.fixture(autouse=True)
def seeded(request):
    """Insert the rows of the migrations: a test on real transactions empties every table when it ends."""
    marker = request.node.get_closest_marker("django_db")
    if (marker and marker.kwargs.get("transaction")) or "transactional_db" in request.fixturenames:
        request.getfixturevalue("transactional_db")
        for name in SEEDS:
            importlib.import_module(name).seed(apps, SimpleNamespace(connection=connection))


@pytest.fixture(autouse=True)
def store_of_the_test(request, settings, monkeypatch):
    """Give a test marked `local`, and the processes it starts, the local store, also in a run on S3."""
    if request.node.get_closest_marker("local"):
        monkeypatch.setenv("STORAGE", "local")
        settings.STORAGE, settings.S3_ENDPOINT_URL = "local", ""


@pytest.fixture(autouse=True)
def quick_hashes(settings):
    """Hash passwords with MD5: Argon2 costs 0.2 s by design. Tests of the hashing itself set their own hashers."""
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]


@pytest.fixture(autouse=True)
def english():
    """Set the language to English: the test before may have left another one."""
    translation.activate("en")


@pytest.fixture(autouse=True)
def empty_cache():
    """Empty the cache, so that no count of a rate limit reaches the next test."""
    cache.clear()


@pytest.fixture(autouse=True)
def broker_is_back():
    """End an outage of the broker that an earlier test has noted."""
    queue.outage.ended()


@pytest.fixture
def cache_away(monkeypatch):
    """A cache whose Redis does not answer."""

    def away(*args, **options):
        raise redis.exceptions.ConnectionError

    for name in ("add", "get", "incr", "set"):
        monkeypatch.setattr(type(caches["default"]), name, away)


@pytest.fixture
def limits_on(settings, time_machine):
    """Switch the rate limits on. The clock stands still, so that no window ends within the test."""
    settings.RATELIMIT_ENABLE = True
    time_machine.move_to(timezone.now(), tick=False)


@pytest.fixture
def people(db):
    """uploader: ops who uploaded the report · colleague: a client of the folder's company · ops: a second ops user
    · client: a client without a company · stranger: of another company · super · off: a switched-off client."""
    company, other = CompanyFactory(name="Baobab", slug="baobab"), CompanyFactory(name="Savanna", slug="savanna")
    cast = {
        "uploader": ("ops", {}),
        "ops": ("ops", {}),
        "colleague": ("client", {"company": company}),
        "client": ("client", {}),
        "stranger": ("client", {"company": other}),
        "super": ("super", {"is_superuser": True, "is_staff": True}),
        "off": ("client", {"company": company, "is_active": False}),
    }
    users = {name: UserFactory.build(email=f"{name}@example.org", **facts) for name, (_, facts) in cast.items()}
    # Two statements instead of thirty: most tests use these users.
    User.objects.bulk_create(users.values())
    ids = dict(Role.objects.values_list("name", "pk"))
    member = User.groups.through
    member.objects.bulk_create(member(user=users[name], group_id=ids[role]) for name, (role, _) in cast.items())
    return users


@pytest.fixture
def company_folder(people):
    """The general folder of the colleague's company. The uploader may upload to it and download from it."""
    folder = FolderFactory(name="Baobab", slug="baobab-files", company=people["colleague"].company)
    grant(folder, PermissionType.UPLOAD, user=people["uploader"])
    grant(folder, PermissionType.DOWNLOAD, user=people["uploader"])
    return folder


@pytest.fixture
def documents(people):
    """The folder "Client documents", which a migration makes."""
    return folders.documents_folder()


@pytest.fixture
def report(people, company_folder):
    """A .docx in the company folder."""
    return store_file(user=people["uploader"], folder=company_folder, filename="report.docx")


@pytest.fixture
def api_as(people):
    """api_as("client") is an API client with that user's access token; api_as(None) has none."""

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
    """`with commits():` runs what waits for the commit, which a test's transaction never reaches."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def outbox(mailoutbox):
    """outbox() sends the waiting mail and returns the messages."""

    def send():
        mail.send_waiting()
        return mailoutbox

    return send
