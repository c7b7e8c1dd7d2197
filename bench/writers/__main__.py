"""Install the writers, let them write, upload what they wrote to a portal, and write the table (see bench.writers).

    .venv/bin/python -m bench.writers [--dir FOLDER]

Needs npm and the package registries. Exit status 1: the portal refused a file that every program opens.
"""

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from ..servers import ROOT, portal

NPM = ["xlsx@0.18.5", "xlsx-js-style@1.2.0", "exceljs@4.4.0", "pptxgenjs@4.0.1", "docx@9.15.2"]
PYPI = ["XlsxWriter==3.3.1", "openpyxl==3.1.5", "python-docx==1.2.0", "python-pptx==1.0.2", "odfpy==1.4.1"]
PYPI += ["pillow==13.0.0"]
# What each converts: [(the file of another writer, endings)].
OFFICE = {"letter.docx": ("docx", "doc", "odt", "rtf", "pdf"), "book.xlsx": ("xlsx", "xls", "ods", "csv", "pdf")}
OFFICE |= {"slides.pptx": ("pptx", "ppt", "odp", "pdf")}
GNUMERIC = {"Gnumeric_Excel:xlsx2": "xlsx", "Gnumeric_Excel:excel_biff8": "xls", "Gnumeric_OpenCalc:odf": "ods"}
PAGE, START, END = ROOT / "docs" / "formats.md", "<!-- writers -->", "<!-- end of writers -->"
SECONDS = 600


def main():
    """Make the files, upload them, and write the table. Returns the exit status."""
    options = argparse.ArgumentParser(prog="python -m bench.writers", description=__doc__.splitlines()[0])
    options.add_argument("--dir", type=Path, help="work here, and leave the files there")
    folder = options.parse_args().dir
    with contextlib.ExitStack() as stack:
        folder = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = folder / "made"
        made.mkdir(parents=True, exist_ok=True)
        _from_npm(folder, made)
        _from_pypi(folder, made)
        _from_office(folder, made)
        _from_gnumeric(made)
        rows = [(path.parent.name, *answer) for path, answer in _uploaded(folder, made)]
    _write(rows)
    refused = [row for row in rows if row[2] is None]
    for row in refused:
        print("refused:", *row)
    print(f"{len(rows)} files of {len({row[0] for row in rows})} writers, {len(refused)} refused")
    return 1 if refused else 0


def _run(*command):
    subprocess.run(command, check=True, timeout=SECONDS, stdout=subprocess.DEVNULL)


def _from_npm(folder, made):
    _run("npm", "install", "--prefix", folder, "--silent", "--no-audit", "--no-fund", *NPM)
    (folder / "package.json").touch()
    _run("node", Path(__file__).with_name("write.mjs"), folder, made)


def _from_pypi(folder, made):
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    _run(python, "-m", "pip", "install", "--quiet", *PYPI)
    _run(python, Path(__file__).with_name("write.py"), made)


def _from_office(folder, made):
    office = shutil.which("soffice") or shutil.which("libreoffice")
    if office is None:
        print("LibreOffice is not here and was left out")
        return
    said = subprocess.run([office, "--version"], capture_output=True, text=True, check=True, timeout=SECONDS).stdout
    target = made / " ".join(said.split()[:2])
    for name, endings in OFFICE.items():
        source = next(made.glob(f"*/{name}"))
        for ending in endings:
            profile = f"-env:UserInstallation=file://{folder.resolve()}/profile"
            _run(office, profile, "--headless", "--convert-to", ending, "--outdir", target / ending, source)
            shutil.move(next((target / ending).iterdir()), target / f"{source.stem} of {ending}.{ending}")
            (target / ending).rmdir()


def _from_gnumeric(made):
    program = shutil.which("ssconvert")
    if program is None:
        print("gnumeric is not here and was left out")
        return
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=SECONDS).stdout
    target = made / f"gnumeric {said.split()[2].strip('’')}"
    target.mkdir(exist_ok=True)
    for exporter, ending in GNUMERIC.items():
        _run(program, "--export-type", exporter, next(made.glob("*/book.xlsx")), target / f"book.{ending}")


def _uploaded(folder, made):
    """Yield (path, (name, stored name or None, sentence)) for each file."""
    with portal("portal", folder) as started, started.web() as web:
        for path in sorted(made.glob("*/*")):
            with path.open("rb") as file:
                answer = web.post("/api/files/upload", files={"file": (path.name, file, "application/octet-stream")})
            facts = answer.json()
            yield path, (path.name, facts.get("filename"), facts.get("note") or facts.get("detail", ""))


def _write(rows):
    """Put the table between the two marks of the page."""
    lines = [START, "", "| writer | file | answer |", "| --- | --- | --- |"]
    writers = {}
    for writer, name, stored, sentence in rows:
        answer = f"refused: {sentence}" if stored is None else "taken" if stored == name else f"taken as `{stored}`"
        writers.setdefault((writer, answer), []).append(name)
    for (writer, answer), names in writers.items():
        lines.append(f"| {writer} | {', '.join(f'`{name}`' for name in names)} | {answer} |")
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.partition(START)[0], page.partition(END)[2]
    PAGE.write_text(before + "\n".join([*lines, "", END]) + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
