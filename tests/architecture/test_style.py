"""Sizes, words and openings of the code (STYLE: layout, glossary, style)."""

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

from tests.support.source import ROOT, nodes, tree

PRODUCT = sorted(path for path in (ROOT / "dtqs").rglob("*.py") if "_data" not in path.parts)
TESTS = sorted((ROOT / "tests").rglob("*.py"))
EXPLAINED_AT_LENGTH = {"errors.py"}
"""Draws its tree at the top."""
OTHER_WORDS = {
    "job", "jobs", "actor", "actors", "eta", "outbox", "dlq", "redeliver", "redelivery", "dequeue", "requeued",
    "snooze", "rescue", "retried_of", "redrive", "cooldown", "murder", "arbiter", "visibility", "staler", "dispatcher",
    "stager", "forwarder", "keepalive",
}  # fmt: skip
"""Words of other systems for concepts of the glossary."""
FORBIDDEN_MODULES = {"utils", "common", "helpers", "manager", "misc", "util"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def test_no_file_is_long() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in PRODUCT
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}


def test_no_function_is_long_and_most_are_short() -> None:
    sizes = {
        f"{path.relative_to(ROOT)}: {function.name}": lines(function)
        for path in PRODUCT
        for function in functions(path)
    }
    assert {name: size for name, size in sizes.items() if size > 45} == {}
    assert statistics.median(sizes.values()) <= 8


def test_a_module_opens_with_a_short_docstring() -> None:
    openings = {path: ast.get_docstring(tree(path)) or "" for path in PRODUCT if path.name not in EXPLAINED_AT_LENGTH}
    assert {str(path): opening for path, opening in openings.items() if not 1 <= len(opening.splitlines()) <= 4} == {}


def test_names_are_words_of_the_glossary() -> None:
    assert {(str(path), word) for path in PRODUCT for word in words(path) & OTHER_WORDS} == set()


def words(path: Path) -> set[str]:
    """Return the words in all names that a file defines."""
    names = {
        node.name for node in nodes(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    names |= {node.arg for node in nodes(path) if isinstance(node, ast.arg)}
    names |= {node.id for node in nodes(path) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return {word for name in names for word in re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower().split("_")}


def test_no_module_has_a_catch_all_name() -> None:
    assert not {path.stem for path in PRODUCT} & FORBIDDEN_MODULES


def test_no_file_has_a_todo_comment() -> None:
    left = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert [
        path for path in [*PRODUCT, *TESTS] if path != Path(__file__) and left.search(path.read_text(encoding="utf-8"))
    ] == []


def test_a_length_of_time_ends_in_its_unit() -> None:
    assert {(str(path), name) for path in PRODUCT for name in unnamed_times(path)} == set()


def unnamed_times(path: Path) -> set[str]:
    """Return the arguments that are lengths of time without a unit in their names."""
    overridden = (
        {"interval", "timeout"} if path.name in ("connection.py", "cooperative.py", "network.py") else set()
    )  # parameter names of the driver's methods
    arguments = [
        argument for function in functions(path) for argument in [*function.args.args, *function.args.kwonlyargs]
    ]
    floats = {
        argument.arg for argument in arguments if argument.annotation and "float" in ast.unparse(argument.annotation)
    }
    return {name for name in floats if re.search(r"(^|_)(timeout|interval|duration|delay|period)$", name)} - overridden


def test_a_class_name_stands_for_one_class() -> None:
    homes: dict[str, list[str]] = {}
    for path in PRODUCT:
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(name_of(path))
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_the_tree_of_exceptions_names_each_class() -> None:
    module = tree(ROOT / "dtqs" / "errors.py")
    made = {node.name for node in module.body if isinstance(node, ast.ClassDef) and node.bases}
    assert made - set(re.findall(r"\w+", ast.get_docstring(module) or "")) == set()


def test_a_name_stands_for_one_common_fixture() -> None:
    """A second fixture of that name replaces the first in every file that relies on it."""
    homes: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests" / "support").glob("fix_*.py")):
        for function in functions(path):
            if any("fixture" in ast.unparse(decorator) for decorator in function.decorator_list):
                homes.setdefault(function.name, []).append(name_of(path))
    assert len(homes) > 20
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}
