"""Each role × each endpoint, API and pages. Fails when an endpoint or a method is missing from the tables.

The files and folders are those of Baobab (tests/conftest.py): `colleague` is of that company, `uploader` (ops)
may upload to its folder and uploaded the report, `ops`, `client` and `stranger` have nothing to do with it.
"""

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLPattern, get_resolver

from accounts import tokens
from accounts.models import Role
from fileshare import files, folders, uploads
from fileshare.demo_documents import docx
from fileshare.models import FolderPermission, Tag
from tests.factories import DOCX, CompanyFactory, SubfolderFactory, store_file

pytestmark = pytest.mark.django_db
ROLES = ["nobody", "off", "client", "colleague", "stranger", "ops", "uploader", "super"]

# Shapes of a row, in the order of ROLES.
OPEN = lambda status: [status] * 8  # noqa: E731 (read as a word of the table)
SIGNED_IN = lambda status: [401, 401, *[status] * 6]  # noqa: E731
SUPER = lambda status: [401, 401, 403, 403, 403, 403, 403, status]  # noqa: E731

# Call → statuses for: nobody off · client colleague stranger · ops uploader super.
API = {
    "POST auth/signup": OPEN(201),
    "GET auth/verify-email": OPEN(400),
    "POST auth/login": OPEN(401),
    "POST auth/refresh": OPEN(401),
    "POST auth/logout": OPEN(204),
    "POST auth/forgot-password": OPEN(202),
    "POST auth/reset-password": OPEN(400),
    "GET users/me": SIGNED_IN(200),
    "PUT users/me": SIGNED_IN(200),
    "PATCH users/me": SIGNED_IN(200),
    "POST users/me/avatar": SIGNED_IN(415),
    "GET users/me/files": SIGNED_IN(200),
    "GET users/<str:user_id>": SIGNED_IN(200),
    "GET notifications": SIGNED_IN(200),
    "POST notifications/mark-read": SIGNED_IN(200),
    "GET admin/roles": SUPER(200),
    "POST admin/roles": SUPER(201),
    "GET admin/roles/<str:role_id>": SUPER(200),
    "PUT admin/roles/<str:role_id>": SUPER(200),
    "DELETE admin/roles/<str:role_id>": SUPER(204),
    "GET admin/permissions": SUPER(200),
    "GET admin/users": SUPER(200),
    "PATCH admin/users/<str:user_id>": SUPER(200),
    "GET admin/companies": SUPER(200),
    "POST admin/companies": SUPER(201),
    "PATCH admin/companies/<str:company_id>": SUPER(200),
    "DELETE admin/companies/<str:company_id>": SUPER(204),
    "GET admin/logs": SUPER(200),
    "GET fileshare/audit-logs": SUPER(200),
    "POST ops/upload": [401, 401, 403, 403, 403, 201, 201, 201],
    "GET client/files": SIGNED_IN(200),
    "GET client/download/<str:file_id>": [401, 401, 404, 200, 404, 404, 200, 200],
    "POST files/upload": SIGNED_IN(201),
    "GET files/<str:file_id>": [401, 401, 404, 200, 404, 404, 200, 200],
    "PATCH files/<str:file_id>": [401, 401, 404, 403, 404, 404, 200, 200],
    "DELETE files/<str:file_id>": [401, 401, 404, 403, 404, 404, 204, 204],
    "GET files/search": SIGNED_IN(200),
    "GET files/tags": SIGNED_IN(200),
    "POST files/<str:file_id>/tags": [401, 401, 404, 403, 404, 404, 200, 200],
    "DELETE files/<str:file_id>/tags/<str:tag_id>": [401, 401, 404, 403, 404, 404, 200, 200],
    "GET files/trash": SIGNED_IN(200),
    "DELETE files/trash/<str:file_id>": [401, 401, 404, 404, 404, 404, 204, 204],
    "POST files/<str:file_id>/restore": [401, 401, 404, 404, 404, 404, 200, 200],
    "GET files/<str:file_id>/download": [401, 401, 404, 302, 404, 404, 302, 302],
    "GET fileshare/folders": SIGNED_IN(200),
    "POST fileshare/folders": SUPER(201),
    "GET fileshare/folders/<str:folder_id>": [401, 401, 404, 200, 404, 404, 200, 200],
    "PATCH fileshare/folders/<str:folder_id>": [401, 401, 404, 403, 404, 404, 403, 200],
    "DELETE fileshare/folders/<str:folder_id>": [401, 401, 404, 403, 404, 404, 403, 409],
    "POST fileshare/folders/<str:folder_id>/subfolders": [401, 401, 404, 403, 404, 404, 403, 201],
    "DELETE fileshare/subfolders/<str:subfolder_id>": [401, 401, 404, 403, 404, 404, 403, 204],
    "GET fileshare/folders/<str:folder_id>/permissions": [401, 401, 404, 403, 404, 404, 403, 200],
    "POST fileshare/folders/<str:folder_id>/permissions": [401, 401, 404, 403, 404, 404, 403, 201],
    "DELETE fileshare/permissions/<str:permission_id>": [401, 401, 404, 404, 404, 404, 404, 204],
    "GET fileshare/folders/<str:folder_id>/files": [401, 401, 404, 200, 404, 404, 200, 200],
    "POST fileshare/upload/initiate": [401, 401, 404, 403, 404, 404, 201, 201],
    "POST fileshare/upload/complete": [401, 401, 404, 404, 404, 404, 409, 404],
    "POST fileshare/upload/abort": [401, 401, 404, 404, 404, 404, 204, 404],
    "GET fileshare/upload/<str:file_id>": [401, 401, 404, 404, 404, 404, 200, 404],
    "GET fileshare/uploads": SIGNED_IN(200),
    "POST fileshare/download/<str:file_id>": [401, 401, 404, 200, 404, 404, 200, 200],
    "POST fileshare/download/bulk": [401, 401, 404, 200, 404, 404, 200, 200],
    "GET fileshare/download/bulk/<str:archive_id>": SIGNED_IN(404),
    "DELETE fileshare/files/<str:file_id>": [401, 401, 404, 403, 404, 404, 204, 204],
    "GET schema": OPEN(200),
    "GET docs": OPEN(200),
}

LOGIN_FIRST = lambda status: [302, 302, *[status] * 6]  # noqa: E731
# Page (GET) → statuses; 302 of nobody and off is the way to the log-in.
PAGES = {
    "": OPEN(200),
    "signup": [200, 200, *[302] * 6],
    "login": [200, 200, *[302] * 6],
    "logout": OPEN(405),
    "verify-email": OPEN(400),
    "change-email": OPEN(400),
    "forgot-password": OPEN(200),
    "reset-password": OPEN(400),
    "profile": LOGIN_FIRST(200),
    "avatars/<uuid:user_id>": LOGIN_FIRST(404),
    "notifications": LOGIN_FIRST(200),
    "notifications/mark-read": LOGIN_FIRST(405),
    "fileshare/": LOGIN_FIRST(200),
    "fileshare/<slug:slug>/": [302, 302, 404, 200, 404, 404, 200, 200],
    "fileshare/<slug:slug>/<slug:subfolder_slug>/": [302, 302, 404, 200, 404, 404, 200, 200],
    "fileshare/<slug:slug>/download.zip": LOGIN_FIRST(405),
    "fileshare/<slug:slug>/<slug:subfolder_slug>/download.zip": LOGIN_FIRST(405),
    "files/": LOGIN_FIRST(200),
    "files/download.zip": LOGIN_FIRST(405),
    "files/upload": LOGIN_FIRST(405),
    "files/trash/": LOGIN_FIRST(200),
    "files/<uuid:file_id>/restore": LOGIN_FIRST(405),
    "files/<uuid:file_id>/purge": LOGIN_FIRST(405),
    "files/<uuid:file_id>/": [302, 302, 404, 200, 404, 404, 200, 200],
    "files/<uuid:file_id>/download": [302, 302, 404, 302, 404, 404, 302, 302],
    "files/<uuid:file_id>/delete": LOGIN_FIRST(405),
    "files/<uuid:file_id>/edit": LOGIN_FIRST(405),
    "files/<uuid:file_id>/tags": LOGIN_FIRST(405),
    "files/<uuid:file_id>/tags/<uuid:tag_id>/remove": LOGIN_FIRST(405),
    "search": LOGIN_FIRST(200),
    "secure-download/<str:token>": OPEN(400),
    # A forged token; with a bucket nothing is there at all.
    "store/<str:token>": OPEN(403 if settings.STORAGE == "local" else 404),
    "healthz": OPEN(200),
    "readyz": OPEN(200),
    "favicon.ico": OPEN(302),
    "admin/login/": OPEN(302),
    "admin/": [302, 302, 302, 302, 302, 302, 302, 200],
}
# What only a POST does: pages that change something, and who may.
POSTS = {
    "fileshare/<slug:slug>/download.zip": [302, 302, 404, 200, 404, 404, 200, 200],
    "fileshare/<slug:slug>/<slug:subfolder_slug>/download.zip": [302, 302, 404, 400, 404, 404, 400, 400],
    "logout": OPEN(302),
    "profile": LOGIN_FIRST(302),
    "notifications/mark-read": LOGIN_FIRST(302),
    "files/upload": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/download.zip": [302, 302, 404, 200, 404, 404, 200, 200],
    "files/<uuid:file_id>/delete": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/<uuid:file_id>/edit": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/<uuid:file_id>/tags": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/<uuid:file_id>/tags/<uuid:tag_id>/remove": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/<uuid:file_id>/restore": [302, 302, 404, 404, 404, 404, 302, 302],
    "files/<uuid:file_id>/purge": [302, 302, 404, 404, 404, 404, 302, 302],
}


class World:
    """What the calls of the table are about."""

    def __init__(self, people, folder, report):
        upload = uploads.initiate(
            user=people["uploader"],
            place=uploads.Place(folder, None),
            filename="later.docx",
            size_bytes=100,
            content_type="",
        )
        subfolder = SubfolderFactory(folder=folder, slug="inner")
        tag = Tag.objects.create(name="urgent")
        report.tags.add(tag)
        self.folder = folder
        self.ids = {
            "<str:user_id>": people["stranger"].pk,
            "<uuid:user_id>": people["stranger"].pk,
            "<str:role_id>": Role.objects.create(name="auditor").pk,
            "<str:company_id>": CompanyFactory().pk,
            "<str:file_id>": report.pk,
            "<uuid:file_id>": report.pk,
            "<str:tag_id>": tag.pk,
            "<uuid:tag_id>": tag.pk,
            "<str:folder_id>": folder.pk,
            "<str:subfolder_id>": subfolder.pk,
            "<str:archive_id>": "00000000-0000-4000-8000-000000000000",
            "<str:permission_id>": FolderPermission.objects.filter(folder=folder).first().pk,
            "<slug:slug>": folder.slug,
            "<slug:subfolder_slug>": "inner",
            "<str:token>": "nonsense",
        }
        of_upload = {"file_id": str(upload.pk)}
        trashed = store_file(user=people["uploader"], folder=folder)
        files.delete(user=people["uploader"], file_id=trashed.pk)
        self.special_ids = {
            "GET fileshare/upload/<str:file_id>": upload.pk,
            "DELETE files/trash/<str:file_id>": trashed.pk,
            "POST files/<str:file_id>/restore": trashed.pk,
            "files/<uuid:file_id>/restore": trashed.pk,
            "files/<uuid:file_id>/purge": trashed.pk,
        }
        password = "seven green boats"
        self.bodies = {
            "POST auth/signup": {"email": "new@example.org", "password": password, "name": "New"},
            "POST auth/login": {"email": "nobody@example.org", "password": password},
            "POST auth/refresh": {"refresh": "nonsense"},
            "POST auth/logout": {"refresh": "nonsense"},
            "POST auth/forgot-password": {"email": "nobody@example.org"},
            "POST auth/reset-password": {"token": "nonsense", "new_password": password},
            "PUT users/me": {"name": "New"},
            "PATCH users/me": {"bio": "New"},
            "POST notifications/mark-read": {"all": True},
            "POST admin/roles": {"name": "new"},
            "PUT admin/roles/<str:role_id>": {"name": "new"},
            "PATCH admin/users/<str:user_id>": {"roles": ["client"]},
            "POST admin/companies": {"name": "New"},
            "PATCH admin/companies/<str:company_id>": {"name": "New"},
            "PATCH files/<str:file_id>": {"filename": "new.docx"},
            "POST files/<str:file_id>/tags": {"tags": ["new"]},
            "POST fileshare/folders": {"name": "New"},
            "PATCH fileshare/folders/<str:folder_id>": {"name": "New"},
            "POST fileshare/folders/<str:folder_id>/subfolders": {"name": "New"},
            "POST fileshare/folders/<str:folder_id>/permissions": {"role": "client", "permission_type": "download"},
            "POST fileshare/upload/initiate": {
                "folder_id": str(folder.pk),
                "filename": "new.docx",
                "size_bytes": 100,
                "content_type": "",
            },
            "POST fileshare/download/bulk": {"file_ids": [str(report.pk)]},
            "POST fileshare/upload/complete": of_upload,
            "POST fileshare/upload/abort": of_upload,
        }
        # A form each; the pictures and files in it are told apart by their own tests.
        self.forms = {
            "POST users/me/avatar": lambda: {"avatar": SimpleUploadedFile("x.svg", b"<svg/>")},
            "POST ops/upload": lambda: {"file": a_document()},
            "POST files/upload": lambda: {"file": a_document()},
            "profile": lambda: {"form": "profile", "name": "New"},
            "notifications/mark-read": lambda: {"all": "1"},
            "files/upload": lambda: {"file": a_document(), "folder_id": folder.pk},
            "files/download.zip": lambda: {"ids": [report.pk], "file_ids": [report.pk]},
            "files/<uuid:file_id>/edit": lambda: {"filename": "new.docx"},
            "files/<uuid:file_id>/tags": lambda: {"tags": "new"},
        }

    def path(self, route, call=""):
        """The route with its ids filled in."""
        for name, value in self.ids.items():
            route = route.replace(name, str(self.special_ids.get(call, value)))
        return f"/{route}"


def a_document():
    return SimpleUploadedFile("new.docx", docx("New", ["text"]), DOCX)


@pytest.fixture
def world(people, company_folder, report):
    folders.documents_folder()
    return World(people, company_folder, report)


def cells(table):
    """(call, role, status) for each cell."""
    for call, statuses in table.items():
        for role, status in zip(ROLES, statuses, strict=True):
            yield pytest.param(call, role, status, id=f"{call} · {role}")


def routes(patterns=None, prefix=""):
    """(route, view) of every URL of the portal; the admin's own below its front page are Django's business."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route, pattern.callback
        elif route == "admin/":
            yield route, None
        else:
            yield from routes(pattern.url_patterns, route)


def methods(view):
    """The methods an API view answers to, OPTIONS aside."""
    allowed = view.initkwargs.get("http_method_names", view.cls.http_method_names)
    return [name.upper() for name in allowed if name not in ("options", "head", "trace") and hasattr(view.cls, name)]


def test_every_call_of_the_api_is_in_the_table():
    calls = {
        f"{method} {route.removeprefix('api/')}"
        for route, view in routes()
        if route.startswith("api/")
        for method in methods(view)
    }

    assert calls == set(API)


def test_every_page_is_in_the_table():
    assert {route for route, _view in routes() if not route.startswith("api/")} == set(PAGES)


@pytest.mark.parametrize(("call", "role", "status"), list(cells(API)))
def test_api(call, role, status, world, people):
    method, route = call.split(" ", 1)
    client = Client()
    headers = {} if role == "nobody" else {"Authorization": f"Bearer {tokens.access_for(people[role])}"}
    if call in world.forms:
        data = {"data": world.forms[call]()}
    else:
        data = {"data": world.bodies.get(call, {}), "content_type": "application/json"} if method != "GET" else {}

    response = getattr(client, method.lower())(world.path(f"api/{route}", call), headers=headers, **data)

    assert response.status_code == status, response.content[:300]
    if status >= 400:
        assert {"detail", "code"} <= set(response.json())


@pytest.mark.parametrize(("path", "role", "status"), list(cells(PAGES)))
def test_page(path, role, status, world, people, client):
    if role != "nobody":
        client.force_login(people[role])

    response = client.get(world.path(path))

    assert response.status_code == status
    if status == 302 and PAGES[path][-1] != 302 and role in ("nobody", "off") and not path.startswith("admin/"):
        assert response["Location"].startswith("/login?next=/")


@pytest.mark.parametrize(("path", "role", "status"), list(cells(POSTS)))
def test_post(path, role, status, world, people, client):
    if role != "nobody":
        client.force_login(people[role])

    response = client.post(world.path(path, path), world.forms.get(path, dict)())

    assert response.status_code == status
    if role in ("nobody", "off") and path != "logout":
        assert response["Location"].startswith("/login?next=/")
