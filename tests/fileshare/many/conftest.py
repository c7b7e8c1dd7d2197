"""Folders and files for the tests of many files at once."""

import pytest

from fileshare.models import PermissionType
from tests.factories import FolderFactory, SubfolderFactory, grant, store_file


@pytest.fixture
def target(people):
    """A folder that keeps files for ever; the uploader may upload to it and download from it."""
    folder = FolderFactory(name="Savanna", slug="savanna-files", retention_days=None)
    for kind in (PermissionType.UPLOAD, PermissionType.DOWNLOAD):
        grant(folder, kind, user=people["uploader"])
    return folder


@pytest.fixture
def inner(target):
    """A subfolder of the target."""
    return SubfolderFactory(folder=target, name="Tax", slug="tax")


@pytest.fixture
def three(people, company_folder):
    """a.txt, b.txt and c.txt of the uploader, in the company folder."""
    return [
        store_file(user=people["uploader"], folder=company_folder, filename=f"{name}.txt", content=name.encode() * 100)
        for name in "abc"
    ]


@pytest.fixture
def ask(api_as):
    """ask("move", files, …) is the answer of that call to the uploader, or to `who`."""

    def call(what, files, *, who="uploader", **facts):
        body = {"file_ids": [str(getattr(file, "pk", file)) for file in files]}
        body |= {name: str(value) if name.endswith("_id") else value for name, value in facts.items()}
        return api_as(who).post(f"/api/files/{what}", body)

    return call
