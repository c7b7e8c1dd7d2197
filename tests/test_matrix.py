"""Each role × each endpoint, API and pages. Fails when an endpoint or a method is missing from the tables.

The files and folders are those of Baobab (tests/conftest.py): `colleague` is of that company, `uploader` (ops)
may upload to its folder and uploaded the report, `ops`, `client` and `stranger` have nothing to do with it.
"""

from datetime import timedelta

import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.utils import timezone

from accounts import api_tokens, tokens
from accounts.models import Role
from accounts.notifications import notify
from fileshare import file_requests, files, folders, shares, uploads
from fileshare.demo_documents import docx
from fileshare.models import FolderPermission, Tag
from payments.models import Transaction
from tests.factories import DOCX, PASSWORD, CompanyFactory, PlanFactory, SubfolderFactory, store_file
from tests.payments.daraja import simulated  # noqa: F401 - a fixture

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
    "POST auth/login/second-factor": OPEN(401),
    "POST auth/refresh": OPEN(401),
    "POST auth/logout": OPEN(204),
    "POST auth/forgot-password": OPEN(202),
    "POST auth/reset-password": OPEN(400),
    "GET users/me": SIGNED_IN(200),
    "PUT users/me": SIGNED_IN(200),
    "PATCH users/me": SIGNED_IN(200),
    "POST users/me/avatar": SIGNED_IN(415),
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
    "GET files/trash": SIGNED_IN(200),
    "DELETE files/trash/<str:file_id>": [401, 401, 404, 404, 404, 404, 204, 204],
    "POST files/<str:file_id>/restore": [401, 401, 404, 404, 404, 404, 200, 200],
    "GET files/<str:file_id>/download": [401, 401, 404, 302, 404, 404, 302, 302],
    "GET files/<str:file_id>/share": [401, 401, 404, 403, 404, 404, 200, 200],
    "POST files/<str:file_id>/share": [401, 401, 404, 403, 404, 404, 201, 201],
    "DELETE files/<str:file_id>/share/<str:share_id>": [401, 401, 404, 404, 404, 404, 204, 204],
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

# What somebody who is not signed in may post.
FOR_EVERYBODY = ("logout", "language", "csp-report", "share/<str:token>/download", "share/<str:token>/unlock")
FOR_EVERYBODY += ("signup", "login", "login/second-factor", "login/passkey", "passkeys/options/<slug:purpose>")
FOR_EVERYBODY += ("verify-email", "change-email", "forgot-password", "reset-password", "invitation")
FOR_EVERYBODY += ("unsubscribe/<str:token>", "favicon.ico")
OF_SENDERS = ("start", "leave", "send", "upload/initiate", "upload/complete", "upload/abort")
FOR_EVERYBODY += tuple(f"request/<str:token>/{call}" for call in OF_SENDERS)
LOGIN_FIRST = lambda status: [302, 302, *[status] * 6]  # noqa: E731
SUPER_PAGE = lambda status: [302, 302, 403, 403, 403, 403, 403, status]  # noqa: E731
OPS_PAGE = lambda status: [302, 302, 403, 403, 403, *[status] * 3]  # noqa: E731
# Page (GET) → statuses; 302 of nobody and off is the way to the log-in.
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
    # To whoever has not just logged in: the way to prove it again.
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
    "avatars/<uuid:user_id>": LOGIN_FIRST(404),
    "notifications": LOGIN_FIRST(200),
    "notifications/mark-read": LOGIN_FIRST(405),
    "notifications/live": OPEN(401),
    "notifications/<uuid:notice_id>/open": [302, 302, 302, 404, 404, 404, 404, 404],
    "profile/notifications": LOGIN_FIRST(200),
    "unsubscribe/<str:token>": OPEN(404),
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
    # A Word document has no preview.
    "files/<uuid:file_id>/preview": [302, 302, 404, 415, 404, 404, 415, 415],
    "files/<uuid:file_id>/share": LOGIN_FIRST(405),
    "files/<uuid:file_id>/share/<uuid:share_id>/revoke": LOGIN_FIRST(405),
    "shares/": LOGIN_FIRST(200),
    "shares/<uuid:share_id>/open": [302, 302, 404, 302, 404, 404, 404, 404],
    "share/<str:token>": OPEN(404),
    "share/<str:token>/download": OPEN(404),
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
    "payments/": LOGIN_FIRST(200),
    "payments/plans/<uuid:plan_id>/": LOGIN_FIRST(200),
    "payments/history/": LOGIN_FIRST(200),
    "payments/all/": SUPER_PAGE(200),
    "payments/all/export.csv": SUPER_PAGE(200),
    "payments/review/": SUPER_PAGE(200),
    "payments/revenue/": SUPER_PAGE(200),
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
    # A forged token; with a bucket nothing is there at all.
    "store/<str:token>": OPEN(403 if settings.STORAGE == "local" else 404),
    "healthz": OPEN(200),
    "readyz": OPEN(200),
    # For this very machine or whoever has the token: tests/config/test_metrics.py.
    "metrics": OPEN(404),
    "csp-report": OPEN(405),
    "favicon.ico": OPEN(302),
    "admin/login/": OPEN(302),
    "admin/password_change/": OPEN(302),
    "admin/logout/": LOGIN_FIRST(200),
    "admin/": [302, 302, 302, 302, 302, 302, 302, 200],
}
# What a POST does: pages that change something, and who may; and those that answer one as they do a GET.
POSTS = {
    # Who has logged in is led on, and nothing else is done.
    "signup": [200, 200, *[302] * 6],
    "login": [401, 401, *[302] * 6],
    "login/second-factor": OPEN(302),
    "login/passkey": [401, 401, *[302] * 6],
    "passkeys/options/<slug:purpose>": OPEN(200),
    # By a letter's link, here a forged one.
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
    # A form, which no report is.
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
    # Asked first who sits there.
    "profile/tokens": LOGIN_FIRST(302),
    "profile/tokens/<uuid:token_id>/revoke": [302, 302, 302, 404, 404, 404, 404, 404],
    "profile/data": LOGIN_FIRST(200),
    # Without the address typed by hand; what it does with it is told in test_privacy.
    "profile/close": LOGIN_FIRST(400),
    "notifications/mark-read": LOGIN_FIRST(302),
    "profile/notifications": LOGIN_FIRST(302),
    "files/upload": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/download.zip": [302, 302, 404, 200, 404, 404, 200, 200],
    "files/<uuid:file_id>/delete": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/<uuid:file_id>/edit": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/<uuid:file_id>/tags": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/<uuid:file_id>/tags/<uuid:tag_id>/remove": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/<uuid:file_id>/share": [302, 302, 404, 403, 404, 404, 302, 302],
    "files/<uuid:file_id>/share/<uuid:share_id>/revoke": [302, 302, 404, 404, 404, 404, 302, 302],
    "share/<str:token>/download": OPEN(404),
    "share/<str:token>/unlock": OPEN(404),
    "files/<uuid:file_id>/restore": [302, 302, 404, 404, 404, 404, 302, 302],
    "files/<uuid:file_id>/purge": [302, 302, 404, 404, 404, 404, 302, 302],
    "ops/uploads/<uuid:file_id>/give-up": [302, 302, 403, 403, 403, 404, 302, 302],
    "ops/folders/<uuid:folder_id>/clients/<uuid:user_id>/nudge": [302, 302, 403, 403, 403, 404, 302, 302],
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
            "POST files/<str:file_id>/share": {"permission": "download", "expires_in": 3600, "password": "new"},
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
        # A form each; the pictures and files in it are told apart by their own tests.
        self.forms = {
            "POST users/me/avatar": lambda: {"avatar": SimpleUploadedFile("x.svg", b"<svg/>")},
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
    # At an address without a name there are no passkeys.
    settings.SITE_URL = "http://localhost:8000"
    folders.documents_folder()
    return World(people, company_folder, report)


def answers(people, ask):
    """{role: ask(client, role)} of everybody, each in the same world: what one of them changes is taken back."""
    found = {}
    for role in ROLES:
        cache.clear()
        with transaction.atomic():
            found[role] = ask(Client(), role)
            transaction.set_rollback(True)
    return found


def signed_in(client, people, role):
    """The client with that person's session."""
    if role != "nobody":
        client.force_login(people[role])
    return client


def assert_statuses(found, statuses):
    """Everybody got what the row says; a failure shows both rows, and why."""
    expected = dict(zip(ROLES, statuses, strict=True))
    surprising = {
        role: response.content[:300] if not response.streaming else response.status_code
        for role, response in found.items()
        if response.status_code != expected[role]
    }
    assert {role: response.status_code for role, response in found.items()} == expected, surprising


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


@pytest.mark.once
def test_every_page_that_takes_a_post_is_in_the_table(world, people):
    taken = set()
    for path in PAGES:
        cache.clear()
        with transaction.atomic():
            # A super meets no other refusal before a view is asked which methods it knows.
            answer = signed_in(Client(), people, "super").post(world.path(path, path), world.forms.get(path, dict)())
            transaction.set_rollback(True)
        if answer.status_code != 405:
            taken.add(path)

    assert taken == set(POSTS)


@pytest.mark.parametrize("call", API)
def test_api(call, world, people):
    method, route = call.split(" ", 1)

    def ask(client, role):
        headers = {} if role == "nobody" else {"Authorization": f"Bearer {tokens.access_for(people[role])}"}
        if call in world.forms:
            data = {"data": world.forms[call]()}
        else:
            data = {"data": world.bodies.get(call, {}), "content_type": "application/json"} if method != "GET" else {}
        return getattr(client, method.lower())(world.path(f"api/{route}", call), headers=headers, **data)

    found = answers(people, ask)

    assert_statuses(found, API[call])
    for response in found.values():
        if response.status_code >= 400:
            assert {"detail", "code"} <= set(response.json())


@pytest.mark.parametrize("path", PAGES)
def test_page(path, world, people):
    found = answers(people, lambda client, role: signed_in(client, people, role).get(world.path(path)))

    assert_statuses(found, PAGES[path])
    for role in ("nobody", "off"):
        response = found[role]
        led_on = path in FOR_EVERYBODY or path.startswith("admin/")
        if response.status_code == 302 and PAGES[path][-1] != 302 and not led_on:
            assert response["Location"].startswith("/login?next=/")


@pytest.mark.parametrize("path", POSTS)
def test_post(path, world, people):
    def ask(client, role):
        form = world.forms.get(path, dict)()
        return signed_in(client, people, role).post(world.path(path, path), form)

    found = answers(people, ask)

    assert_statuses(found, POSTS[path])
    for role in ("nobody", "off"):
        if path not in FOR_EVERYBODY and not path.startswith("admin/"):
            assert found[role]["Location"].startswith("/login?next=/")
