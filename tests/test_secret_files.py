"""Secrets in files: NAME_FILE in place of NAME, as Docker and Kubernetes hand secrets over."""

import pytest

from tests.environments import FERNET_KEY, PRODUCTION, reason_of, refusal_of, settings_of, start
from tests.test_env_example import read_by
from tests.test_weak_secrets import GOOD, LIVE, LONG, MAIL, S3, SECRETS, STRONG, assert_refused

pytestmark = pytest.mark.once
# Secrets that no check finds weak, or that are part of another setting.
OTHERS = {
    "PGPASSWORD": ({"DATABASE_URL": "postgres://portal@db.internal/portal"}, str),
    "AWS_ACCESS_KEY_ID": (S3, str),
    "METRICS_TOKEN": ({}, str),
    "SENTRY_DSN": ({}, lambda word: f"https://{word}@sentry.example.org/1"),
}
IN_FILES = SECRETS | OTHERS


@pytest.fixture
def in_file(tmp_path):
    """in_file(NAME, text) writes a file with this text; returns the changes by which the setting reads it."""

    def write(name, text):
        path = tmp_path / name.lower()
        path.write_text(text, encoding="utf-8")
        return {name: None, f"{name}_FILE": str(path)}

    return write


def values(settings):
    """All settings as one text."""
    return repr({name: value for name, value in vars(settings).items() if name.isupper()})


def test_every_secret_that_may_stand_in_a_file_is_tried_here():
    assert set(IN_FILES) == read_by("secrets?")


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["bare", "newline", "windows"])
@pytest.mark.parametrize("name", IN_FILES)
def test_a_secret_in_a_file_is_that_secret(name, end, in_file, tmp_path):
    others, write = IN_FILES[name]
    secret = write({**GOOD, "METRICS_TOKEN": STRONG * 2}.get(name, STRONG))

    named = settings_of(tmp_path, **{**others, name: secret})
    from_file = settings_of(tmp_path, **others | in_file(name, secret + end))

    assert secret in values(named) or name == "DATABASE_URL"
    # libpq reads PGPASSWORD from the environment only, so the settings pass on the password of a file.
    if name == "PGPASSWORD":
        assert from_file.DATABASES["default"].pop("PASSWORD") == secret
        assert named.DATABASES["default"].pop("PASSWORD") == ""
    assert values(from_file) == values(named)


@pytest.mark.parametrize("name", SECRETS)
def test_a_weak_one_in_a_file_stops_the_start(name, in_file, tmp_path):
    others, write = SECRETS[name]

    assert_refused(tmp_path, name, "changeme", **others | in_file(name, write("changeme") + "\n"))


@pytest.mark.parametrize("name", ["SECRET_KEY_FALLBACKS", "LINK_KEYS"])
def test_a_file_of_several_has_one_on_each_line_or_commas_between(name, in_file, tmp_path):
    keys = {
        "LINK_KEYS": [FERNET_KEY, FERNET_KEY[::-1][1:] + "="],
        "SECRET_KEY_FALLBACKS": [LONG[::-1], LONG[5:] + "Qx7-9"],
    }
    for between in ("\n", ",", ", \n"):
        settings = settings_of(tmp_path, **in_file(name, between.join(keys[name]) + "\n"))

        assert getattr(settings, name) == keys[name]


def test_both_at_once_stop_the_start(in_file, tmp_path):
    both = in_file("SECRET_KEY", PRODUCTION["SECRET_KEY"]) | {"SECRET_KEY": PRODUCTION["SECRET_KEY"]}

    printed = refusal_of(tmp_path, **both)

    assert "SECRET_KEY and SECRET_KEY_FILE are both set" in printed.splitlines()[-1]
    assert PRODUCTION["SECRET_KEY"] not in printed


def test_an_empty_one_beside_the_file_is_none(in_file, tmp_path):
    settings = settings_of(tmp_path, **in_file("METRICS_TOKEN", STRONG * 2) | {"METRICS_TOKEN": ""})

    assert settings.METRICS_TOKEN == STRONG * 2
    assert settings_of(tmp_path, METRICS_TOKEN=STRONG * 2, METRICS_TOKEN_FILE="").METRICS_TOKEN == STRONG * 2


def test_a_file_that_cannot_be_read_is_named_and_its_path_is_not_shown(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfd")
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    reasons = {
        # Users often write the secret itself here, instead of the path of its file.
        PRODUCTION["SECRET_KEY"]: "No such file or directory",
        str(tmp_path): "Is a directory",
        str(tmp_path / "binary"): "no UTF-8 text",
        str(tmp_path / "empty"): "an empty file",
    }

    for path, reason in reasons.items():
        printed = refusal_of(tmp_path, SECRET_KEY=None, SECRET_KEY_FILE=path)

        assert "SECRET_KEY_FILE names" in printed.splitlines()[-1]
        assert reason in printed.splitlines()[-1]
        assert path not in printed


def test_a_newcomers_machine_keeps_keys_for_what_no_file_gives(in_file, tmp_path):
    settings = settings_of(tmp_path, base={}, **in_file("SECRET_KEY", LONG))

    assert settings.SECRET_KEY == LONG
    assert settings.LINK_KEYS[0] in (tmp_path / "secrets.env").read_text()
    assert "LINK_KEYS" in reason_of(tmp_path, base={}, LINK_KEYS_FILE=str(tmp_path / "none"))


def test_a_production_starts_with_its_secrets_in_files(in_file, tmp_path):
    changes = {}
    for name in ("SECRET_KEY", "LINK_KEYS", "DATABASE_URL", "REDIS_URL"):
        changes |= in_file(name, PRODUCTION[name] + "\n")

    done = start(tmp_path, read="SECRET_KEY", **{**LIVE, **MAIL, **changes})

    assert (done.returncode, done.stdout.strip()) == (0, repr(PRODUCTION["SECRET_KEY"])), done.stderr
