"""One style sheet and one script for all pages, made of the portal's own when static files are collected.

On a phone's line each file of a page costs a round trip. The style sheets have layers and names of their own, so that
they stand together. The scripts are modules, written in a few forms only; a form that `script` does not know is an
error of the build.
"""

import re
from pathlib import PurePosixPath

STYLES, SCRIPT = "css/portal.css", "js/portal.js"
"""The names of the two."""
FIRST = "layers tokens base layout header button form card badge quota table tabs message dialog utilities"
EVERY_PAGE = tuple(f"css/{name}.css" for name in FIRST.split())
"""The style sheets of every page, in their order. Those of some pages follow."""
DARK = "css/dark.css"
"""Switched on and off by itself."""
APART = (DARK, "css/admin.css", "css/api_docs.css", STYLES)
"""The style sheets that the common one leaves out."""
START = "js/app.js"
"""The module that every page starts."""

_IMPORT = re.compile(r'^import (?:\{ (?P<names>\w+(?:, \w+)*) \}|\* as (?P<whole>\w+)) from "(?P<path>\.[\w./-]+)";$')
_EXPORT = re.compile(r"^export (?P<rest>(?:async function|function|class|const) (?P<name>\w+))")
_LATER = re.compile(r'import\("(?P<path>\.[\w./-]+)"\)')


def style_sheet(read, names):
    """The text of the common style sheet. `names` are all style sheets; `read(name)` is the text of one."""
    others = sorted(set(names) - set(EVERY_PAGE) - set(APART))
    return "\n".join(_without_comments(read(name)) for name in [*EVERY_PAGE, *others])


def script(read):
    """The text of the common script: START and all that it imports, each module a function's scope of its own.

    `read(name)` is the text of a module. Raises ValueError for code that it cannot take apart.
    """
    done, texts = {}, []

    def add(name, above=()):
        if name in above:
            raise ValueError(f"{' → '.join([*above, name])}: modules import each other in a circle")
        if name not in done:
            body = _Module(name, read(name))
            for other in body.needs:
                add(other, (*above, name))
            done[name] = f"m{len(done)}"
            texts.append((name, body))

    add(START)
    return "\n".join(f"const {done[name]} = (() => {{\n{body.text(done)}\n}})();" for name, body in texts) + "\n"


class _Module:
    """One module: the names of those it needs, and its text with other modules as values."""

    def __init__(self, name, text):
        self.name, self.lines, self.exports, self.needs = name, _without_comments(text).split("\n"), [], []
        for line in self.lines:
            if found := _IMPORT.match(line) or _LATER.search(line):
                self.needs.append(self._beside(found["path"]))
            elif found := _EXPORT.match(line):
                self.exports.append(found["name"])
            elif line.startswith(("import", "export")):
                raise ValueError(f"{name}: the bundle knows no such form: {line}")

    def _beside(self, path):
        parts = []
        for part in (PurePosixPath(self.name).parent / path).parts:
            if part == "..":
                parts.pop()
            else:
                parts.append(part)
        return "/".join(parts)

    def text(self, known):
        """The body of its function; `known` is {module: the constant that holds it}."""

        def line_of(line):
            if found := _IMPORT.match(line):
                names = f"{{ {found['names']} }}" if found["names"] else found["whole"]
                return f"const {names} = {known[self._beside(found['path'])]};"
            line = _EXPORT.sub(lambda found: found["rest"], line)
            return _LATER.sub(lambda found: f"Promise.resolve({known[self._beside(found['path'])]})", line)

        return "\n".join([*map(line_of, self.lines), f"return {{ {', '.join(self.exports)} }};"])


def _without_comments(text):
    """`text` without the comments that have lines of their own, and without empty lines."""
    kept, inside = [], False
    for line in text.split("\n"):
        bare = line.strip()
        if inside or bare.startswith("/*"):
            inside = "*/" not in bare
            if not inside and not bare.endswith("*/"):
                raise ValueError(f"code behind a comment: {bare}")
        elif bare and not bare.startswith("//"):
            kept.append(line)
    return "\n".join(kept)
