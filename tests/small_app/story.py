"""Uses everything that the small app hands in, as users and scripts do, and prints the results as JSON.

Runs in a process of its own, because apps hand in what they have when Django starts.
"""

import json
from datetime import timedelta

import django
from django.conf import settings
from django.core.management import call_command
from django.test.utils import setup_test_environment

django.setup()

from django.test import Client  # noqa: E402 - it needs the models, as all below
from django.utils import timezone  # noqa: E402
from drf_spectacular.generators import SchemaGenerator  # noqa: E402

from accounts.credentials import api_tokens  # noqa: E402
from accounts.keepers import in_order  # noqa: E402
from accounts.notices.notifications import notify  # noqa: E402
from audit.log import record  # noqa: E402
from config.celery import app  # noqa: E402
from config.watch import logs  # noqa: E402
from tests.factories import UserFactory, proved  # noqa: E402
from tests.small_app.contributions import Action, Scope  # noqa: E402
from tests.small_app.models import Thing  # noqa: E402


def told():
    """{what was used: its result}"""
    boss = UserFactory(roles=["super"], is_superuser=True, is_staff=True)
    browser = proved(Client(), boss)

    def script(scope):
        end = timezone.now() + timedelta(days=1)
        _token, raw = api_tokens.create(user=boss, name="script", scopes=[scope], expires_at=end)
        return Client(headers={"Authorization": f"Bearer {raw}"})

    record(Action.THING_LENT, user=boss, target=Thing.objects.create(lent_to="Amina"))
    notify(boss, "thing_due", thing="ladder", token="x")
    reader = script(Scope.THINGS_READ)
    job = app.conf.beat_schedule["count things"]
    operation = SchemaGenerator().get_schema(request=None, public=True)["paths"]["/api/lending/things"]["get"]
    return {
        "log": browser.get("/audit/", {"action": "thing_lent"}).content.decode(),
        "export": browser.get("/audit/export.csv", {"action": "thing_lent"}).getvalue().decode(),
        "notices": browser.get("/notifications").content.decode(),
        "preferences": browser.get("/profile/notifications").content.decode(),
        "tokens": browser.get("/profile/tokens").content.decode(),
        "with the scope": [reader.get("/api/lending/things").status_code for _turn in range(3)],
        "with another": script("account:read").get("/api/lending/things").json()["code"],
        "too long": reader.post("/api/lending/things", "x" * 11, content_type="text/plain").json()["code"],
        "short": reader.post("/api/lending/things", "x" * 10, content_type="text/plain").json()["code"],
        "job": [job["task"], job["schedule"].total_seconds(), job["options"]],
        "queue": app.amqp.router.route({}, job["task"])["queue"].name,
        "admin": browser.get("/admin/small_app/thing/").content.decode(),
        "line": logs.redact(f"/lent/abcdefgh gone, shelfmark=xyz, {settings.LENDING_SECRET}"),
        "refusal": browser.get("/lent/abcdefgh").headers["Content-Type"],
        "heading": operation["tags"],
        "scope in the schema": operation["x-scope"],
        "permissions": browser.get("/api/admin/permissions").content.decode(),
        "copy": {keeper.name: [*keeper.sections] for keeper in in_order()}["small_app"],
        "metrics": browser.get("/metrics", headers={"Host": "127.0.0.1"}).content.decode(),
    }


setup_test_environment()
call_command("migrate", verbosity=0, run_syncdb=True)
print(json.dumps(told()))  # noqa: T201 - for the test that started this
