"""One crawl: each role asks for each page and call, in Swahili, and several judges read each answer.

The judges check the status that the tables below give each role, the headers and cookies (tests/judges.py), that no
sentence is left in English, and the shape of a refusal by the API. A test fails if an address or a method is missing
from the tables.

The files and folders belong to Baobab (tests/conftest.py). `colleague` is a client of that company. `uploader` (ops)
may upload to its folder and uploaded the report. `ops`, `client` and `stranger` have no access to it.
"""

import contextlib
import functools
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.utils import timezone

from accounts.credentials import api_tokens, tokens
from accounts.models import Role
from accounts.notices.notifications import notify
from fileshare import files, folders
from fileshare.demo.office_files import docx
from fileshare.incoming import uploads
from fileshare.models import FolderPermission, Tag
from fileshare.requests import file_requests
from fileshare.sharing import shares
from payments.models import Transaction
from tests.factories import DOCX, PASSWORD, CompanyFactory, PlanFactory, SubfolderFactory, store_file
from tests.fakes import documents as samples
from tests.judges import SWAHILI, English, faults_of
from tests.payments.daraja import simulated  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db
ROLES = ["nobody", "off", "client", "colleague", "stranger", "ops", "uploader", "super"]

# Rows that several calls share; the statuses are in the order of ROLES.
OPEN = lambda status: [status] * 8  # noqa: E731 (read as a word of the table)
SIGNED_IN = lambda status: [401, 401, *[status] * 6]  # noqa: E731
SUPER = lambda status: [401, 401, 403, 403, 403, 403, 403, status]  # noqa: E731

# Call → statuses for: nobody off · client colleague stranger · ops uploader super.
API = {
    "POST auth/signup": OPEN(201),
    "GET auth/verify-email": OPEN(400),
    "POST auth/login": OPEN(401),
    "POST auth/login/second-factor": OPEN(401),
    "POST auth/refresh": OPEN(401),
    "POST auth/logout": OPEN(204),
    "POST auth/forgot-password": OPEN(202),
    "POST auth/reset-password": OPEN(400),
    "GET users/me": SIGNED_IN(200),
    "PUT users/me": SIGNED_IN(200),
    "PATCH users/me": SIGNED_IN(200),
    "POST users/me/avatar": SIGNED_IN(200),
    "DELETE users/me/avatar": SIGNED_IN(204),
    "GET users/me/sessions": SIGNED_IN(200),
    "DELETE users/me/sessions/<str:session_id>": [401, 401, 404, 404, 404, 404, 204, 404],
    "GET users/me/files": SIGNED_IN(200),
    "GET users/me/tokens": SIGNED_IN(200),
    "POST users/me/tokens": SIGNED_IN(201),
    "DELETE users/me/tokens/<str:token_id>": [401, 401, 204, 404, 404, 404, 404, 404],
    "GET users/<str:user_id>": SIGNED_IN(200),
    "GET notifications": SIGNED_IN(200),
    "POST notifications/mark-read": SIGNED_IN(200),
    "GET notifications/preferences": SIGNED_IN(200),
    "PUT notifications/preferences": SIGNED_IN(200),
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
    "POST files/tags": [401, 401, 404, 403, 404, 404, 200, 200],
    "POST files/move": [401, 401, 404, 403, 404, 404, 200, 200],
    "POST files/copy": [401, 401, 404, 403, 404, 404, 200, 200],
    "POST files/delete": [401, 401, 404, 403, 404, 404, 200, 200],
    "GET files/trash": SIGNED_IN(200),
    "DELETE files/trash/<str:file_id>": [401, 401, 404, 404, 404, 404, 204, 204],
    "POST files/<str:file_id>/restore": [401, 401, 404, 404, 404, 404, 200, 200],
    "GET files/<str:file_id>/download": [401, 401, 404, 302, 404, 404, 302, 302],
    "GET files/<str:file_id>/share": [401, 401, 404, 403, 404, 404, 200, 200],
    "POST files/<str:file_id>/share": [401, 401, 404, 403, 404, 404, 201, 201],
    "DELETE files/<str:file_id>/share/<str:share_id>": [401, 401, 404, 404, 404, 404, 204, 204],
    "GET shares": SIGNED_IN(200),
    "POST shares": [401, 401, 404, 403, 404, 404, 201, 201],
    "DELETE shares/<str:share_id>": [401, 401, 404, 404, 404, 404, 204, 204],
    "GET file-requests": SIGNED_IN(200),
    "POST file-requests": SIGNED_IN(201),
    "GET file-requests/<str:request_id>": [401, 401, 404, 404, 404, 404, 200, 200],
    "PATCH file-requests/<str:request_id>": [401, 401, 404, 404, 404, 404, 200, 200],
    "DELETE file-requests/<str:request_id>": [401, 401, 404, 404, 404, 404, 204, 204],
    "GET file-requests/<str:request_id>/files": [401, 401, 404, 404, 404, 404, 200, 200],
    "GET fileshare/folders": SIGNED_IN(200),
    "POST fileshare/folders": SUPER(201),
    "GET fileshare/folders/<str:folder_id>": [401, 401, 404, 200, 404, 404, 200, 200],
    "PATCH fileshare/folders/<str:folder_id>": [401, 401, 404, 403, 404, 404, 403, 200],
    "DELETE fileshare/folders/<str:folder_id>": [401, 401, 404, 403, 404, 404, 403, 409],
    "POST fileshare/folders/<str:folder_id>/subfolders": [401, 401, 404, 403, 404, 404, 403, 201],
    "DELETE fileshare/subfolders/<str:subfolder_id>": [401, 401, 404, 403, 404, 404, 403, 204],
    "GET fileshare/folders/<str:folder_id>/permissions": [401, 401, 404, 403, 404, 404, 403, 200],
    "POST fileshare/folders/<str:folder_id>/permissions": [401, 401, 404, 403, 404, 404, 403, 201],
    "DELETE fileshare/permissions/<str:permission_id>": [401, 401, 404, 403, 404, 404, 403, 204],
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
    "GET mpesa/plans": SIGNED_IN(200),
    "POST mpesa/stkpush": [401, 401, 404, 202, 404, 404, 403, 202],
    "GET mpesa/transactions": SIGNED_IN(200),
    "GET mpesa/transactions/<str:transaction_id>": [401, 401, 404, 200, 404, 404, 404, 200],
    "POST mpesa/callback": OPEN(400),
    "POST payments/cb/<str:secret>": OPEN(400),
    "GET schema": OPEN(200),
    "GET docs": OPEN(200),
}

# Pages that a client who is not signed in may POST to.
FOR_EVERYBODY = ("logout", "language", "csp-report", "share/<str:token>/download", "share/<str:token>/unlock")
FOR_EVERYBODY += ("signup", "login", "login/second-factor", "login/passkey", "passkeys/options/<slug:purpose>")
FOR_EVERYBODY += ("verify-email", "change-email", "forgot-password", "reset-password", "invitation")
FOR_EVERYBODY += ("unsubscribe/<str:token>", "favicon.ico")
OF_SENDERS = ("start", "leave", "send", "upload/initiate", "upload/complete", "upload/abort")
FOR_EVERYBODY += tuple(f"request/<str:token>/{call}" for call in OF_SENDERS)
LOGIN_FIRST = lambda status: [302, 302, *[status] * 6]  # noqa: E731
SUPER_PAGE = lambda status: [302, 302, 403, 403, 403, 403, 403, status]  # noqa: E731
OPS_PAGE = lambda status: [302, 302, 403, 403, 403, *[status] * 3]  # noqa: E731
# Each page (GET) and the status that each role gets. For the roles nobody and off, 302 redirects to the log-in page.
PAGES = {
    "": OPEN(200),
    "signup": [200, 200, *[302] * 6],
    "login": [200, 200, *[302] * 6],
    "login/second-factor": OPEN(302),
    "login/passkey": OPEN(405),
    "passkeys/options/<slug:purpose>": OPEN(405),
    "logout": LOGIN_FIRST(200),
    "verify-email": OPEN(400),
    "change-email": OPEN(400),
    "forgot-password": OPEN(200),
    "reset-password": OPEN(400),
    "invitation": OPEN(400),
    "language": OPEN(405),
    "profile": LOGIN_FIRST(200),
    "profile/security": LOGIN_FIRST(200),
    "profile/security/confirm": LOGIN_FIRST(200),
    "profile/security/second-factor": LOGIN_FIRST(200),
    # The user has not just logged in, so the page leads to the one that asks for a proof.
    "profile/security/authenticator": LOGIN_FIRST(302),
    "profile/security/passkeys/add": LOGIN_FIRST(302),
    "profile/security/authenticator/remove": LOGIN_FIRST(405),
    "profile/security/passkeys/<uuid:passkey_id>/remove": LOGIN_FIRST(405),
    "profile/security/recovery-codes": LOGIN_FIRST(405),
    "profile/security/sessions/end-others": LOGIN_FIRST(405),
    "profile/security/sessions/<uuid:session_id>/end": LOGIN_FIRST(405),
    "profile/tokens": LOGIN_FIRST(200),
    "profile/tokens/<uuid:token_id>/revoke": LOGIN_FIRST(405),
    "profile/data": LOGIN_FIRST(200),
    "profile/close": LOGIN_FIRST(200),
    "avatars/<uuid:user_id>": [401, 401, *[404] * 6],
    "notifications": LOGIN_FIRST(200),
    "notifications/mark-read": LOGIN_FIRST(405),
    "notifications/live": OPEN(401),
    "notifications/<uuid:notice_id>/open": [302, 302, 302, 404, 404, 404, 404, 404],
    "profile/notifications": LOGIN_FIRST(200),
    "unsubscribe/<str:token>": OPEN(404),
    "fileshare/": LOGIN_FIRST(200),
    "fileshare/<slug:slug>/": [302, 302, 404, 200, 404, 404, 200, 200],
    "fileshare/<slug:slug>/<slug:subfolder_slug>/": [302, 302, 404, 200, 404, 404, 200, 200],
    "fileshare/<slug:slug>/seen-by": [302, 302, 404, 403, 404, 404, 200, 200],
    "fileshare/<slug:slug>/download.zip": LOGIN_FIRST(405),
    "fileshare/<slug:slug>/<slug:subfolder_slug>/download.zip": LOGIN_FIRST(405),
    "files/": LOGIN_FIRST(200),
    "files/download.zip": LOGIN_FIRST(405),
    "files/upload": LOGIN_FIRST(405),
    "files/move": LOGIN_FIRST(405),
    "files/copy": LOGIN_FIRST(405),
    "files/tag": LOGIN_FIRST(405),
    "files/delete": LOGIN_FIRST(405),
    "files/undo": LOGIN_FIRST(405),
    "files/trash/": LOGIN_FIRST(200),
    "files/<uuid:file_id>/restore": LOGIN_FIRST(405),
    "files/<uuid:file_id>/purge": LOGIN_FIRST(405),
    "files/<uuid:file_id>/": [302, 302, 404, 200, 404, 404, 200, 200],
    "files/<uuid:file_id>/download": [302, 302, 404, 302, 404, 404, 302, 302],
    # A Word document has no preview.
    "files/<uuid:file_id>/preview": [302, 302, 404, 415, 404, 404, 415, 415],
    "files/<uuid:file_id>/share": LOGIN_FIRST(405),
    "files/<uuid:file_id>/share/<uuid:share_id>/revoke": LOGIN_FIRST(405),
    "shares/": LOGIN_FIRST(200),
    # The test names no files.
    "shares/new": LOGIN_FIRST(400),
    "shares/make": LOGIN_FIRST(405),
    "shares/<uuid:share_id>/": [302, 302, 404, 404, 404, 404, 200, 200],
    "shares/<uuid:share_id>/revoke": LOGIN_FIRST(405),
    "shares/<uuid:share_id>/open": [302, 302, 404, 302, 404, 404, 404, 404],
    "share/<str:token>": OPEN(404),
    "share/<str:token>/download": OPEN(404),
    "share/<str:token>/archive/<str:archive_id>": OPEN(404),
    "share/<str:token>/unlock": OPEN(405),
    "share/<str:token>/preview": OPEN(404),
    "files/<uuid:file_id>/delete": LOGIN_FIRST(405),
    "files/<uuid:file_id>/edit": LOGIN_FIRST(405),
    "files/<uuid:file_id>/tags": LOGIN_FIRST(405),
    "files/<uuid:file_id>/tags/<uuid:tag_id>/remove": LOGIN_FIRST(405),
    "requests/": LOGIN_FIRST(200),
    "requests/new": LOGIN_FIRST(200),
    "requests/<uuid:request_id>/": [302, 302, 404, 404, 404, 404, 200, 200],
    "requests/<uuid:request_id>/edit": LOGIN_FIRST(405),
    "requests/<uuid:request_id>/close": LOGIN_FIRST(405),
    "requests/<uuid:request_id>/reopen": LOGIN_FIRST(405),
    "requests/<uuid:request_id>/address": LOGIN_FIRST(405),
    "requests/<uuid:request_id>/invite": LOGIN_FIRST(405),
    "request/<str:token>": OPEN(404),
    "request/<str:token>/receipt": OPEN(404),
    "request/<str:token>/upload/<str:file_id>": OPEN(404),
    **{f"request/<str:token>/{call}": OPEN(405) for call in OF_SENDERS},
    "ops/": OPS_PAGE(200),
    "ops/uploads/": OPS_PAGE(200),
    "ops/uploads/<uuid:file_id>/give-up": OPS_PAGE(405),
    "ops/files/": OPS_PAGE(200),
    "ops/files/<uuid:file_id>/": [302, 302, 403, 403, 403, 404, 200, 200],
    "ops/clients/": OPS_PAGE(200),
    "ops/folders/<uuid:folder_id>/clients/<uuid:user_id>/nudge": OPS_PAGE(405),
    "ops/refusals/": OPS_PAGE(200),
    "clients/": OPS_PAGE(200),
    "clients/new": OPS_PAGE(200),
    "clients/<uuid:company_id>/": [302, 302, 403, 403, 403, 404, 200, 200],
    "clients/people/<uuid:person_id>/": [302, 302, 403, 403, 403, 404, 200, 200],
    **{f"clients/people/<uuid:person_id>/{act}": OPS_PAGE(405) for act in ("invite", "withdraw", "off", "on")},
    "payments/": LOGIN_FIRST(200),
    "payments/plans/<uuid:plan_id>/": LOGIN_FIRST(200),
    "payments/history/": LOGIN_FIRST(200),
    "payments/all/": SUPER_PAGE(200),
    "payments/all/export.csv": SUPER_PAGE(200),
    "payments/review/": SUPER_PAGE(200),
    "payments/revenue/": SUPER_PAGE(200),
    "state/": SUPER_PAGE(200),
    "audit/": SUPER_PAGE(200),
    "audit/export.csv": SUPER_PAGE(200),
    "audit/export.json": SUPER_PAGE(200),
    "payments/<uuid:transaction_id>/": [302, 302, 404, 200, 404, 404, 404, 200],
    "payments/<uuid:transaction_id>/state": [302, 302, 404, 200, 404, 404, 404, 200],
    "payments/<uuid:transaction_id>/receipt": LOGIN_FIRST(404),
    "payments/<uuid:transaction_id>/receipt.pdf": LOGIN_FIRST(404),
    "payments/<uuid:transaction_id>/review": SUPER_PAGE(405),
    "search": LOGIN_FIRST(200),
    "secure-download/<str:token>": OPEN(400),
    # The token is forged. With a bucket there is no such address.
    "store/<str:token>": OPEN(403 if settings.STORAGE == "local" else 404),
    "healthz": OPEN(200),
    "readyz": OPEN(200),
    # Only for this machine or for clients with the token: tests/config/watch/test_metrics.py.
    "metrics": OPEN(404),
    "csp-report": OPEN(405),
    "favicon.ico": OPEN(302),
    "admin/login/": OPEN(302),
    "admin/password_change/": OPEN(302),
    "admin/logout/": LOGIN_FIRST(200),
    "admin/": [302, 302, 302, 302, 302, 302, 302, 200],
}
# Page (POST) → statuses: pages that change something, and pages that answer a POST as they answer a GET.
POSTS = {
    # A user who has logged in is led on, and nothing else happens.
    "signup": [200, 200, *[302] * 6],
    "login": [401, 401, *[302] * 6],
    "login/second-factor": OPEN(302),
    "login/passkey": [401, 401, *[302] * 6],
    "passkeys/options/<slug:purpose>": OPEN(200),
    # These take the token of a letter's link, which is forged here.
    "verify-email": OPEN(400),
    "change-email": OPEN(400),
    "reset-password": OPEN(400),
    "invitation": OPEN(400),
    "unsubscribe/<str:token>": OPEN(404),
    "forgot-password": OPEN(200),
    "favicon.ico": OPEN(302),
    "admin/": [302, 302, 302, 302, 302, 302, 302, 200],
    "admin/login/": OPEN(302),
    "admin/password_change/": OPEN(302),
    "admin/logout/": OPEN(302),
    # The test sends a form, and a report is no form.
    "csp-report": OPEN(415),
    "fileshare/<slug:slug>/download.zip": [302, 302, 404, 200, 404, 404, 200, 200],
    "fileshare/<slug:slug>/<slug:subfolder_slug>/download.zip": [302, 302, 404, 400, 404, 404, 400, 400],
    "logout": OPEN(302),
    "language": OPEN(302),
    "profile": LOGIN_FIRST(302),
    "profile/security": LOGIN_FIRST(400),
    "profile/security/confirm": LOGIN_FIRST(400),
    "profile/security/authenticator": LOGIN_FIRST(302),
    "profile/security/passkeys/add": LOGIN_FIRST(302),
    "profile/security/authenticator/remove": LOGIN_FIRST(302),
    "profile/security/passkeys/<uuid:passkey_id>/remove": LOGIN_FIRST(302),
    "profile/security/recovery-codes": LOGIN_FIRST(302),
    "profile/security/sessions/end-others": LOGIN_FIRST(302),
    "profile/security/sessions/<uuid:session_id>/end": [302, 302, 404, 404, 404, 404, 302, 404],
    # The user must prove their identity first.
    "profile/tokens": LOGIN_FIRST(302),
    "profile/tokens/<uuid:token_id>/revoke": [302, 302, 302, 404, 404, 404, 404, 404],
    "profile/data": LOGIN_FIRST(200),
    # The test leaves out the address that the user must type. test_privacy sends it.
    "profile/close": LOGIN_FIRST(400),
    "notifications/mark-read": LOGIN_FIRST(302),
    "profile/notifications": LOGIN_FIRST(302),
    "files/upload": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/download.zip": [302, 302, 404, 200, 404, 404, 200, 200],
    "files/move": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/copy": [302, 302, 404, 403, 404, 404, 302, 302],
    # Files that somebody may not change are left out, and a message says so.
    "files/tag": LOGIN_FIRST(302),
    "files/delete": LOGIN_FIRST(302),
    "files/undo": LOGIN_FIRST(302),
    "files/<uuid:file_id>/delete": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/<uuid:file_id>/edit": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/<uuid:file_id>/tags": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/<uuid:file_id>/tags/<uuid:tag_id>/remove": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/<uuid:file_id>/share": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/<uuid:file_id>/share/<uuid:share_id>/revoke": [302, 302, 404, 404, 404, 404, 302, 302],
    "shares/new": [302, 302, 404, 403, 404, 404, 200, 200],
    "shares/make": [302, 302, 404, 403, 404, 404, 302, 302],
    "shares/<uuid:share_id>/revoke": [302, 302, 404, 404, 404, 404, 302, 302],
    "share/<str:token>/download": OPEN(404),
    "share/<str:token>/unlock": OPEN(404),
    "files/<uuid:file_id>/restore": [302, 302, 404, 404, 404, 404, 302, 302],
    "files/<uuid:file_id>/purge": [302, 302, 404, 404, 404, 404, 302, 302],
    "ops/uploads/<uuid:file_id>/give-up": [302, 302, 403, 403, 403, 404, 302, 302],
    "ops/folders/<uuid:folder_id>/clients/<uuid:user_id>/nudge": [302, 302, 403, 403, 403, 404, 302, 302],
    "clients/new": OPS_PAGE(400),
    "clients/<uuid:company_id>/": [302, 302, 403, 403, 403, 404, 400, 400],
    **{
        f"clients/people/<uuid:person_id>/{act}": [302, 302, 403, 403, 403, 404, 302, 302]
        for act in ("invite", "withdraw", "off", "on")
    },
    "payments/plans/<uuid:plan_id>/": LOGIN_FIRST(302),
    "payments/<uuid:transaction_id>/review": SUPER_PAGE(302),
    "requests/new": LOGIN_FIRST(302),
    "requests/<uuid:request_id>/edit": [302, 302, 404, 404, 404, 404, 302, 302],
    "requests/<uuid:request_id>/close": [302, 302, 404, 404, 404, 404, 302, 302],
    "requests/<uuid:request_id>/reopen": [302, 302, 404, 404, 404, 404, 302, 302],
    "requests/<uuid:request_id>/address": [302, 302, 404, 404, 404, 404, 302, 302],
    "requests/<uuid:request_id>/invite": [302, 302, 404, 404, 404, 404, 302, 302],
    **{f"request/<str:token>/{call}": OPEN(404) for call in OF_SENDERS},
}


class World:
    """The rows that the calls and pages of the tables are about."""

    def __init__(self, people, folder, report):
        upload = uploads.initiate(
            user=people["uploader"],
            place=uploads.Place(folder, None),
            filename="later.docx",
            size_bytes=100,
            content_type="",
        )
        subfolder = SubfolderFactory(folder=folder, slug="inner")
        session = people["uploader"].sessions.create(
            key_hash="x", session_data="", expire_date=timezone.now() + timedelta(days=1)
        )
        tag = Tag.objects.create(name="urgent")
        report.tags.add(tag)
        token, _raw = api_tokens.create(
            user=people["client"],
            name="script",
            scopes=["files:read"],
            expires_at=timezone.now() + timedelta(days=30),
        )
        plan = PlanFactory()
        payment = Transaction.objects.create(
            user=people["colleague"],
            plan=plan,
            plan_name=plan.name,
            amount=plan.amount,
            extra_bytes=plan.extra_bytes,
            days=plan.days,
            folder=folder,
            folder_name=folder.name,
            phone_number="254711111111",
            status="needs_review",
            review_reason="no_answer",
        )
        self.folder = folder
        self.ids = {
            "<uuid:plan_id>": plan.pk,
            "<str:transaction_id>": payment.pk,
            "<uuid:transaction_id>": payment.pk,
            "<str:secret>": "nonsense",
            "<str:session_id>": session.pk,
            "<uuid:session_id>": session.pk,
            "<uuid:passkey_id>": people["stranger"].passkeys.create(name="x", credential_id="x", public_key=b"x").pk,
            "<slug:purpose>": "login",
            "<str:user_id>": people["stranger"].pk,
            "<uuid:user_id>": people["stranger"].pk,
            "<str:role_id>": Role.objects.create(name="auditor").pk,
            "<str:company_id>": CompanyFactory().pk,
            "<uuid:company_id>": people["colleague"].company_id,
            "<uuid:person_id>": people["colleague"].pk,
            "<str:file_id>": report.pk,
            "<uuid:file_id>": report.pk,
            "<str:tag_id>": tag.pk,
            "<str:token_id>": token.pk,
            "<uuid:token_id>": token.pk,
            "<uuid:tag_id>": tag.pk,
            "<str:folder_id>": folder.pk,
            "<uuid:folder_id>": folder.pk,
            "<str:subfolder_id>": subfolder.pk,
            "<str:archive_id>": "00000000-0000-4000-8000-000000000000",
            "<str:permission_id>": FolderPermission.objects.filter(folder=folder).first().pk,
            "<slug:slug>": folder.slug,
            "<uuid:notice_id>": notify(people["client"], "folder_granted", folder="x").pk,
            "<slug:subfolder_slug>": "inner",
            "<str:token>": "nonsense",
        }
        hour, to = timedelta(hours=1), [people["colleague"].email]
        made = shares.create(
            user=people["uploader"], file_id=report.pk, permission="download", expires_in=hour, emails=to
        )
        self.ids["<str:share_id>"] = self.ids["<uuid:share_id>"] = made[0].link.pk
        asked = {"title": "Statements", "max_files": 3, "max_bytes": 10**6}
        deadline = timezone.now() + timedelta(days=1)
        wanted = file_requests.create(
            user=people["uploader"], folder_id=folder.pk, deadline=deadline, **asked, asks_name=True
        )
        self.ids["<str:request_id>"] = self.ids["<uuid:request_id>"] = wanted.pk
        of_upload = {"file_id": str(upload.pk)}
        trashed = store_file(user=people["uploader"], folder=folder)
        files.delete(user=people["uploader"], file_id=trashed.pk)
        self.special_ids = {
            "ops/uploads/<uuid:file_id>/give-up": upload.pk,
            "ops/folders/<uuid:folder_id>/clients/<uuid:user_id>/nudge": {"<uuid:user_id>": people["colleague"].pk},
            "GET fileshare/upload/<str:file_id>": upload.pk,
            "DELETE files/trash/<str:file_id>": trashed.pk,
            "POST files/<str:file_id>/restore": trashed.pk,
            "files/<uuid:file_id>/restore": trashed.pk,
            "files/<uuid:file_id>/purge": trashed.pk,
        }
        password = "seven green boats"
        inner = {"folder_id": str(folder.pk), "subfolder_id": str(subfolder.pk)}
        self.bodies = {
            "POST auth/signup": {"email": "new@example.org", "password": password, "name": "New"},
            "POST auth/login": {"email": "nobody@example.org", "password": password},
            "POST auth/login/second-factor": {"mfa_token": "nonsense", "code": "123456"},
            "POST auth/refresh": {"refresh": "nonsense"},
            "POST auth/logout": {"refresh": "nonsense"},
            "POST auth/forgot-password": {"email": "nobody@example.org"},
            "POST auth/reset-password": {"token": "nonsense", "new_password": password},
            "PUT users/me": {"name": "New"},
            "PATCH users/me": {"bio": "New"},
            "POST notifications/mark-read": {"all": True},
            "PUT notifications/preferences": {"mail": {"folder_upload": "digest"}},
            "POST users/me/tokens": {
                "name": "new",
                "scopes": ["files:read"],
                "expires_in_days": 30,
                "password": PASSWORD,
            },
            "POST admin/roles": {"name": "new"},
            "PUT admin/roles/<str:role_id>": {"name": "new"},
            "PATCH admin/users/<str:user_id>": {"roles": ["client"]},
            "POST admin/companies": {"name": "New"},
            "PATCH admin/companies/<str:company_id>": {"name": "New"},
            "PATCH files/<str:file_id>": {"filename": "new.docx"},
            "POST files/<str:file_id>/tags": {"tags": ["new"]},
            "POST files/tags": {"file_ids": [str(report.pk)], "tags": ["new"]},
            "POST files/move": {"file_ids": [str(report.pk)], **inner},
            "POST files/copy": {"file_ids": [str(report.pk)], **inner},
            "POST files/delete": {"file_ids": [str(report.pk)]},
            "POST files/<str:file_id>/share": {"permission": "download", "expires_in": 3600, "password": "new"},
            "POST shares": {"file_ids": [str(report.pk)], "permission": "download", "expires_in": 3600},
            "POST file-requests": {**asked, "deadline": deadline.isoformat()},
            "PATCH file-requests/<str:request_id>": {"title": "New"},
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
            "POST mpesa/stkpush": {
                "phone_number": "0712345678",
                "plan_id": str(plan.pk),
                "folder_id": str(folder.pk),
            },
        }
        # The form data of a call or page.
        self.forms = {
            "POST users/me/avatar": lambda: {"avatar": SimpleUploadedFile("me.png", samples.png())},
            "POST ops/upload": lambda: {"file": a_document()},
            "POST files/upload": lambda: {"file": a_document()},
            "signup": lambda: {"email": "new@example.org", "password": password, "name": "New"},
            "login": lambda: {"email": "nobody@example.org", "password": password},
            "login/passkey": lambda: {"passkey": "{}"},
            "verify-email": lambda: {"token": "nonsense"},
            "change-email": lambda: {"token": "nonsense"},
            "reset-password": lambda: {"token": "nonsense", "new_password": password},
            "invitation": lambda: {"token": "nonsense", "new_password": password},
            "forgot-password": lambda: {"email": "client@example.org"},
            "language": lambda: {"language": "sw"},
            "profile": lambda: {"form": "profile", "name": "New"},
            "profile/tokens": lambda: {"name": "new", "scopes": ["files:read"], "lifetime": "30"},
            "profile/data": lambda: {"password": PASSWORD},
            "notifications/mark-read": lambda: {"all": "1"},
            "profile/notifications": lambda: {"mail-folder_upload": "digest"},
            "files/upload": lambda: {"file": a_document(), "folder_id": folder.pk},
            "files/download.zip": lambda: {"ids": [report.pk], "file_ids": [report.pk]},
            "files/move": lambda: {"file_ids": [report.pk], "place": f"{folder.pk}/{subfolder.pk}"},
            "files/copy": lambda: {"file_ids": [report.pk], "place": f"{folder.pk}/{subfolder.pk}"},
            "files/tag": lambda: {"file_ids": [report.pk], "tags": "new"},
            "files/delete": lambda: {"file_ids": [report.pk]},
            "files/<uuid:file_id>/edit": lambda: {"filename": "new.docx"},
            "files/<uuid:file_id>/tags": lambda: {"tags": "new"},
            "payments/plans/<uuid:plan_id>/": lambda: {"phone_number": "0712345678"},
            "payments/<uuid:transaction_id>/review": lambda: {"decision": "approve"},
            "requests/new": lambda: {
                "place": "own",
                "type_policy": "folder",
                "title": "New",
                "deadline": f"{deadline:%Y-%m-%dT%H:%M}",
                "max_files": 1,
                "max_megabytes": 1,
            },
            "requests/<uuid:request_id>/edit": lambda: {
                "type_policy": "folder",
                "title": "New",
                "deadline": f"{deadline:%Y-%m-%dT%H:%M}",
                "max_files": 1,
                "max_megabytes": 1,
            },
            "requests/<uuid:request_id>/invite": lambda: {"emails": "new@example.org"},
            "shares/new": lambda: {"file_ids": [report.pk]},
            "shares/make": lambda: {"file_ids": [report.pk], "permission": "download", "expires_in": "3600"},
            "files/<uuid:file_id>/share": lambda: {"permission": "download", "expires_in": "3600"},
        }

    def path(self, route, call=""):
        """The route with its ids filled in."""
        special = self.special_ids.get(call, {})
        for name, value in self.ids.items():
            other = special.get(name, value) if isinstance(special, dict) else special
            route = route.replace(name, str(other))
        return f"/{route}"


def a_document():
    return SimpleUploadedFile("new.docx", docx("New", ["text"]), DOCX)


@pytest.fixture
def world(people, company_folder, report, daraja, settings):
    # Passkeys need an address with a name.
    settings.SITE_URL = "http://localhost:8000"
    folders.documents_folder()
    return World(people, company_folder, report)


def in_groups(routes):
    """{first word of the address: its routes}. One test asks for all routes of a group."""
    groups = {}
    for route in routes:
        groups.setdefault(route.split(" ")[-1].split("/")[0] or "home", []).append(route)
    return groups


def of_groups(routes):
    """Makes one test for each group; the test gets the group's routes as `asked`."""
    groups = in_groups(routes)
    return pytest.mark.parametrize("asked", groups.values(), ids=groups.keys())


class Findings:
    """The objections of the judges, as readable lines."""

    def __init__(self):
        self.lines = []

    def judge(self, what, response):
        path = response.request["PATH_INFO"]
        faults = faults_of(response, path) if path != "/metrics" else []
        # The API's reference is in English only, as its field names are.
        faults += english().in_answer(response) if path != "/api/docs" else []
        for fault in faults:
            self.lines.append(f"{what} → {response.status_code}: {fault}")

    def compare(self, what, found, statuses):
        """Note each role whose status differs from its row, with the answer's text."""
        for (role, response), status in zip(found.items(), statuses, strict=True):
            if response.status_code != status:
                said = "" if response.streaming else response.content[:300].decode(errors="replace")
                self.lines.append(f"{what} by {role}: {response.status_code}, not {status}: {said}")
            self.judge(f"{what} by {role}", response)

    def none(self):
        return not self.lines, "\n".join(self.lines)


@functools.cache
def english():
    return English()


@contextlib.contextmanager
def undone():
    """Roll back the changes of the block, so that the next role finds the same rows."""
    cache.clear()
    block = transaction.atomic()
    # Mark the block as Django's test cases mark theirs. Otherwise it could contain no durable block.
    block._from_testcase = True
    with block:
        yield
        transaction.set_rollback(True)


def answers(ask):
    """{role: ask(client, role)} of each role, each with the same rows."""
    found = {}
    for role in ROLES:
        with undone():
            found[role] = ask(Client(headers=SWAHILI), role)
    return found


def signed_in(client, people, role):
    """The client with a session of that role's user."""
    if role != "nobody":
        client.force_login(people[role])
    return client


def routes(patterns=None, prefix=""):
    """(route, view) of every URL of the portal. The admin is one of them: tests/test_admin.py has its pages."""
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


@pytest.mark.once
def test_every_page_that_takes_a_post_is_in_the_table(world, people):
    taken = set()
    for path in PAGES:
        with undone():
            # Ask as super: other refusals would come before the view says that it knows no POST.
            answer = signed_in(Client(), people, "super").post(world.path(path, path), world.forms.get(path, dict)())
        if answer.status_code != 405:
            taken.add(path)

    assert taken == set(POSTS)


@of_groups(API)
def test_api(asked, world, people):
    findings, refusals = Findings(), {}
    for call in asked:
        found = answers(lambda client, role, call=call: ask_the_api(client, call, role, world, people))
        findings.compare(call, found, API[call])
        for role, response in found.items():
            if response.status_code >= 400:
                said = response.json()
                refusals.setdefault((response.status_code, str(said)), (call, role, said))
                if not {"detail", "code"} <= set(said):
                    findings.lines.append(f"{call} by {role}: {said}")
    for call, role, swahili in refusals.values():
        with undone():
            said = ask_the_api(Client(headers={"Accept-Language": "en"}), call, role, world, people).json()
        same = said["detail"] == swahili["detail"]
        if same or said["code"] != swahili["code"] or said.get("errors", {}).keys() != swahili.get("errors", {}).keys():
            findings.lines.append(f"{call} by {role}: {said} in English, {swahili} in Swahili")

    fine, words = findings.none()
    assert fine, words


def ask_the_api(client, call, role, world, people):
    method, route = call.split(" ", 1)
    headers = {} if role == "nobody" else {"Authorization": f"Bearer {tokens.access_for(people[role])}"}
    if call in world.forms:
        data = {"data": world.forms[call]()}
    else:
        data = {"data": world.bodies.get(call, {}), "content_type": "application/json"} if method != "GET" else {}
    return getattr(client, method.lower())(world.path(f"api/{route}", call), headers=headers, **data)


@of_groups(PAGES)
def test_page(asked, world, people):
    findings = Findings()
    for path in asked:
        found = answers(lambda client, role, path=path: signed_in(client, people, role).get(world.path(path)))
        findings.compare(path, found, PAGES[path])
        for role in ("nobody", "off"):
            response = found[role]
            led_on = path in FOR_EVERYBODY or path.startswith("admin/")
            refused = response.status_code == 302 and PAGES[path][-1] != 302 and not led_on
            if refused and not response["Location"].startswith("/login?next=/"):
                findings.lines.append(f"{path} leads {role} to {response['Location']}")

    fine, words = findings.none()
    assert fine, words


@of_groups(POSTS)
def test_post(asked, world, people):
    findings = Findings()

    def post(client, role, path, form):
        """The answer. A page that it leads to is judged as well."""
        response = signed_in(client, people, role).post(world.path(path, path), form)
        if response.status_code == 302 and response["Location"].startswith("/") and path != "language":
            findings.judge(f"{path} by {role} → {response['Location']}", client.get(response["Location"]))
        return response

    for path in asked:
        form = world.forms.get(path, dict)
        found = answers(lambda client, role, path=path, form=form: post(client, role, path, form()))
        findings.compare(f"POST {path}", found, POSTS[path])
        for role in ("colleague", "uploader", "super") if path in world.forms else ():
            with undone():
                findings.judge(f"POST {path}, empty, by {role}", post(Client(headers=SWAHILI), role, path, {}))

    fine, words = findings.none()
    assert fine, words
