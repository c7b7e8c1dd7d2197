"""Every call in the code of the apps, and the function that makes it: for tables that must name all of them."""

import ast
from collections import defaultdict
from functools import cache

from tests.test_imports import FILES, ROOT


@cache
def calls():
    """[(function, the call, whether its result is used)] of every call; a function by its module and __qualname__."""
    found = []
    for path in FILES:
        module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        found += _calls(ast.parse((ROOT / path).read_text(encoding="utf-8")), module)
    return found


def _calls(node, inside):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _calls(child, f"{inside}.{child.name}")
        else:
            if isinstance(child, ast.Call):
                yield inside, child, not isinstance(node, ast.Expr)
            yield from _calls(child, inside)


def functions_that_call(is_meant):
    """{function: how many such calls it makes} for calls of which is_meant(call, result_is_used) is true."""
    found = defaultdict(int)
    for function, call, result_is_used in calls():
        if is_meant(call, result_is_used):
            found[function] += 1
    return dict(found)


def name_of(call):
    """The last part of the name that is called."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))
