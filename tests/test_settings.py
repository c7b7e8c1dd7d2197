"""The portal refuses to start on an unsafe setting, and names it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

FERNET_KEY = "c2V2ZW4gZ3JlZW4gYm9hdHMgYW5kIG9uZSBvYXIhISE="
ROOT = Path(__file__).resolve().parent.parent
PRODUCTION = {
    "SITE_URL": "https://portal.example.org",
    "HOST": "0.0.0.0",  # noqa: S104 (not listened to)
    "SECRET_KEY": "kqYt2vR8wN5xZ1cB7mL4pD9sF6gH3jT0aE_uI-oWyXzQbV3nK7rM2s",
    "LINK_KEYS": FERNET_KEY,
    "DATABASE_URL": "postgres://portal:zK4mQ9xW2r@127.0.0.1:5432/portal",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "EMAIL_BACKEND_KIND": "smtp",
}


def start(tmp_path, *, read="SITE_NAME", base=PRODUCTION, **changes):
    """Import the settings in a process of their own; a change of None leaves the name out."""
    environment = {name: value for name, value in {**base, **changes}.items() if value is not None}
    environment |= {"ENV_FILE": os.devnull, "DATA_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    code = f"import config.settings as settings; print(repr(settings.{read}))"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_safe_set_starts(tmp_path):
    done = start(tmp_path)

    assert (done.returncode, done.stdout.strip()) == (0, "'Portal'"), done.stderr
    assert not (tmp_path / "secrets.env").exists(), "production keeps its keys elsewhere"


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
    done = start(tmp_path, **{name: value})

    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "ImproperlyConfigured" in last
    assert name in last


def test_bodies_are_handed_over_by_a_proxy_and_for_the_local_store_only(tmp_path):
    handed = {"BODY_FILE_DIR": "/data/store/bodies", "TRUSTED_PROXY_COUNT": "1"}

    assert start(tmp_path, **handed).returncode == 0
    assert "BODY_FILE_DIR" in start(tmp_path, **{**handed, "BODY_FILE_DIR": "bodies"}).stderr
    assert "BODY_FILE_DIR" in start(tmp_path, **handed, STORAGE="s3", S3_FILESHARE_BUCKET="b").stderr


@pytest.mark.parametrize("kind", ["brevo", "sendgrid"])
def test_a_mail_provider_needs_its_key(kind, tmp_path):
    name = f"{kind.upper()}_API_KEY"

    assert name in start(tmp_path, EMAIL_BACKEND_KIND=kind).stderr
    assert start(tmp_path, EMAIL_BACKEND_KIND=kind, **{name: "xkeysib-4f9Kq2Lm8Zr1"}).returncode == 0


def test_a_refused_start_shows_no_secret(tmp_path):
    done = start(tmp_path, LINK_KEYS="a-secret-that-is-no-key", DATABASE_URL="mysql://portal:hunter2@127.0.0.1/x")

    assert "a-secret-that-is-no-key" not in done.stderr
    assert "hunter2" not in start(tmp_path, DATABASE_URL="mysql://portal:hunter2@127.0.0.1/x").stderr


@pytest.mark.parametrize("prefix", ["$", "$$", "\\$"], ids=["dollar", "two", "escaped"])
def test_a_secret_may_begin_with_any_letter(prefix, tmp_path):
    secret = prefix + PRODUCTION["SECRET_KEY"]

    done = start(tmp_path, read="SECRET_KEY", SECRET_KEY=secret)

    assert (done.returncode, done.stdout.strip()) == (0, repr(secret)), done.stderr


@pytest.mark.parametrize("name", ["ALLOWED_HOSTS", "SECRET_KEY_FALLBACKS"])
def test_the_items_of_a_list_have_no_spaces_around_them(name, tmp_path):
    items = [f"{letters}.of.twelve.months.ago.portal.baobab.internal" for letters in ("kqyt2vr8wn5x", "wq9ert5yui1o")]

    done = start(tmp_path, read=name, **{name: f" {items[0]},  {items[1]} , "})

    assert (done.returncode, done.stdout.strip()) == (0, repr(items)), done.stderr


def test_a_newcomers_machine_needs_nothing_and_keeps_its_own_keys(tmp_path):
    first = start(tmp_path, base={}, read="SECRET_KEY")
    again = start(tmp_path, base={}, read="SECRET_KEY")

    assert first.returncode == 0, first.stderr
    assert first.stdout == again.stdout
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600


def test_listening_to_everybody_makes_no_keys_and_no_demo(tmp_path):
    done = start(tmp_path, base={"HOST": "0.0.0.0"})  # noqa: S104 (not listened to)

    assert done.returncode != 0
    assert not (tmp_path / "secrets.env").exists()


@pytest.mark.parametrize(
    ("read", "value"),
    [
        ("SESSION_COOKIE_SECURE", "True"),
        ("CSRF_COOKIE_SECURE", "True"),
        ("SESSION_COOKIE_NAME", "'__Host-session'"),
        ("SECURE_SSL_REDIRECT", "True"),
        ("SECURE_HSTS_SECONDS", "31536000"),
        ("DEBUG", "False"),
        ("DEMO", "False"),
        ("EXPOSE_VERIFICATION_LINK", "False"),
        ("RATELIMIT_ENABLE", "True"),
        ("ALLOWED_HOSTS", "['portal.example.org']"),
        ("SECURE_PROXY_SSL_HEADER", "None"),
    ],
)
def test_production_is_strict_by_default(read, value, tmp_path):
    assert start(tmp_path, read=read).stdout.strip() == value
