"""The INI file and its environment overrides as frozen, validated sections; every error at once, with file, line, key and what is allowed.

Which processors exist is not known here: their sections are kept raw and read by `Config.processor` with the processor's own settings model.
"""

import configparser
import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dtqs.config.file import find, foreign, looked_at
from dtqs.config.sections import (
    SECTIONS,
    ApiSection,
    FilesSection,
    LeaseSection,
    LimitsSection,
    LogSection,
    PoolSection,
    PostgresqlSection,
    RabbitmqSection,
    RetrySection,
    Section,
    SupervisorSection,
    allowed,
    is_list,
    is_secret,
    may_be_empty,
)
from dtqs.errors import ConfigError

__all__ = [
    "SECTIONS",
    "ApiSection",
    "Config",
    "Entry",
    "FilesSection",
    "LeaseSection",
    "LimitsSection",
    "LogSection",
    "PoolSection",
    "PostgresqlSection",
    "RabbitmqSection",
    "RetrySection",
    "Section",
    "SupervisorSection",
    "find",
    "foreign",
    "load",
    "looked_at",
]

ENVIRONMENT_PREFIX = "DTQS_"
RESERVED_ENVIRONMENT = frozenset({"DTQS_CONFIG", "DTQS_URL", "DTQS_API_KEY"})
LIST_LIMIT = 30
"""Most names that a message lists as known."""

_FAMILY = re.compile(r"(pool|processor):([a-z][a-z0-9_-]*)")
_Model = TypeVar("_Model", bound=Section)
_UNREADABLE = object()
"""Stands for a secret whose file cannot be read: that is one problem, not two."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One value as it was written, and where: `conf/dtqs.ini line 12`, or `environment DTQS_API_PORT`."""

    text: str
    where: str


Raw = Mapping[str, Mapping[str, Entry]]


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. `path` is None where no file was read."""

    path: Path | None
    postgresql: PostgresqlSection
    rabbitmq: RabbitmqSection
    api: ApiSection
    supervisor: SupervisorSection
    pools: Mapping[str, PoolSection]
    retry: RetrySection
    limits: LimitsSection
    lease: LeaseSection
    files: FilesSection
    log: LogSection
    raw: Raw = field(repr=False)

    def processor(self, name: str, model: type[_Model]) -> _Model:
        """Read `[processor:NAME]` with the processor's own model. Raises ConfigError."""
        problems: list[str] = []
        section = f"processor:{name}"
        value = _read(section, model, self.raw.get(section, {}), problems)
        if value is None or problems:
            raise ConfigError(problems)
        return value

    def processor_names(self) -> list[str]:
        """Names of the processor sections that file and environment have."""
        return [name.partition(":")[2] for name in self.raw if name.startswith("processor:")]


def is_silent(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the environment sets nothing of the configuration either."""
    return not any(name.startswith(ENVIRONMENT_PREFIX) and name not in RESERVED_ENVIRONMENT for name in environ)


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the file and the environment. Raises ConfigError with every problem found."""
    problems: list[str] = []
    raw = _overlay(_parse(path, problems) if path else {}, environ, problems)
    values: dict[str, Section | None] = {
        name: _read(name, model, raw.get(name, {}), problems) for name, model in SECTIONS.items()
    }
    pools = {
        name.partition(":")[2]: _read(name, PoolSection, entries, problems)
        for name, entries in raw.items()
        if name.startswith("pool:")
    }
    pools = pools or {"default": PoolSection()}
    problems += [] if problems else _contradictions(values, raw)
    if problems:
        raise ConfigError(problems)
    return Config(path=path, pools={k: v for k, v in pools.items() if v}, raw=raw, **values)  # type: ignore[arg-type]


def _contradictions(values: Mapping[str, Any], raw: Raw) -> list[str]:
    """What no single key can tell."""
    problems = []
    api, lease, rabbitmq = values["api"], values["lease"], values["rabbitmq"]

    def where(section: str, key: str) -> str:
        entry = raw.get(section, {}).get(key)
        return f"{entry.where if entry else 'default'}: [{section}] {key}"

    if not api.auth and api.host not in ("127.0.0.1", "::1", "localhost"):
        problems.append(
            f"{where('api', 'auth')}: off is possible only on loopback, but host is {api.host}; allowed: on, or host = 127.0.0.1"
        )
    short = where("lease", "lease_seconds") + f": {lease.lease_seconds:g} is"
    if lease.lease_seconds < rabbitmq.heartbeat_seconds:
        problems.append(
            f"{short} below [rabbitmq] heartbeat_seconds = {rabbitmq.heartbeat_seconds}; allowed: that or more"
        )
    if lease.lease_seconds < (least := 2 * lease.heartbeat_seconds):
        problems.append(
            f"{short} less than two heartbeats of {lease.heartbeat_seconds:g} s; allowed: {least:g} or more"
        )
    return problems


def _parse(path: Path, problems: list[str]) -> dict[str, dict[str, Entry]]:
    """Read the file with configparser for its values, and by hand for the line of each key."""
    parser = configparser.ConfigParser(
        interpolation=None, strict=True, default_section="\0", inline_comment_prefixes=None
    )
    try:
        text = path.read_text(encoding="utf-8-sig")
        parser.read_string(text, source=str(path))
    except OSError as error:
        problems.append(f"{path}: {error.strerror}; allowed: a file that this user can read")
        return {}
    except (UnicodeDecodeError, configparser.Error) as error:
        problems.append(f"{path}: {' '.join(str(error).split())}")
        return {}
    lines = _lines(text)
    known = {}
    for name in parser.sections():
        if name in SECTIONS or _FAMILY.fullmatch(name):
            known[name] = {
                key: Entry(value or "", f"{path} line {lines.get((name, key), '?')}")
                for key, value in parser.items(name)
            }
        else:
            line = lines.get((name, ""), "?")
            problems.append(
                f"{path} line {line}: [{name}]: no such section{_suggest(name, [*SECTIONS, 'pool:default', 'processor:image'])}"
            )
    return known


def _lines(text: str) -> dict[tuple[str, str], int]:
    """Return the line of each (section, key), and of each section's own header under the key ""."""
    lines: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\[([^]]+)\]", line):
            section = match[1]
            lines[section, ""] = number
        elif match := re.match(r"([^\s#;=:][^=:]*?)\s*[=:]", line):
            lines[section, match[1].lower()] = number
    return lines


def _overlay(
    raw: dict[str, dict[str, Entry]], environ: Mapping[str, str], problems: list[str]
) -> dict[str, dict[str, Entry]]:
    """Lay DTQS_SECTION_KEY over the file's values; a pool or processor named NAME is DTQS_POOL_NAME_KEY, in upper case, `-` as `_`."""
    for name, text in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in RESERVED_ENVIRONMENT:
            continue
        section, key = _place(name.removeprefix(ENVIRONMENT_PREFIX).lower(), raw)
        if section not in SECTIONS and ":" not in section:
            problems.append(f"environment {name}: no such setting{_suggest(name, _environment_names())}")
            continue
        entries = raw.setdefault(section, {})
        # an override by value beats a file that names the secret, and the other way round
        entries.pop(f"{key}_file" if not key.endswith("_file") else key.removesuffix("_file"), None)
        entries[key] = Entry(text, f"environment {name}")
    return raw


def _environment_names() -> list[str]:
    return [
        f"{ENVIRONMENT_PREFIX}{section}_{key}".upper()
        for section, model in SECTIONS.items()
        for key in model.model_fields
    ]


def _place(rest: str, raw: Raw) -> tuple[str, str]:
    """Split `pool_default_workers` into section and key; a section that the file has wins, since its name may hold a `_` itself."""
    for section in sorted((name for name in raw if ":" in name), key=len, reverse=True):
        prefix = re.sub("[:-]", "_", section) + "_"
        if rest.startswith(prefix):
            return section, rest.removeprefix(prefix)
    if match := re.fullmatch(r"(pool|processor)_([a-z0-9-]+)_(\w+)", rest):
        return f"{match[1]}:{match[2]}", match[3]
    section, _, key = rest.partition("_")
    return section, key


def _read(section: str, model: type[_Model], entries: Mapping[str, Entry], problems: list[str]) -> _Model | None:
    values: dict[str, Any] = {}
    for key, entry in entries.items():
        target = key.removesuffix("_file")
        if model_field := model.model_fields.get(key):
            empty = may_be_empty(model_field) and not entry.text
            values[key] = None if empty else _split(entry.text) if is_list(model_field) else entry.text
        elif target in model.model_fields and is_secret(model.model_fields[target]):
            if target in entries:
                problems.append(f"{entry.where}: [{section}] {key}: {target} is set as well; allowed: one of the two")
            else:
                values[target] = _secret(section, key, entry, problems)
        else:
            problems.append(f"{entry.where}: [{section}] {key}: no such key{_suggest(key, list(model.model_fields))}")
    try:
        return model.model_validate({key: value for key, value in values.items() if value is not _UNREADABLE})
    except ValidationError as error:
        problems += [_fault(section, model, entries, fault) for fault in error.errors(include_url=False)]
        return None


def _fault(section: str, model: type[Section], entries: Mapping[str, Entry], fault: ErrorDetails) -> str:
    """Word one wrong value: where it stands, what it is, why it is wrong, what is allowed. A secret is not shown."""
    key = str(fault["loc"][0]) if fault["loc"] else ""
    if key not in model.model_fields:
        return f"[{section}]: {fault['msg'].removeprefix('Value error, ')}"
    model_field = model.model_fields[key]
    entry = entries.get(key) or entries.get(f"{key}_file") or Entry("", "default")
    shown = "" if is_secret(model_field) else f" {entry.text!r}"
    hint = "; a comment needs a line of its own" if re.search(r"\s[;#]", entry.text) else ""
    return f"{entry.where}: [{section}] {key} ={shown}: {fault['msg']}{hint}; allowed: {allowed(model_field)} ({model_field.description})"


def _secret(section: str, key: str, entry: Entry, problems: list[str]) -> object:
    try:
        return Path(entry.text).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        problems.append(
            f"{entry.where}: [{section}] {key} = {entry.text!r}: {error}; allowed: a readable file that holds the secret"
        )
        return _UNREADABLE


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _suggest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, 0.5)
    return (
        f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}" if len(known) <= LIST_LIMIT else ""
    )
