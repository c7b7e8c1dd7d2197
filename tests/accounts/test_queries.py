"""Lists cost a fixed number of queries, however long they are."""

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Role
from accounts.notices.notifications import notify
from audit.log import record
from fileshare.contributions.actions import Action
from tests.factories import CompanyFactory, UserFactory, grant

pytestmark = pytest.mark.django_db
API = [
    "/api/admin/users",
    "/api/admin/users?q=example",
    "/api/admin/roles",
    "/api/admin/permissions",
    "/api/admin/companies",
    "/api/admin/logs",
    "/api/fileshare/audit-logs",
    "/api/notifications",
    "/api/notifications?unread=1",
]
PAGES = ["/notifications", "/profile", "/admin/accounts/user/", "/admin/audit/event/", "/admin/accounts/company/"]


def more_of_everything(people, folder):
    """Five more rows of each kind that any of these lists shows."""
    boss = people["super"]
    for number in range(5):
        role = Role.objects.create(name=f"role-{folder.permissions.count()}-{number}")
        role.permissions.set(Permission.objects.filter(content_type__app_label="accounts")[:4])
        user = UserFactory(company=CompanyFactory(), roles=["client", "ops", role.name])
        grant(folder, "download", user=user)
        notify(boss, "folder_granted", folder="x", folder_slug="x")
        record(Action.UPLOAD, user=user, target=user, folder=folder, size_bytes=1)


@pytest.mark.parametrize("path", API + PAGES)
def test_a_list_twice_as_long_costs_the_same_queries(path, people, company_folder, client):
    client.force_login(people["super"])

    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get(path).status_code == 200
        return [query["sql"] for query in captured]

    more_of_everything(people, company_folder)
    queries()  # fill the caches first: content types and the like are read once
    few = queries()
    more_of_everything(people, company_folder)
    more_of_everything(people, company_folder)
    many = queries()

    assert len(many) == len(few), "\n".join(many)
    assert len(few) <= 12
