"""Find clauses of a Python source that tests should protect, and write the source without one of them.

A clause is the smallest part that can be deleted alone: an argument of a filter, an operand of `|`, `&`, `and` or `or`,
a guard, a constraint, a lock. See KINDS. `make mutants` uses this: without the clause a test should fail.
"""

import ast
import re
from dataclasses import dataclass

KINDS = {
    "right": "a condition of a queryset in models, or of a guard that refuses",
    "constraint": "a constraint of a model, and of the migrations that make it",
    "lock": "select_for_update",
    "time": "a comparison with a time, in a filter or a condition",
    "commit": "what waits for the commit happens at once",
    "update": "a condition of a filter before .update()",
}
# The exceptions of guards; `refusals_of` adds their subclasses.
REFUSALS = frozenset({"Refused", "PermissionDenied", "Http404", "AuthenticationFailed", "NotAuthenticated"})
FILTERS = ("filter", "exclude")
TIME_LOOKUP = re.compile(r"(_at|_date|deadline)__(gt|gte|lt|lte|range)$")
TIME_NAME = re.compile(r"(_at|_until|_date)$|^(now|then|time)$")
# The function that `config.outside.queue` calls after the commit.
SEND_NOW = '__import__("config.outside.queue", fromlist=["_send"])._send'


@dataclass(frozen=True)
class Clause:
    """A part of the file `path` that can be deleted: `instead` replaces the bytes from `start` to `end`.

    `function` is the dotted name of the function or class around it. `text` is the clause on one line, or a
    constraint's name.
    """

    kind: str
    path: str
    line: int
    function: str
    text: str
    start: int
    end: int
    instead: str

    @property
    def name(self):
        """The clause's name in `mutants_allowed.txt`."""
        return f"{self.path}::{self.function}::{self.text}"

    def deleted_from(self, text):
        """The source `text` without this clause."""
        data = text.encode()
        return (data[: self.start] + self.instead.encode() + data[self.end :]).decode()


def find(path, text, refusals=REFUSALS):
    """The Clauses in the source `text` of the file `path`, in order of position. No two delete the same part."""
    source = Source(path, text, refusals)
    found = {}
    for node in ast.walk(source.tree):
        for finder in FINDERS.get(type(node), ()):
            for kind, clause, text_of_it, (start, end, instead) in finder(source, node):
                one = source.clause(kind, clause, text_of_it, start, end, instead)
                found.setdefault((start, end, instead), (source.start(clause), one))
    return [clause for _place, clause in sorted(found.values(), key=lambda pair: (pair[0], pair[1].start))]


def refusals_of(texts):
    """REFUSALS and all their subclasses in the sources `texts`, by name."""
    bases = {
        node.name: {_last_name(base) for base in node.bases}
        for text in texts
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
    }
    names = set(REFUSALS)
    while more := {name for name, above in bases.items() if above & names} - names:
        names |= more
    return frozenset(names)


def without_constraint(text, name):
    """The source of a migration without the operations on the constraint `name`."""
    source = Source("", text)
    edits = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and _constant(_keyword(node, "name")) == name and "Constraint" in _called(node):
            parent = source.parents[node]
            # For AddConstraint(constraint=...) the operation around it is the list's element.
            element = source.parents[parent] if isinstance(parent, ast.keyword) else node
            container = source.parents[element]
            if isinstance(container, ast.List):
                edits.append(source.without(element, container.elts, container, "[]"))
    data = text.encode()
    for start, end, instead in sorted(edits, reverse=True):
        data = data[:start] + instead.encode() + data[end:]
    return data.decode()


class Source:
    """A parsed file that can give the bytes of each node."""

    def __init__(self, path, text, refusals=REFUSALS):
        self.path, self.data, self.refusals = path, text.encode(), refusals
        self.tree = ast.parse(text)
        self.starts = [0]
        for line in self.data.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        # What `.update()` is called on: names of functions, as in `_mine(upload).update(...)`, and (function, variable)
        # pairs, as in `mine.update(...)`.
        self.updated = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and _called(node) == "update" and isinstance(node.func, ast.Attribute):
                base = node.func.value
                name = _last_name(base)
                self.updated.add(name if isinstance(base, ast.Call) else (self.function(node), name))
        self.is_models = "models" in path.removesuffix(".py").split("/")

    def start(self, node):
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node):
        return self.starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node):
        return self.data[self.start(node) : self.end(node)].decode()

    def above(self, node):
        """The nodes around `node`, innermost first."""
        while node := self.parents.get(node):
            yield node

    def function(self, node):
        """The function around `node`, or None."""
        return next((each for each in self.above(node) if isinstance(each, ast.FunctionDef)), None)

    def clause(self, kind, node, text, start, end, instead):
        """The Clause of `node`. If the deletion begins on a later line (a call in a chain), that is its line."""
        names = [each.name for each in self.above(node) if isinstance(each, ast.FunctionDef | ast.ClassDef)]
        line = self.data.count(b"\n", 0, max(start, self.start(node))) + 1
        return Clause(
            kind, self.path, line, ".".join(reversed(names)) or "module", " ".join(text.split()), start, end, instead
        )

    def without(self, item, items, whole, empty):
        """The edit that removes `item` from the comma-separated `items`; `empty` replaces `whole` if nothing is
        left."""
        place = items.index(item)
        if len(items) == 1:
            return self.start(whole), self.end(whole), empty
        if place < len(items) - 1:
            return self.start(item), self.start(items[place + 1]), ""
        return self.end(items[place - 1]), self.end(item), ""

    def instead_of(self, whole, part):
        """The edit that replaces the expression `whole` by its `part`."""
        text = self.text(part)
        atom = isinstance(part, ast.Call | ast.Name | ast.Attribute | ast.Constant)
        return self.start(whole), self.end(whole), text if atom else f"({text})"

    def is_rule(self, node):
        """True in a method of a queryset or a function of a models module: these are the rules of access."""
        above = list(self.above(node))
        functions = [each for each in above if isinstance(each, ast.FunctionDef)]
        classes = [each.name for each in above if isinstance(each, ast.ClassDef)]
        return self.is_models and bool(functions) and all(name.endswith(("QuerySet", "Manager")) for name in classes)

    def refuses(self, node):
        """True when an `if` ends by raising a refusal."""
        last = node.body[-1]
        return isinstance(last, ast.Raise) and last.exc is not None and _last_name(last.exc) in self.refusals

    def is_guard(self, node):
        """True when an `if` refuses, or returns early from a rule of access."""
        return self.refuses(node) or (isinstance(node.body[-1], ast.Return) and self.is_rule(node))

    def is_updated(self, call):
        """True when a filter's rows are updated: in the same chain of calls, or through its variable or function."""
        for each in self.above(call):
            if isinstance(each, ast.Call) and _called(each) == "update":
                return isinstance(each.func, ast.Attribute) and call in ast.walk(each.func)
            if isinstance(each, ast.Assign):
                return (self.function(each), _last_name(each.targets[0])) in self.updated
            if isinstance(each, ast.Return):
                return self.function(each).name in self.updated
            if isinstance(each, ast.stmt):
                return False
        return False


# --- Finders: (kind, node, text, edit) for each clause that begins at `node` ---------------------------


def _lock(source, node):
    if _called(node) == "select_for_update":
        dot = source.data.rindex(b".", 0, source.end(node.func))
        text = source.data[dot : source.end(node)].decode()
        yield "lock", node, text, (dot, source.end(node), "")


def _after_commit(source, node):
    if _called(node) == "on_commit":
        instead = f"({source.text(node.args[0])})()"
    elif _called(node) == "send_after_commit":
        facts = ", ".join(source.text(each) for each in node.keywords)
        instead = f"{SEND_NOW}({source.text(node.args[0])}, dict({facts}))"
    else:
        return
    yield "commit", node, source.text(node), (source.start(node), source.end(node), instead)


def _constraint(source, node):
    """The elements of Meta.constraints; for a list comprehension the values that it loops over."""
    if _last_name(node.targets[0]) != "constraints" or not isinstance(node.value, ast.List):
        return
    for element in node.value.elts:
        if isinstance(element, ast.Call):
            edit = source.without(element, node.value.elts, node.value, "[]")
            yield "constraint", element, _constant(_keyword(element, "name")), edit
        elif isinstance(element, ast.Starred) and isinstance(element.value, ast.ListComp):
            values = element.value.generators[0].iter
            pattern = _keyword(element.value.elt, "name")
            for value in values.elts:
                name = "".join(part.value if isinstance(part, ast.Constant) else value.value for part in pattern.values)
                rest = ", ".join(source.text(other) for other in values.elts if other is not value)
                yield "constraint", value, name, (source.start(values), source.end(values), f"[{rest}]")


def _argument(source, node):
    """The arguments of filter, exclude and Q."""
    if _called(node) not in (*FILTERS, "Q") or _in_meta(source, node):
        return
    outer = node
    if _called(node) == "Q":
        if len(node.args) + len(node.keywords) == 1 and _is_operand_or_argument(source, node):
            return  # The finder for the surrounding expression deletes it whole.
        around = (each for each in source.above(node) if isinstance(each, ast.Call) and _called(each) in FILTERS)
        outer = next(around, node)
    items = sorted([*node.args, *node.keywords], key=source.start)
    whole = (source.end(node.func), source.end(node))
    for item in items:
        if _is_bits(item):
            continue  # Each operand is a clause of its own.
        if _tells_time(item):
            kind = "time"
        elif source.is_updated(outer):
            kind = "update"
        elif source.is_rule(node) and (_called(node) != "Q" or len(items) > 1):
            kind = "right"
        else:
            continue
        edit = source.without(item, items, node, "") if len(items) > 1 else (*whole, "()")
        yield kind, item, source.text(item), edit


def _condition(source, node):
    """The operands of `|` and `&` between conditions of a query, and statements such as `condition |= ...`."""
    if _in_meta(source, node):
        return
    if _is_bits(node):
        for part, rest in ((node.left, node.right), (node.right, node.left)):
            if not _is_bits(part) and (_tells_time(part) or (source.is_rule(node) and _is_query(part))):
                kind = "time" if _tells_time(part) else "right"
                yield kind, part, source.text(part), source.instead_of(node, rest)
    elif isinstance(node, ast.AugAssign) and _joins(node) and source.is_rule(node):
        kind = "time" if _tells_time(node.value) else "right"
        yield kind, node, source.text(node), (source.start(node), source.end(node), "pass")


def _operand(source, node):
    """The operands of `and` and `or` in a guard or a rule of access, or where a time is compared."""
    if any(isinstance(part, ast.Constant) for part in node.values):
        return  # `total or 0` gives a default; it is not a condition.
    word = " and " if isinstance(node.op, ast.And) else " or "
    guarded = source.is_rule(node) or _is_test_of_guard(source, node)
    for part in node.values:
        if isinstance(part, ast.BoolOp) or _binds(part) or not (guarded or _tells_time(part)):
            continue
        rest = [each for each in node.values if each is not part]
        if len(rest) == 1:
            edit = source.instead_of(node, rest[0])
        else:
            kept = (source.instead_of(node, each)[2] for each in rest)
            edit = (source.start(node), source.end(node), word.join(kept))
        yield "time" if _tells_time(part) else "right", part, source.text(part), edit


def _guard(source, node):
    """An `if` with a single condition that refuses; the edit makes the condition False."""
    if source.is_guard(node) and not _binds(node.test):
        bare = node.test.operand if isinstance(node.test, ast.UnaryOp) else node.test
        if not isinstance(bare, ast.BoolOp):
            kind = "time" if _tells_time(node.test) else "right"
            text = f"if {source.text(node.test)}"
            yield kind, node.test, text, (source.start(node.test), source.end(node.test), "False")


FINDERS = {
    ast.Call: (_lock, _after_commit, _argument),
    ast.Assign: (_constraint,),
    ast.BinOp: (_condition,),
    ast.AugAssign: (_condition,),
    ast.BoolOp: (_operand,),
    ast.If: (_guard,),
}


# --- What a node is -----------------------------------------------------------------------------------


def _last_name(node):
    """The last name of an expression: `Refused` for `errors.Refused(...)`; "" if it has none."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _called(call):
    """The last name of the called function."""
    return _last_name(call.func)


def _keyword(call, name):
    return next((each.value for each in call.keywords if each.arg == name), None)


def _constant(node):
    return node.value if isinstance(node, ast.Constant) else None


def _in_meta(source, node):
    return any(isinstance(each, ast.ClassDef) and each.name == "Meta" for each in source.above(node))


def _joins(node):
    return isinstance(node.op, ast.BitOr | ast.BitAnd)


def _is_bits(node):
    return isinstance(node, ast.BinOp) and _joins(node)


def _is_query(node):
    """True when an operand can be a condition of a query, and not a type, a set or a mapping."""
    return isinstance(node, ast.Call | ast.Name | ast.UnaryOp | ast.Attribute)


def _is_operand_or_argument(source, node):
    parent = source.parents[node]
    if isinstance(parent, ast.UnaryOp):
        parent = source.parents[parent]
    return _is_bits(parent) or (isinstance(parent, ast.Call) and _called(parent) in (*FILTERS, "Q"))


def _is_test_of_guard(source, node):
    """True when `node` is in the condition of an `if` that is a guard."""
    for each in source.above(node):
        if isinstance(each, ast.If):
            return node in ast.walk(each.test) and source.is_guard(each)
        if not isinstance(each, ast.BoolOp | ast.UnaryOp):
            return False
    return False


def _binds(node):
    """True when an expression assigns a name (`:=`): without it the code after it would not run at all."""
    return any(isinstance(each, ast.NamedExpr) for each in ast.walk(node))


def _tells_time(node):
    """True when a keyword, a Q or a comparison compares times."""
    if isinstance(node, ast.keyword):
        return bool(node.arg and TIME_LOOKUP.search(node.arg))
    if isinstance(node, ast.UnaryOp):
        return _tells_time(node.operand)
    if isinstance(node, ast.Call):
        return _called(node) == "Q" and not node.args and bool(node.keywords) and all(map(_tells_time, node.keywords))
    if isinstance(node, ast.Compare):
        ordered = all(isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in node.ops)
        names = [_last_name(each) for side in [node.left, *node.comparators] for each in _terms(side)]
        # A monotonic clock measures how long a program waits; this is not a rule of the portal.
        return ordered and "monotonic" not in names and any(map(TIME_NAME.search, names))
    return False


def _terms(node):
    """The terms of a sum."""
    return [*_terms(node.left), *_terms(node.right)] if isinstance(node, ast.BinOp) else [node]
