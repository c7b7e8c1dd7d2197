"""What tests of folders and files share; see tests/conftest.py for the cast."""

from datetime import timedelta

import pytest
from django.utils import timezone

from fileshare.models import PermissionType
from fileshare.storage import get_store
from tests.factories import FolderFactory, grant
from tests.store_client import PageClient


@pytest.fixture(autouse=True)
def own_store(settings, tmp_path):
    """An empty object store to each test: what lies in it is the test's own doing."""
    settings.DATA_DIR = tmp_path
    store = get_store()
    if store.is_remote:
        store.sweep(older_than=timezone.now() + timedelta(days=1))
        for key, _size, _modified in store.list():
            store.delete(key)


@pytest.fixture
def page_as(people):
    """page_as("client") is a browser with that person's session; page_as(None) has none."""

    def client_of(who):
        client = PageClient()
        if who is not None:
            client.force_login(people[who] if isinstance(who, str) else who)
        return client

    return client_of


@pytest.fixture
def inbox(people):
    """A special folder the client may upload to and not download from."""
    folder = FolderFactory(name="Inbox", slug="inbox")
    grant(folder, PermissionType.UPLOAD, user=people["client"])
    return folder


@pytest.fixture
def in_parts(settings):
    """Above 1,000 bytes a file comes in parts of 1,000."""
    settings.MULTIPART_THRESHOLD_BYTES = settings.PART_SIZE_BYTES = 1000
