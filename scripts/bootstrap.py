#!/usr/bin/env python3
"""Make `.venv` and install the pinned packages. Needs only Python 3.11 or newer.

    python3 scripts/bootstrap.py            the packages that the portal needs
    python3 scripts/bootstrap.py dev        ... and those of its tests
    python3 scripts/bootstrap.py dev lint   ... and the linters; `audit`: what `make audit` needs

Sets add up: a call for fewer sets never uninstalls those of an earlier call. When there is nothing to do it prints
nothing and takes a fraction of a second. A call repairs what an interrupted one left. Exit status 0: `.venv` is ready;
1: it prints one sentence on what to do.

This file keeps to the syntax of Python 3.6, so that an old Python can read it and print which version is needed.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
BIN = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin")
SUFFIX = ".exe" if os.name == "nt" else ""
VENV_PYTHON = os.path.join(BIN, "python" + SUFFIX)
STAMP = os.path.join(VENV, "bootstrap.json")

MINIMUM = (3, 11)
COMMANDS = ("python3.13", "python3.12", "python3.11", "python3.14", "python3", "python")
FILES = {
    "run": "requirements.txt",
    "dev": "requirements-dev.txt",
    "lint": "requirements-lint.txt",
    "audit": "requirements-audit.txt",
}
INSTALLER = "requirements-uv.txt"

NO_DOWNLOAD = (
    "The packages could not be installed. If the messages above speak of the network: check the connection; "
    "behind a proxy set HTTPS_PROXY, with a mirror set PIP_INDEX_URL and UV_DEFAULT_INDEX. "
    "Then run the same command again, it goes on from here."
)


class Trouble(Exception):
    """Why `.venv` cannot be made, as a sentence for the user."""


def main(asked):
    asked = set(asked) or {"run"}
    unknown = asked - set(FILES)
    if unknown:
        raise Trouble("No such set: %s. There are: %s." % (", ".join(sorted(unknown)), ", ".join(FILES)))
    stamp = read_stamp()
    if is_current(stamp, asked):
        return
    if not is_sound(stamp):
        make_venv(find_python())
        stamp = None
    stamp = stamp or {"sets": [], "interrupted": False}
    sets = with_run(asked | set(stamp["sets"]))
    say("Installing the packages of: %s" % ", ".join(sorted(sets)))
    # If the call is interrupted after this, the next one knows that packages may be half installed.
    write_stamp(stamp["sets"], interrupted=True)
    install(sets, again=stamp["interrupted"])
    write_stamp(sets, interrupted=False)


def with_run(sets):
    """`sets` with 'run' if 'dev' is missing, and without it if not: 'dev' contains 'run'."""
    return (sets - {"run"}) if "dev" in sets else (sets | {"run"})


# --- What there is ---------------------------------------------------------------------------------


def read_stamp():
    """The stamp that the last call wrote into `.venv`, or None."""
    try:
        with open(STAMP) as file:
            stamp = json.load(file)
        return stamp if stamp["venv"] == VENV else None  # a moved environment has wrong paths in its scripts
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_stamp(sets, interrupted):
    stamp = {
        "venv": VENV,
        "sets": sorted(sets),
        "interrupted": interrupted,
        "digests": {FILES[name]: digest(FILES[name]) for name in sorted(sets)},
    }
    with open(STAMP + ".new", "w") as file:
        json.dump(stamp, file, indent=1)
    os.replace(STAMP + ".new", STAMP)


def digest(name):
    with open(os.path.join(ROOT, name), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def is_current(stamp, asked):
    if not stamp or stamp["interrupted"]:
        return False
    have = set(stamp["sets"])
    needed = with_run(asked | (have & {"dev"}))
    return (
        needed <= have
        and all(stamp["digests"].get(FILES[name]) == digest(FILES[name]) for name in needed)
        and version_of(VENV_PYTHON) is not None
    )


def is_sound(stamp):
    """True when packages can be installed into the existing `.venv`."""
    version = version_of(VENV_PYTHON)
    if version is None or version < MINIMUM:
        return False
    if stamp:
        return True
    # An environment that this script did not finish. It is usable if it has pip: an interrupted one has none yet.
    return not os.path.exists(STAMP) and has_pip()


def has_pip():
    return quietly([VENV_PYTHON, "-m", "pip", "--version"])[0]


# --- Python and .venv ------------------------------------------------------------------------------


def version_of(python):
    """(major, minor, micro) of a Python command, or None when it does not run."""
    code = "import sys; print('%d %d %d' % sys.version_info[:3])"
    if not os.path.exists(python):
        return None
    works, output = quietly([python, "-I", "-c", code])
    try:
        return tuple(int(number) for number in output.split()) if works else None
    except ValueError:
        return None


def find_python():
    """The path of a new enough Python: the one that runs this file, else the first on PATH."""
    found = []
    here = os.path.realpath(VENV) + os.sep
    for path in [sys.executable] + [shutil.which(command) for command in COMMANDS]:
        if not path or os.path.abspath(path).startswith((VENV + os.sep, here)):
            continue  # the environment that is to be replaced
        version = version_of(path)
        if version is None:
            continue  # a shim or an app store's placeholder, which runs nothing
        if version >= MINIMUM:
            return path
        seen = "%s (%d.%d.%d)" % ((path,) + version)
        if seen not in found:
            found.append(seen)
    raise Trouble(
        "The portal needs Python %d.%d or newer; found only: %s. Get one from https://www.python.org/downloads/ "
        "or by `apt-get install python3.11 python3.11-venv`, `dnf install python3.11`, `brew install python@3.13`, "
        "then run the same command again." % (MINIMUM + (", ".join(found) or "none",))
    )


def make_venv(python):
    """Make a new, empty `.venv` with the first tool that works; deletes the old one."""
    if os.path.isdir(VENV) and os.listdir(VENV) and not os.path.exists(os.path.join(VENV, "pyvenv.cfg")):
        raise Trouble("%s is not a virtual environment: move it away, then run the same command again." % VENV)
    if os.path.islink(VENV):
        raise Trouble("%s leads to the environment of another folder, which would be emptied: remove the link." % VENV)
    major, minor, micro = version_of(python)
    say("Making .venv with Python %d.%d.%d" % (major, minor, micro))
    uv = shutil.which("uv")
    tools = [[python, "-m", "venv", "--clear", VENV]]
    if uv:
        tools.append([uv, "venv", "--clear", "--no-project", "--python", python, VENV])
    tools.append([python, "-m", "virtualenv", "--clear", VENV])
    outputs = []
    for tool in tools:
        works, output = quietly(tool)
        if works and version_of(VENV_PYTHON):
            write_stamp([], interrupted=False)
            return
        outputs.append(output.strip())
    say(outputs[0])
    raise Trouble(
        "%s cannot make a virtual environment. On Debian or Ubuntu: `apt-get install python%d.%d-venv`; "
        "elsewhere install uv or virtualenv. Then run the same command again." % (python, major, minor)
    )


# --- Packages --------------------------------------------------------------------------------------


def install(sets, again):
    """Install exactly the pinned packages of `sets`, checked by hash. With `again` reinstall all of them."""
    files = [FILES[name] for name in ("run", "dev", "lint") if name in sets]
    uv = get_uv()
    if uv:
        # Compile the modules once, here. With PYTHONDONTWRITEBYTECODE each process would compile some 3,000 modules.
        command = [uv, "pip", "sync", "--quiet", "--compile-bytecode", "--python", VENV_PYTHON, "--require-hashes"]
        if loudly(command + (["--reinstall"] if again else []) + files):
            return
    if not has_pip():
        raise Trouble(NO_DOWNLOAD)
    if uv:
        say("uv could not do it; trying pip, which may know a mirror of yours")
    command = [VENV_PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes"]
    if again:
        command.append("--force-reinstall")
    for name in files:
        command += ["-r", name]
    if not loudly(command):
        raise Trouble(NO_DOWNLOAD)


def get_uv():
    """The pinned uv in `.venv`, installed if needed; else uv from PATH; else None."""
    with open(os.path.join(ROOT, INSTALLER)) as file:
        version = file.readline().split()[0].split("==")[1]
    own = os.path.join(BIN, "uv" + SUFFIX)
    if os.path.exists(own) and quietly([own, "--version"])[1].split()[1:2] == [version]:
        return own
    command = [VENV_PYTHON, "-m", "pip", "install", "--quiet", "--force-reinstall", "--require-hashes", "-r", INSTALLER]
    if has_pip() and quietly(command)[0] and os.path.exists(own):
        return own
    return shutil.which("uv")


# --- Running commands ------------------------------------------------------------------------------


def environment():
    """The caller's environment, without variables that make pip or uv install elsewhere than in `.venv`."""
    astray = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "__PYVENV_LAUNCHER__")
    clean = {name: value for name, value in os.environ.items() if name not in astray}
    clean.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    clean.setdefault("PIP_RETRIES", "2")  # fail within seconds without a network
    return clean


def quietly(command):
    """Run `command`. Returns (True when it worked, its output)."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
        )
    except OSError as problem:
        return False, str(problem)
    return done.returncode == 0, done.stdout


def loudly(command):
    """Run `command` and show its output. Returns True when it worked."""
    try:
        return subprocess.run(command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL).returncode == 0
    except OSError as problem:
        say(str(problem))
        return False


def say(sentence):
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Trouble as trouble:
        say(str(trouble))
        sys.exit(1)
    except OSError as problem:
        say("%s. Is the project's folder writable, is the disk full?" % problem)
        sys.exit(1)
    except KeyboardInterrupt:
        say("Stopped. Run the same command again, it goes on from here.")
        sys.exit(130)
