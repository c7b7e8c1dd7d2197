"""The portal refuses to start on an unsafe setting, and names it."""

import subprocess
import sys

import pytest

from tests.environments import (
    FERNET_KEY,
    PRODUCTION,
    ROOT,
    environment_of,
    reason_of,
    refusal_of,
    settings_of,
    start,
)

pytestmark = pytest.mark.once


# --- A start, in a process of its own ---------------------------------------------------------------


def test_a_safe_set_starts(tmp_path):
    done = start(tmp_path)

    assert (done.returncode, done.stdout.strip()) == (0, "'Portal'"), done.stderr
    assert not (tmp_path / "secrets.env").exists(), "production keeps its keys elsewhere"


def test_a_wrong_set_does_not_start_and_shows_no_secret(tmp_path):
    done = start(tmp_path, DATABASE_URL="postgress://portal:hunter2@127.0.0.1/portal")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip().splitlines()[-1] == (
        "django.core.exceptions.ImproperlyConfigured: DATABASE_URL must be a postgres:// or sqlite:/// address."
    )
    assert "hunter2" not in done.stderr


def test_a_command_of_the_portal_does_not_start_either(tmp_path):
    """Django's own commands must show the error of the settings."""
    command = [sys.executable, "manage.py", "check"]

    done = subprocess.run(
        command, cwd=ROOT, env=environment_of(tmp_path, SECRET_KEY="changeme"), capture_output=True, text=True
    )

    assert done.returncode == 1
    assert "SECRET_KEY is weak: it has fewer than 50 characters." in done.stderr.splitlines()[-1]
    assert "changeme" not in done.stderr


# --- The same settings, read in this process --------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", None),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "changeme"),
        ("SECRET_KEY", "a" * 60),
        ("LINK_KEYS", None),
        ("LINK_KEYS", "short"),
        ("LINK_KEYS", f"{FERNET_KEY},nonsense"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "portal.example.org,*"),
        ("DEBUG", "1"),
        ("DEMO", "1"),
        ("EXPOSE_VERIFICATION_LINK", "1"),
        ("CLAMD_URL", "clamav:3310"),
        ("CLAMD_URL", "tcp://clamav"),
        ("CLAMD_URL", "http://clamav:3310"),
        ("CLAMD_URL", "unix://clamd.ctl"),
        ("CLAMD_URL", "tcp://clamav:99999"),
        ("CLAMD_URL", "tcp://clamav:0"),
        ("REDIS_URL", "redis://127.0.0.1:port/0"),
        ("REDIS_URL", "redis://127.0.0.1:99999/0"),
        ("REDIS_URL", "unix:///run/redis/redis.sock"),
        ("REDIS_WITHOUT_PASSWORD", "perhaps"),
        ("SITE_URL", "https://portal.example.org:99999"),
        ("LOG_LEVEL", "chatty"),
        ("SECRET_KEY_FALLBACKS", "kqYt2vR8wN5xZ1cB7mL4pD9sF6gH3jT0aE_uI-oWyXzQbV3nK7rM2s"),
        ("CLAMD_MAX_BYTES", "0"),
        ("CLAMD_TIMEOUT_SECONDS", "soon"),
        ("SITE_URL", "http://portal.example.org"),
        ("SITE_URL", "portal.example.org"),
        ("SITE_URL", "ftp://portal.example.org"),
        ("SITE_URL", "https://"),
        ("EMAIL_BACKEND_KIND", "pigeon"),
        ("STORAGE", "tape"),
        ("DATABASE_URL", "mysql://portal:secret@127.0.0.1/portal"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "postgres://portal:zK4mQ9xW2r@127.0.0.1:port/portal"),
        ("PORT", "eighty"),
        ("PORT", "0"),
        ("TRUSTED_PROXY_COUNT", "-1"),
        ("MAX_UPLOAD_BYTES", "0"),
        ("MAX_UPLOAD_BYTES", "5GB"),
        ("LINK_EXPIRY_SECONDS", "0"),
        ("RATELIMIT_ENABLE", "maybe"),
        ("STORE_FSYNC", "yess"),
        ("RATE_LOGIN", "often"),
        ("RATE_SIGNUP", ""),
        ("RATE_LOGIN_ADDRESS", "100"),
        ("BODY_FILE_DIR", "/data/store/bodies"),  # without a proxy
    ],
)
def test_a_wrong_or_unsafe_setting_stops_the_start_and_is_named(name, value, tmp_path):
    assert name in reason_of(tmp_path, **{name: value})


def test_bodies_are_handed_over_by_a_proxy_and_for_the_local_store_only(tmp_path):
    handed = {"BODY_FILE_DIR": "/data/store/bodies", "TRUSTED_PROXY_COUNT": "1"}

    assert settings_of(tmp_path, **handed).BODY_FILE_DIR == "/data/store/bodies"
    assert "BODY_FILE_DIR" in reason_of(tmp_path, **{**handed, "BODY_FILE_DIR": "bodies"})
    assert "BODY_FILE_DIR" in reason_of(tmp_path, **handed, STORAGE="s3", S3_FILESHARE_BUCKET="b")


@pytest.mark.parametrize("kind", ["brevo", "sendgrid"])
def test_a_mail_provider_needs_its_key(kind, tmp_path):
    name = f"{kind.upper()}_API_KEY"

    assert name in reason_of(tmp_path, EMAIL_BACKEND_KIND=kind)
    settings = settings_of(tmp_path, EMAIL_BACKEND_KIND=kind, **{name: "xkeysib-4f9Kq2Lm8Zr1"})
    given = {"brevo": settings.ANYMAIL["BREVO_API_KEY"], "sendgrid": settings.EMAIL_HOST_PASSWORD}
    assert given[kind] == "xkeysib-4f9Kq2Lm8Zr1"


def test_sendgrid_is_reached_by_smtp(tmp_path):
    told = {"EMAIL_HOST": "mail.example.org", "EMAIL_USE_TLS": "0", "EMAIL_USE_SSL": "1"}
    settings = settings_of(tmp_path, EMAIL_BACKEND_KIND="sendgrid", SENDGRID_API_KEY="SG.4f9Kq2Lm8Zr1-xY7w", **told)

    # The API key goes to SendGrid's own server, encrypted, whatever else is set.
    assert settings.EMAIL_BACKEND == "config.outside.mail_backends.NamedSMTPBackend"
    assert (settings.EMAIL_HOST, settings.EMAIL_PORT) == ("smtp.sendgrid.net", 587)
    assert (settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD) == ("apikey", "SG.4f9Kq2Lm8Zr1-xY7w")
    assert (settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL) == (True, False)
    # The port in the example is that of the mail catcher.
    told |= {"EMAIL_BACKEND_KIND": "sendgrid", "SENDGRID_API_KEY": "SG.4f9Kq2Lm8Zr1-xY7w"}
    assert "EMAIL_PORT is 1025" in reason_of(tmp_path, EMAIL_PORT="1025", **told)
    assert settings_of(tmp_path, EMAIL_PORT="2525", **told).EMAIL_PORT == 2525


def test_a_refused_start_shows_no_secret(tmp_path):
    assert "a-secret-that-is-no-key" not in refusal_of(tmp_path, LINK_KEYS="a-secret-that-is-no-key")
    assert "hunter2" not in refusal_of(tmp_path, DATABASE_URL="mysql://portal:hunter2@127.0.0.1/x")
    assert "hunter2" not in refusal_of(tmp_path, DATABASE_URL="postgres://portal:hunter2@127.0.0.1:port/x")


@pytest.mark.parametrize("prefix", ["$", "$$", "\\$"], ids=["dollar", "two", "escaped"])
def test_a_secret_may_begin_with_any_letter(prefix, tmp_path):
    secret = prefix + PRODUCTION["SECRET_KEY"]

    assert secret == settings_of(tmp_path, SECRET_KEY=secret).SECRET_KEY


@pytest.mark.parametrize("name", ["ALLOWED_HOSTS", "SECRET_KEY_FALLBACKS"])
def test_the_items_of_a_list_have_no_spaces_around_them(name, tmp_path):
    items = [f"{letters}.of.twelve.months.ago.portal.baobab.internal" for letters in ("kqyt2vr8wn5x", "wq9ert5yui1o")]

    settings = settings_of(tmp_path, **{name: f" {items[0]},  {items[1]} , "})

    assert getattr(settings, name) == items


def test_a_newcomers_machine_needs_nothing_and_keeps_its_own_keys(tmp_path):
    first, again = settings_of(tmp_path, base={}), settings_of(tmp_path, base={})

    assert len(first.SECRET_KEY) >= 50
    assert (first.SECRET_KEY, first.LINK_KEYS) == (again.SECRET_KEY, again.LINK_KEYS)
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600


def test_the_environment_wins_over_the_file(tmp_path):
    (tmp_path / "env").write_text("SITE_NAME=Baobab\nLOG_LEVEL=ERROR\n", encoding="utf-8")

    settings = settings_of(tmp_path, ENV_FILE=str(tmp_path / "env"), LOG_LEVEL="WARNING")

    assert (settings.SITE_NAME, settings.LOG_LEVEL) == ("Baobab", "WARNING")


def test_listening_to_everybody_makes_no_keys_and_no_demo(tmp_path):
    refused = reason_of(tmp_path, base={"HOST": "0.0.0.0"})  # noqa: S104 (not listened to)

    assert "SITE_URL must begin with https://" in refused
    assert not (tmp_path / "secrets.env").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_COOKIE_SECURE", True),
        ("CSRF_COOKIE_SECURE", True),
        ("SESSION_COOKIE_NAME", "__Host-session"),
        ("SECURE_SSL_REDIRECT", True),
        ("SECURE_HSTS_SECONDS", 31536000),
        ("DEBUG", False),
        ("DEMO", False),
        ("EXPOSE_VERIFICATION_LINK", False),
        ("RATELIMIT_ENABLE", True),
        ("ALLOWED_HOSTS", ["portal.example.org"]),
        ("SECURE_PROXY_SSL_HEADER", None),
    ],
)
def test_production_is_strict_by_default(name, value, tmp_path):
    assert getattr(settings_of(tmp_path), name) == value
