"""Fixtures for the tests of folders and files; the people are in tests/conftest.py."""

import subprocess
from datetime import timedelta
from types import SimpleNamespace

import pytest
from botocore.client import BaseClient
from botocore.signers import RequestSigner
from django.utils import timezone

from fileshare.models import PermissionType
from fileshare.storage import get_store
from tests.factories import FolderFactory, grant
from tests.store_client import PageClient


@pytest.fixture(scope="session")
def bucket_use():
    """`.seen` is set when anything may have written to a bucket: a call, a signed URL or another process."""
    use = SimpleNamespace(seen=True)

    def noted(function):
        def call(*args, **kwargs):
            use.seen = True
            return function(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in [
            (BaseClient, "_make_api_call"),
            (RequestSigner, "generate_presigned_url"),
            (subprocess.Popen, "__init__"),
        ]:
            patch.setattr(owner, name, noted(getattr(owner, name)))
        yield use


@pytest.fixture(autouse=True)
def own_store(settings, tmp_path, bucket_use):
    """Give each test an empty object store."""
    settings.DATA_DIR = tmp_path
    store = get_store()
    if store.is_remote and bucket_use.seen:
        store.sweep(older_than=timezone.now() + timedelta(days=1))
        for key, _size, _modified in store.list():
            store.delete(key)
        bucket_use.seen = False


@pytest.fixture
def page_as(people):
    """page_as("client") is a browser with that user's session; page_as(None) has no session."""

    def client_of(who):
        client = PageClient()
        if who is not None:
            client.force_login(people[who] if isinstance(who, str) else who)
        return client

    return client_of


@pytest.fixture
def inbox(people):
    """A special folder: the client may upload to it, and not download from it."""
    folder = FolderFactory(name="Inbox", slug="inbox")
    grant(folder, PermissionType.UPLOAD, user=people["client"])
    return folder


@pytest.fixture
def in_parts(settings):
    """Files of more than 1,000 bytes are uploaded in parts of 1,000."""
    settings.MULTIPART_THRESHOLD_BYTES = settings.PART_SIZE_BYTES = 1000
