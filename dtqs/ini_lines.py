"""The lines of an INI file: where a key stands, and which line is wrong. configparser tells neither well."""

import configparser
import re


def syntax_faults(error: configparser.Error) -> list[str]:
    """Return the faults of a file that is no INI. configparser's own message quotes lines, which may hold a secret."""
    match error:
        case configparser.MissingSectionHeaderError():  # a ParsingError too
            return [f"line {error.lineno}: no section begins before it; allowed: a line such as [api] first"]
        case configparser.ParsingError():
            return [f"line {line}: neither a section nor a key; allowed: KEY = VALUE" for line, _ in error.errors]
        case configparser.DuplicateSectionError():
            return [f"line {error.lineno}: section [{error.section}] stands here a second time; allowed: once"]
        case configparser.DuplicateOptionError():
            name = f"[{error.section}] {shown_key(error.option)}"
            return [f"line {error.lineno}: {name} stands here a second time; allowed: once"]
    return [f"is no INI file: {type(error).__name__}"]


def shown_key(key: str) -> str:
    """Return a key as messages show it. A piece of a broken DSN would be no name."""
    return key if re.fullmatch(r"[\w-]{1,60}", key) else "(a key that is no name)"


def key_lines(text: str) -> dict[tuple[str, str], int]:
    """Return the line of each (section, key); the key "" stands for the section's header."""
    lines: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\[([^]]+)\]", line):
            section = match[1]
            lines[section, ""] = number
        elif match := re.match(r"([^\s#;=:][^=:]*?)\s*[=:]", line):
            lines[section, match[1].lower()] = number
    return lines
