"""Which tests import or name a clause of the source: the nearest first, and of equally near ones the fastest first."""

import ast
import re
from pathlib import Path

WORD = re.compile(r"\w+")
# Folders of tests that take minutes, or that test other programs than the portal.
LEFT_OUT = ("browser", "deploy", "faults", "js")
GUARDS = {
    "constraint": ("tests/guards/test_bad_rows.py",),
    "lock": ("tests/guards/test_locks.py",),
    "commit": ("tests/guards/test_rollbacks.py",),
    "update": ("tests/guards/test_bystanders.py", "tests/guards/test_locks.py"),
}
"""Tables with a case for each clause of a kind. They run first."""
MATRIX = "tests/test_matrix.py"
"""Tests of what each role may do, on each page and call of the API."""
NEAR, MOST_FILES = 2, 30


class Module:
    """A Python file of the apps or the tests, with the names that it imports and all its words."""

    def __init__(self, path, text):
        self.path, self.text = path, text
        self.stem = Path(path).stem.removeprefix("test_")
        self.folders = Path(path).parent.parts
        self.name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self.words = set(WORD.findall(text))
        self.tree = ast.parse(text)
        self.imports = set(self._imports())

    def _imports(self):
        package = self.name.split(".") if self.path.endswith("__init__.py") else self.name.split(".")[:-1]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                start = package[: len(package) - node.level + 1] if node.level else []
                base = ".".join([*start, *([node.module] if node.module else [])])
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)

    @property
    def classes(self):
        return {node.name for node in self.tree.body if isinstance(node, ast.ClassDef)}

    @property
    def cost(self):
        """An estimate of its time. Tests that commit take longer, since every table is emptied after them."""
        count = self.text.count("def test_") + 5 * self.text.count("parametrize(")
        return count * (8 if "transaction=True" in self.text or "transactional_db" in self.text else 1)

    def imports_from(self, other):
        """True when it imports the module `other`, or a class of it through its package's __init__."""
        package = other.name.rpartition(".")[0]
        return other.name in self.imports or any(f"{package}.{name}" in self.imports for name in other.classes)


class Tests:
    """The test files of the project at `root`, and the sources that they test: {path: text}."""

    def __init__(self, root, texts):
        paths = sorted((root / "tests").rglob("test_*.py"))
        names = [path.relative_to(root) for path in paths]
        self.tests = [
            Module(str(name), (root / name).read_text(encoding="utf-8"))
            for name in names
            if name.parts[1] not in LEFT_OUT and name.stem != "test_mutants"
        ]
        self.sources = {path: Module(path, text) for path, text in texts.items()}

    def runs_for(self, clause):
        """The runs of pytest for a clause: (test files, marks of the tests to run, whether to use the servers).

        The run on servers skips tests with these marks, so a run on SQLite has them. If the source mentions SQLite, the
        run on SQLite has all near tests.
        """
        guards = [test.path for test in self.tests if test.path in GUARDS.get(clause.kind, ())]
        ranked = [(rank, path) for rank, path in self.ranked(clause) if path not in guards]
        near = [path for rank, path in ranked if rank <= NEAR]
        far = [path for rank, path in ranked if rank > NEAR][:MOST_FILES]
        if "sqlite" in self.sources[clause.path].words:
            on_sqlite = (near, "", False)
        else:
            on_sqlite = ([path for path in [*near, *far] if self._is_once(path)], "once or sqlite", False)
        runs = ((guards, "", True), (near, "", True), on_sqlite, (far, "", True))
        return [run for run in runs if run[0]]

    def ranked(self, clause):
        """(rank, path) of each test file that may notice the deletion, best first."""
        source = self.sources[clause.path]
        names = self._names(clause, source)
        users = [
            other
            for other in self.sources.values()
            if other is not source and other.words & names and (other.imports_from(source) or _distinct(other, names))
        ]
        found = []
        for test in self.tests:
            rank = self._rank(clause, source, names, users, test)
            if rank is not None:
                found.append((rank, not _in_app(test, source), test.cost, test.path))
        return [(rank, path) for rank, _elsewhere, _cost, path in sorted(found)]

    def _rank(self, clause, source, names, users, test):
        imports = test.imports_from(source)
        if (imports and test.words & names) or (test.stem == source.stem and _in_app(test, source)):
            return 1
        # Do not count imports of models: nearly every test imports one.
        if _in_app(test, source) and (_distinct(test, names) or (imports and "models" not in source.name.split("."))):
            return NEAR
        if _distinct(test, names) or _is_about(test, source):
            return NEAR + 1
        if any(test.imports_from(user) or _is_about(test, user) for user in users):
            return NEAR + 1
        if test.path == MATRIX and clause.kind in ("right", "time"):
            return NEAR + 2
        return NEAR + 3 if imports or test.folders[1:] == source.folders else None

    def _names(self, clause, source):
        """The clause's function and the functions in its module that call it; for a constraint its name."""
        if clause.kind == "constraint":
            return {clause.text}
        functions = {
            node.name: {_last(each) for each in ast.walk(node) if isinstance(each, ast.Name | ast.Attribute)}
            for node in ast.walk(source.tree)
            if isinstance(node, ast.FunctionDef)
        }
        names = set(clause.function.split(".")[-1:])
        while more := {name for name, used in functions.items() if used & names} - names:
            names |= more
        return names

    def _is_once(self, path):
        """True when tests in the file run on SQLite only (marks `once` and `sqlite`)."""
        test = next(each for each in self.tests if each.path == path)
        return bool(re.search(r"mark\.(once|sqlite)\b", test.text))


def _last(node):
    return node.attr if isinstance(node, ast.Attribute) else node.id


def _distinct(module, names):
    """True when it has one of `names` that is unmistakable: one of several words, like `downloadable_by`."""
    return any("_" in name.strip("_") for name in module.words & names)


def _in_app(test, source):
    return test.folders[1:2] == source.folders[:1]


def _is_about(test, source):
    """True when a test file is named after a source of its app: test_form_uploads.py, uploads.py."""
    return source.stem in test.stem and _in_app(test, source)
