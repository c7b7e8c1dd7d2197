"""`manage.py check --deploy` accepts a good production, and warns of each unwise setting."""

import os
import secrets
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from django.core.checks import Error
from django.test import override_settings

from config import checks
from config.watch import logs
from scripts.check_deploy import production

pytestmark = pytest.mark.once
ROOT = Path(__file__).resolve().parents[2]


def deployed(tmp_path, **changes):
    """(exit status, output) of check --deploy for a production with these changes; None removes a setting."""
    environment = {name: value for name, value in {**production(tmp_path), **changes}.items() if value is not None}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_production_of_the_documented_kind_is_clean(tmp_path):
    status, words = deployed(tmp_path)

    assert status == 0, words


def test_a_rate_that_changes_no_limit_is_named(settings):
    settings.RATE_LIMITS = {"login": "20/m", "lognni": "20/m"}

    assert [warning.msg for warning in checks.limits_exist(None)] == ["RATE_LOGNNI is the name of no rate limit."]


def test_several_unwise_settings_are_named_at_once(tmp_path):
    status, words = deployed(
        tmp_path,
        REDIS_URL=None,
        TRUSTED_PROXY_COUNT=None,
        DATABASE_URL=None,
        EMAIL_BACKEND_KIND="file",
        RATELIMIT_ENABLE="0",
        CSP_REPORT_ONLY="1",
        LOGIN_LOCKOUT_FAILURES="1000",
        MAX_BODY_BYTES=str(64 * 2**20),
        LINK_EXPIRY_SECONDS="100000",
    )

    assert status == 1
    missing = [number for number in (1, 2, 3, 4, 5, 7, 8, 10, 11, 15) if f"config.W{number:03}" not in words]
    assert missing == []


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"EMAIL_USE_TLS": False, "EMAIL_HOST_USER": "portal", "EMAIL_BACKEND_KIND": "smtp"}, 6),
        ({"STORAGE": "s3", "S3_ENDPOINT_URL": "http://s3:8333", "S3_PUBLIC_ENDPOINT_URL": ""}, 9),
    ],
)
def test_what_travels_in_the_clear_is_named(changes, number):
    with override_settings(SITE_IS_LOCAL=False, EMAIL_USE_SSL=False, **changes):
        found = checks.parts_fit_the_place(None)

    assert f"config.W{number:03}" in [each.id for each in found]


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"MAX_FORM_UPLOAD_BYTES": 200, "MAX_UPLOAD_BYTES": 100}, 12),
        ({"PART_SIZE_BYTES": 200, "MULTIPART_THRESHOLD_BYTES": 100}, 13),
        ({"MAX_UPLOAD_BYTES": 5}, 14),
    ],
)
def test_sizes_that_work_against_each_other_are_named(changes, number):
    with override_settings(**changes):
        assert f"config.W{number:03}" in [each.id for each in checks.sizes_make_sense(None)]


@pytest.fixture
def deployed_settings(settings):
    """The settings of a production without payments."""
    settings.SITE_IS_LOCAL = False
    settings.MPESA_CONSUMER_SECRET = settings.MPESA_PASSKEY = ""
    return settings


@pytest.mark.parametrize("recipe", range(4))
def test_link_keys_that_follow_from_the_secret_key_are_an_error(recipe, deployed_settings):
    secret = secrets.token_urlsafe(64)
    key = sorted(checks.derived_keys(secret) - {secret})[recipe]

    deployed_settings.SECRET_KEY, deployed_settings.LINK_KEYS = secret, [key]
    found = checks.keys_are_independent(None)

    assert [each.id for each in found] == ["config.E002"]
    assert secret not in str(found)
    assert key not in str(found)


def test_one_secret_in_two_places_is_an_error_that_shows_neither(deployed_settings):
    secret = secrets.token_urlsafe(64)

    deployed_settings.SECRET_KEY, deployed_settings.SECRET_KEY_FALLBACKS = secret, [secret]
    (found,) = checks.keys_are_independent(None)

    assert isinstance(found, Error)
    assert "SECRET_KEY and SECRET_KEY_FALLBACKS" in found.msg
    assert secret not in found.msg


@pytest.mark.parametrize(
    ("name", "put"),
    [
        ("METRICS_TOKEN", lambda settings, word: {"METRICS_TOKEN": word}),
        ("MPESA_PASSKEY", lambda settings, word: {"MPESA_PASSKEY": word}),
        ("BREVO_API_KEY", lambda settings, word: {"ANYMAIL": {**settings.ANYMAIL, "BREVO_API_KEY": word}}),
        (
            "AWS_SECRET_ACCESS_KEY",
            lambda settings, word: {
                "STORAGES": {**settings.STORAGES, "default": {"BACKEND": "x", "OPTIONS": {"secret_key": word}}}
            },
        ),
        # The secret's special characters are quoted in the URL, and not in EMAIL_HOST_PASSWORD.
        ("REDIS_URL", lambda settings, word: {"REDIS_URL": f"redis://:{quote(word, safe='')}@redis.internal/0"}),
        ("PGPASSWORD", lambda settings, word: {"PGPASSWORD": word}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_secret_is_compared_and_kept_out_of_the_log(name, put, deployed_settings):
    secret = "zR7v/Q2mX@c9LpT4wYb6Kd"
    deployed_settings.EMAIL_HOST_PASSWORD = secret
    for setting, value in put(deployed_settings, secret).items():
        setattr(deployed_settings, setting, value)

    (found,) = checks.keys_are_independent(None)

    assert found.id == "config.E003"
    assert name in found.msg
    assert "EMAIL_HOST_PASSWORD" in found.msg
    assert logs.redact(f"it said {secret} to us") == f"it said {logs.HIDDEN} to us"


def test_a_link_key_that_stands_there_twice_is_named_once(deployed_settings):
    key = secrets.token_urlsafe(32) + "="
    deployed_settings.LINK_KEYS = [key, key]

    (found,) = checks.keys_are_independent(None)

    assert found.msg == "LINK_KEYS has the same secret twice: give each its own."


def test_forms_without_their_check_are_an_error(settings):
    assert checks.forms_are_protected(None) == []

    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "csrf" not in each]

    assert [each.id for each in checks.forms_are_protected(None)] == ["config.E001"]


def test_the_linters_ask_it_too():
    assert "check_deploy" in (ROOT / "scripts" / "lint.py").read_text(encoding="utf-8")
    assert os.access(ROOT / "scripts" / "check_deploy.py", os.R_OK)
