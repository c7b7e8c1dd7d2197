"""A secret that is weak, an example's or missing: the portal does not start, names the setting and hides the value."""

import base64
import random
import re
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from urllib.parse import quote

import pytest

from config.environment.weakness import weakness_of
from tests.environments import FERNET_KEY, PRODUCTION, ROOT, reason_of, refusal_of, settings_of

pytestmark = pytest.mark.once
STRONG = "zR7vQ2mXc9LpT4wYb6Kd"
LONG = "kqYt2vR8wN5xZ1cB7mL4pD9sF6gH3jT0aE_uI-oWyXzQbV3nK7rM2s"
LIVE = {
    "MPESA_ENV": "live",
    "MPESA_CONSUMER_KEY": STRONG + "1",
    "MPESA_CONSUMER_SECRET": STRONG + "2",
    "MPESA_SHORTCODE": "600000",
    "MPESA_PASSKEY": STRONG + "3",
    "MPESA_CALLBACK_SECRET": STRONG * 2,
}
S3 = {
    "STORAGE": "s3",
    "S3_FILESHARE_BUCKET": "portal",
    "AWS_ACCESS_KEY_ID": "AKIAZ2J7",
    "AWS_SECRET_ACCESS_KEY": STRONG,
}
MAIL = {"EMAIL_HOST_USER": "portal", "EMAIL_HOST_PASSWORD": STRONG}
# What manuals have, and what people write until they choose a real secret.
KNOWN = [
    "mysecretpassword",
    "foobared",
    "Passw0rd!",
    "P@ssw0rd1",
    "Pa55w0rd2024",
    "s3cr3t_k3y",
    "supersecretpassword",
    "passwordpassword",
    "secretsecret",
    "changethis",
    "qwertyuiop",
    "abcdefgh",
    "Summer2024!",
    "dragon2024monkey",
    "k7qxk7qxk7qxk7qx",
]
DEFAULTS = ["changeme", "secret", "password", "a" * 64, "change-me-please", "your-secret-key", "test-secret-key"]
# Setting → (the other settings that it needs, how a secret is written into its value).
SECRETS = {
    "SECRET_KEY": ({}, str),
    "SECRET_KEY_FALLBACKS": ({}, str),
    "LINK_KEYS": ({}, str),
    "MPESA_CONSUMER_KEY": (LIVE, str),
    "MPESA_CONSUMER_SECRET": (LIVE, str),
    "MPESA_PASSKEY": (LIVE, str),
    "MPESA_CALLBACK_SECRET": (LIVE, str),
    "AWS_SECRET_ACCESS_KEY": (S3, str),
    "EMAIL_HOST_PASSWORD": (MAIL, str),
    "BREVO_API_KEY": ({"EMAIL_BACKEND_KIND": "brevo"}, str),
    "SENDGRID_API_KEY": ({"EMAIL_BACKEND_KIND": "sendgrid"}, str),
    "DATABASE_URL": ({}, lambda word: f"postgres://portal:{quote(word)}@db.internal:5432/portal"),
    "REDIS_URL": ({}, lambda word: f"redis://:{quote(word)}@redis.internal:6379/0"),
}
OPTIONAL = ("SECRET_KEY_FALLBACKS", "AWS_SECRET_ACCESS_KEY")


GOOD = {
    "SECRET_KEY": LONG,
    "SECRET_KEY_FALLBACKS": LONG[::-1],
    "LINK_KEYS": FERNET_KEY,
    "MPESA_CALLBACK_SECRET": STRONG * 2,
}


def assert_refused(folder, name, value, **changes):
    """The portal refuses to start with `changes`: the reason names the setting, the output hides the secret `value`."""
    printed = refusal_of(folder, **changes)

    reason = printed.splitlines()[-1]
    assert name in reason
    if len(value) >= 6 and value not in name.lower():
        assert value not in reason.lower().replace(name.lower(), "").replace("password is", "").replace(
            "'s password", ""
        )


@pytest.mark.parametrize("name", SECRETS)
def test_a_good_one_starts(name, tmp_path):
    others, write = SECRETS[name]

    assert settings_of(tmp_path, **{**others, name: write(GOOD.get(name, STRONG))}).SITE_NAME == "Portal"


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", ["changeme", "secret", "a" * 64])
def test_a_weak_or_default_one_stops_the_start(name, value, tmp_path):
    others, write = SECRETS[name]

    assert_refused(tmp_path, name, value, **{**others, name: write(value)})


@pytest.mark.parametrize("name", [name for name in SECRETS if name not in OPTIONAL])
def test_a_missing_one_stops_the_start(name, tmp_path):
    others, write = SECRETS[name]

    assert_refused(tmp_path, name, "", **{**others, name: write("") if name.endswith("_URL") else None})


def test_a_fernet_key_of_one_byte_stops_the_start(tmp_path):
    value = base64.urlsafe_b64encode(b"\0" * 32).decode()

    assert_refused(tmp_path, "LINK_KEYS", value, LINK_KEYS=value)


def test_the_sandboxes_passkey_is_no_secret_when_live(tmp_path):
    passkey = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"

    assert_refused(tmp_path, "MPESA_PASSKEY", passkey, **{**LIVE, "MPESA_PASSKEY": passkey})


def test_a_server_on_this_machine_may_know_its_users_without_a_password(tmp_path):
    settings = settings_of(
        tmp_path, DATABASE_URL="postgres://portal@127.0.0.1/portal", REDIS_URL="redis://127.0.0.1:6379/0"
    )

    assert settings.DATABASES["default"]["PASSWORD"] == ""


def test_both_ways_of_tls_at_once_stop_the_start(tmp_path):
    assert "EMAIL_USE_TLS and EMAIL_USE_SSL" in reason_of(tmp_path, EMAIL_USE_TLS="1", EMAIL_USE_SSL="1")


@pytest.mark.parametrize("value", DEFAULTS)
def test_words_that_people_forget_to_change_are_weak(value):
    assert weakness_of(value)


@pytest.mark.parametrize("value", KNOWN)
def test_what_everybody_would_try_is_weak(value):
    assert weakness_of(value)


@pytest.mark.parametrize(
    ("value", "least"),
    [
        (ascii_lowercase * 2, 50),
        (ascii_lowercase + ascii_uppercase, 50),
        (f"{ascii_lowercase}{digits}ab", 32),
        ("qwertyuiopasdfghjklzxcvbnm1234567890", 32),
        (f"{ascii_lowercase[::-1]}987654", 32),
    ],
)
def test_what_is_long_and_only_counts_up_is_weak(value, least):
    assert weakness_of(value, least=least, least_different=10)


@pytest.mark.parametrize("characters", [ascii_lowercase, ascii_letters + digits, "0123456789abcdef"])
def test_random_ones_start(characters):
    shaken = random.Random(7)
    secrets = ["".join(shaken.choices(characters, k=16)) for _turn in range(300)]

    assert [secret for secret in secrets if weakness_of(secret)] == []


@pytest.mark.parametrize(
    "phrase",
    [
        "ledger-otter-quartz-mango",
        "ruthless mango glacier typist",
        "plinthwombatferrousgazebo",
        "Thrift_Vellum_Oboe_Kelp7",
    ],
)
def test_a_passphrase_of_four_uncommon_words_starts(phrase):
    assert weakness_of(phrase) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ascii_lowercase * 2),
        ("METRICS_TOKEN", f"{ascii_lowercase}{digits}ab"),
        ("DATABASE_URL", "postgres://portal:mysecretpassword@db.internal/portal"),
        ("REDIS_URL", "redis://:foobared@redis.internal:6379/0"),
    ],
)
def test_known_ones_stop_the_start(name, value, tmp_path):
    assert_refused(tmp_path, name, value, **{name: value})


@pytest.mark.parametrize("value", ["a", "a" * 40, "changeme" * 5])
def test_the_secret_of_callbacks_is_one_while_payments_are_off(value, tmp_path):
    assert "MPESA_CALLBACK_SECRET" in reason_of(tmp_path, MPESA_ENV="off", MPESA_CALLBACK_SECRET=value)


@pytest.mark.parametrize(
    "changes",
    [
        {"DATABASE_URL": "postgres://portal@db.internal/portal?passfile=/run/secrets/pgpass"},
        {"DATABASE_URL": "postgres:///?service=portal"},
        {"DATABASE_URL": "postgres://portal@db.internal/portal", "PGPASSWORD": STRONG},
        {"DATABASE_URL": "postgres://portal@db.internal/portal", "PGPASSFILE": "/run/secrets/pgpass"},
        {"REDIS_URL": "rediss://redis.internal:6379/0", "REDIS_WITHOUT_PASSWORD": "1"},
    ],
    ids=["passfile", "service", "PGPASSWORD", "PGPASSFILE", "redis"],
)
def test_a_password_may_be_elsewhere_or_not_be_asked_for(changes, tmp_path):
    assert settings_of(tmp_path, **changes).SITE_NAME == "Portal"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"DATABASE_URL": "postgres://portal@db.internal/portal", "PGPASSWORD": "postgres"}, "PGPASSWORD"),
        (
            {"DATABASE_URL": "postgres://portal:postgres@db.internal/portal", "PGPASSFILE": "/run/pgpass"},
            "DATABASE_URL",
        ),
        ({"REDIS_URL": "redis://:redis123@redis.internal/0", "REDIS_WITHOUT_PASSWORD": "1"}, "REDIS_URL"),
    ],
)
def test_one_that_is_there_is_strong_all_the_same(changes, name, tmp_path):
    assert_refused(tmp_path, name, "", **changes)


def examples():
    """The passwords and keys in the files that we hand out."""
    files = [ROOT / ".env.example", ROOT / "compose.yaml", ROOT / "deploy" / "compose.env.example"]
    files += sorted((ROOT / "deploy" / "k8s").rglob("*.yaml"))
    for path in files:
        text = path.read_text(encoding="utf-8")
        for name, value in re.findall(r"^#?\s*([A-Z0-9_]*(?:SECRET|PASSWORD|_KEY|KEYS)[A-Z_]*)[=:] *(\S+)", text, re.M):
            if not name.endswith(("_KEY_ID", "_LIMIT")) and not value.startswith(("$", "{")):
                yield name, value
        yield from ((f"{path.name} URL", word) for word in re.findall(r"://[^:/\s]*:([^@$\s{}]+)@", text))


def test_what_our_own_examples_bear_is_weak():
    found = list(examples())

    assert found
    assert [pair for pair in found if not weakness_of(pair[1])] == []


def test_a_strong_one_is_no_example():
    assert [value for value in (STRONG, LONG, PRODUCTION["SECRET_KEY"], "4f9c2e77ab10d85e") if weakness_of(value)] == []
