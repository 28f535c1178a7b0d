"""The product's source files, parsed once for all checks of a process."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[2]


@functools.cache
def tree(path: Path) -> ast.Module:
    """Return the parsed file. Callers must not change it."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return every node of the parsed file."""
    return tuple(ast.walk(tree(path)))
