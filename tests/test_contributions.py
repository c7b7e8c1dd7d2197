"""A small app hands in one of everything, and no file of the apps below knows of it."""

import json
import os
import subprocess
import sys

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

from config.contributions.registry import Registry
from tests.plugin import ROOT

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The results of using the small app in a portal of its own (tests/small_app/story.py)."""
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    environment |= {
        "DJANGO_SETTINGS_MODULE": "tests.small_app.settings",
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(tmp_path_factory.mktemp("small")),
        "PYTHONPATH": str(ROOT),
        "RATE_THINGS": "2/d",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.small_app.story"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_an_action_is_written_filtered_and_named_in_the_log(told):
    assert '<option value="thing_lent" selected>Thing lent</option>' in told["log"]
    assert told["log"].count("Thing lent") == 2
    assert "thing_lent" in told["export"].splitlines()[1]


def test_a_notice_says_its_sentence_and_can_be_chosen_by_mail(told):
    assert "The ladder is due." in told["notices"]
    assert "Lending" in told["preferences"]
    assert "A thing of yours is due" in told["preferences"]


def test_a_scope_is_offered_and_opens_its_call_alone(told):
    assert "See what there is to lend" in told["tokens"]
    assert told["with another"] == "scope_missing"
    assert told["scope in the schema"] == "things:read"


def test_a_rate_holds_and_the_environment_may_change_it(told):
    assert told["with the scope"] == [200, 200, 429]


def test_a_body_may_be_as_long_as_the_view_says(told):
    assert told["too long"] == "body_too_large"
    assert told["short"] == "scope_missing"


def test_a_job_is_scheduled_expires_and_has_its_queue(told):
    assert told["job"] == ["tests.small_app.tasks.count_things", 5, {"expires": 60}]
    assert told["queue"] == "sweep"


def test_the_administration_names_model_and_column(told):
    assert "Select thing to lend" in told["admin"]
    assert "borrower" in told["admin"].lower()


def test_the_log_hides_what_is_behind_a_door_and_what_a_secret_is(told):
    assert told["line"] == "/lent/[…] gone, shelfmark=[…], […]"


def test_a_view_says_how_it_refuses_and_where_its_calls_stand(told):
    assert told["refusal"] == "application/json"
    assert told["heading"] == ["Lending library"]


def test_its_permissions_personal_data_and_numbers_are_known(told):
    assert "add_thing" in told["permissions"]
    assert told["copy"] == ["lent_things"]
    assert "portal_things_lent 3.0" in told["metrics"]


# --- The registry -----------------------------------------------------------------------------------


@pytest.fixture
def starting(monkeypatch):
    """Pretend that Django is still starting its apps, the only time at which apps may hand in."""
    monkeypatch.setattr(apps, "ready", False)


def test_it_reads_in_the_same_order_however_apps_start(starting):
    one, other = Registry("thing"), Registry("thing")

    one.add_all({"a": 1, "b": 2})
    other.add_all({"b": 2})
    other.add_all({"a": 1})

    assert list(one.items()) == list(other.items()) == [("a", 1), ("b", 2)]
    assert ("a" in one, one.get("c"), len(one)) == (True, None, 2)


def test_a_name_that_is_taken_is_refused(starting):
    registry = Registry("rate limit")
    registry.add("login", "10/m")

    with pytest.raises(ImproperlyConfigured, match="two of the rate limit 'login'"):
        registry.add("login", "20/m")

    assert registry["login"] == "10/m"


def test_what_comes_when_all_apps_have_started_is_refused():
    registry = Registry("rate limit")

    with pytest.raises(ImproperlyConfigured, match="'login' comes too late"):
        registry.add("login", "10/m")

    assert not registry
