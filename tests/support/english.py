"""Measure plain English in the project's prose.

`python -m tests.support.english PATH…` lists the faults of files.
"""

import ast
import functools
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
WIDTH = 120
NESTING = 3
WHAT_PER_THOUSAND = 2.0
_NOT_OURS = (
    "tests/data/",
    "tests/integration/schemas/",  # as they were
    "tests/architecture/test_english.py",  # has faults as examples
    "docs/media/",
    "conf/constraints.txt",
    "migrations/",  # their statements never change
    "LICENSE",
)
_WITH_HASHES = {".yaml", ".yml", ".toml", ".service", ".socket", ".target", ".conf"}
"""Files whose comments look like those of a shell."""
_SUFFIXES = {".py", ".sql", ".js", ".css", ".html", ".md", ".sh", ".ini", "", *_WITH_HASHES}
_OPENING = re.compile(r"(?:^|(?<=[.!?:;]\s)|(?<=\|\s)|(?<=[-*#]\s))(What|Who|Whoever|Of|That)\b(?!')")
_PHRASES = re.compile(
    r"\b(that[ ]of|so[ ]many|(is|are)[ ]to[ ]be|for[ ]ever|none[ ]of[ ]ours|as[ ]good[ ]as|had[ ]rather|at[ ]a[ ]word"
    r"|who(ever|mever)|(is|are)[ ]none)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
_CODE = re.compile(r"`[^`]*`|https?://\S+")
_CODE_TEXT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER|DROP|GRANT|import |from )")
_COMMENTS = {
    ".sql": re.compile(r"--[ ]?(.*)"),
    ".js": re.compile(r"^\s*//[ ]?(.*)|/\*(.*?)\*/", re.MULTILINE | re.DOTALL),
    ".css": re.compile(r"/\*(.*?)\*/", re.DOTALL),
    ".sh": re.compile(r"^\s*#(?!!)[ ]?(.*)", re.MULTILINE),
    ".ini": re.compile(r"^\s*[#;][ ]?(.*)", re.MULTILINE),
}


@dataclass(frozen=True, slots=True)
class Prose:
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Fault:
    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.text}"


def files(names: Iterable[str] = ()) -> list[Path]:
    """Return the project's own text files, all of them or those below the named paths."""
    command = ["git", "ls-files", "-co", "--exclude-standard", *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    paths = [ROOT / name for name in done.stdout.splitlines() if not name.startswith(_NOT_OURS)]
    return [path for path in paths if path.is_file() and (path.suffix in _SUFFIXES) and kind(path)]


def kind(path: Path) -> str:
    """Return the suffix that decides how to read a file, or an empty text for a file that is not read.

    The first line of a script without a suffix decides.
    """
    if path.name == "Dockerfile" or path.suffix in _WITH_HASHES:
        return ".sh"
    if path.suffix:
        return path.suffix
    first = path.read_bytes()[:60]
    if not first.startswith(b"#!"):
        return ""
    return ".py" if b"python" in first else ".sh"


def prose(path: Path) -> list[Prose]:
    """Return the comments, docstrings and texts of several words; in Markdown, every line outside code."""
    return _prose_of(kind(path), path.read_text(encoding="utf-8"))


@functools.cache
def _prose_of(sort: str, text: str) -> list[Prose]:
    if sort == ".py":
        return [*_comments(text), *_strings(text)]
    if sort == ".md":
        return list(_markdown(text))
    if sort not in _COMMENTS:
        return []
    found = []
    for match in _COMMENTS[sort].finditer(text):
        comment = next((part for part in match.groups() if part), "")
        found.append(Prose(text.count("\n", 0, match.start()) + 1, comment))
    return found


def _comments(text: str) -> Iterator[Prose]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(
            ("#!", "# type:", "# noqa", "# ruff", "# fmt")
        ):
            yield Prose(token.start[0], token.string.lstrip("# "))


def _strings(text: str) -> Iterator[Prose]:
    """Yield docstrings and messages. A string with fewer than two spaces is a name; SQL is code."""
    texts = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    for node in texts:
        value = node.value
        if isinstance(value, str) and value.count(" ") >= 2 and not _CODE_TEXT.match(value):
            yield Prose(node.lineno, value)


def _markdown(text: str) -> Iterator[Prose]:
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield Prose(number, line)


def faults(path: Path) -> Iterator[Fault]:
    """Yield forbidden openings and phrases, lines that are too wide and functions that nest too deep."""
    for part in prose(path):
        plain = _CODE.sub("X", part.text)
        for match in [*_OPENING.finditer(plain), *_PHRASES.finditer(plain)]:
            yield Fault(path, part.line, f"says {match.group()!r}: {plain.strip()[:70]}")
    if path.suffix not in (".md", ".html"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if len(line) > WIDTH:
                yield Fault(path, number, f"{len(line)} columns; allowed: {WIDTH}")
    if kind(path) == ".py" and path.is_relative_to(ROOT / "dtqs"):
        yield from _too_deep(path)


def _too_deep(path: Path) -> Iterator[Fault]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (depth := nesting(node)) > NESTING:
            yield Fault(path, node.lineno, f"{node.name} nests {depth} deep; allowed: {NESTING}")


_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def nesting(node: ast.AST) -> int:
    """Return how deep the blocks of a function nest; an elif is as deep as its if."""
    deepest = 0
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            is_elif = (
                isinstance(node, ast.If) and field == "orelse" and len(node.orelse) == 1 and isinstance(child, ast.If)
            )
            deepest = max(deepest, nesting(child) + (isinstance(child, _BLOCKS) and not is_elif))
    return deepest


def what_per_thousand(paths: Iterable[Path]) -> float:
    """Return how often the word "what" occurs in a thousand words of prose."""
    words = [
        word.lower() for path in paths for part in prose(path) for word in _WORD.findall(_CODE.sub("X", part.text))
    ]
    return 1000 * words.count("what") / len(words) if words else 0.0


def main() -> None:
    paths = files(sys.argv[1:])
    found = [fault for path in paths for fault in faults(path)]
    print(*found, sep="\n")
    print(f"{len(found)} faults in {len(paths)} files; {what_per_thousand(paths):.1f} times 'what' in 1,000 words")


if __name__ == "__main__":
    main()
