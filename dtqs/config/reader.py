"""Read the INI file and its environment overrides into frozen, validated sections, and report every error at once.

The processors are unknown here. Their sections stay raw; `Config.processor` reads one with the processor's own model.
"""

import configparser
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dtqs.config.allowed import allowed, is_list, is_secret, may_be_empty, safe, shown
from dtqs.config.contradictions import contradictions, place_of_key
from dtqs.config.files_section import FilesSection
from dtqs.config.line_breaks import fault_of_lines
from dtqs.config.pool_section import PoolSection
from dtqs.config.routing import SECTION as ROUTES
from dtqs.config.routing import pool_problems, read_routes
from dtqs.config.section import Section
from dtqs.config.sections import (
    SECTIONS,
    ApiSection,
    LeaseSection,
    LimitsSection,
    LogSection,
    MetricsSection,
    PostgresqlSection,
    RabbitmqSection,
    RetrySection,
    SupervisorSection,
)
from dtqs.config.trace_section import TraceSection
from dtqs.config_file import ENVIRONMENT_PREFIX, RESERVED_ENVIRONMENT
from dtqs.errors import ConfigError
from dtqs.ini_lines import key_lines, shown_key, syntax_faults
from dtqs.routes import Routes
from dtqs.suggestion import did_you_mean

LIST_LIMIT = 30
"""A message lists the known names only if there are at most this many."""
_SIMILARITY = 0.5
"""A suggested name may be less similar than elsewhere: section and key names are long."""

_FAMILY = re.compile(r"(pool|processor):([a-z][a-z0-9_-]*)")
_Model = TypeVar("_Model", bound=Section)
_UNREADABLE = object()
"""Marks a secret whose file cannot be read, so that it is reported once and not as a missing value too."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One value as written, and its place: `conf/dtqs.ini line 12`, or `environment DTQS_API_PORT`."""

    text: str
    where: str


Raw = Mapping[str, Mapping[str, Entry]]


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. `path` stays None without a file."""

    path: Path | None
    postgresql: PostgresqlSection
    rabbitmq: RabbitmqSection
    api: ApiSection
    supervisor: SupervisorSection
    pools: Mapping[str, PoolSection]
    routes: Routes
    retry: RetrySection
    limits: LimitsSection
    lease: LeaseSection
    files: FilesSection
    log: LogSection
    metrics: MetricsSection
    trace: TraceSection
    raw: Raw = field(repr=False)

    def where(self, section: str, key: str) -> str:
        """Return the place of a value and its name: `conf/dtqs.ini line 12: [postgresql] dsn`."""
        return place_of_key(self.raw, section, key)

    def processor(self, name: str, model: type[_Model]) -> _Model:
        """Read `[processor:NAME]` with the processor's own model. Raises ConfigError."""
        problems: list[str] = []
        section = f"processor:{name}"
        value = _read(section, model, self.raw.get(section, {}), problems)
        if value is None or problems:
            raise ConfigError(problems)
        return value

    def processor_names(self) -> list[str]:
        """Return the names of the processor sections in file and environment."""
        return [name.partition(":")[2] for name in self.raw if name.startswith("processor:")]


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the file and the environment. Raises ConfigError that lists every problem."""
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
    read = {name: pool for name, pool in pools.items() if pool} or {"default": PoolSection()}
    routes = read_routes(raw.get(ROUTES, {}), problems)
    problems += [] if problems else [*contradictions(values, raw), *pool_problems(read, routes, raw)]
    if problems:
        raise ConfigError(problems)
    return Config(path=path, pools=read, routes=routes, raw=raw, **values)  # type: ignore[arg-type]


def _parse(path: Path, problems: list[str]) -> dict[str, dict[str, Entry]]:
    """Read the values with configparser, and find the line of each key, which configparser does not tell."""
    parser = configparser.ConfigParser(
        interpolation=None, strict=True, default_section="\0", inline_comment_prefixes=None
    )
    try:
        text = path.read_text(encoding="utf-8-sig")
        parser.read_string(text, source=str(path))
    except OSError as error:
        problems.append(f"{path}: {error.strerror}; allowed: a file that this user can read")
        return {}
    except UnicodeDecodeError as error:
        problems.append(f"{path}: it is not UTF-8: {error.reason} at byte {error.start}")
        return {}
    except configparser.Error as error:
        problems += [f"{path} {fault}" for fault in syntax_faults(error)]
        return {}
    lines = key_lines(text)
    known = {}
    for name in parser.sections():
        if name in SECTIONS or name == ROUTES or _FAMILY.fullmatch(name):
            known[name] = {
                key: Entry(value or "", f"{path} line {lines.get((name, key), '?')}")
                for key, value in parser.items(name)
            }
        else:
            line = lines.get((name, ""), "?")
            close = _suggest(name, [*SECTIONS, ROUTES, "pool:default", "processor:image"])
            problems.append(f"{path} line {line}: [{name}]: no such section{close}")
    return known


def _overlay(
    raw: dict[str, dict[str, Entry]], environ: Mapping[str, str], problems: list[str]
) -> dict[str, dict[str, Entry]]:
    """Override the file's values by DTQS_SECTION_KEY variables.

    The keys of a pool or processor are DTQS_POOL_NAME_KEY, with the name in upper case and `_` for `-`.
    """
    for name, text in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in RESERVED_ENVIRONMENT:
            continue
        section, key = _place(name.removeprefix(ENVIRONMENT_PREFIX).lower(), raw)
        if section not in SECTIONS and section != ROUTES and ":" not in section:
            problems.append(f"environment {name}: no such setting{_suggest(name, _environment_names())}")
            continue
        entries = raw.setdefault(section, {})
        # a secret by value in the environment replaces a secret file of the INI file, and the reverse
        twin = f"{key}_file" if not key.endswith("_file") else key.removesuffix("_file")
        if twin in entries and not entries[twin].where.startswith("environment "):
            del entries[twin]
        # a file that was read into a variable often brings its line break
        entries[key] = Entry(text.strip("\r\n"), f"environment {name}")
    return raw


def _environment_names() -> list[str]:
    return [
        f"{ENVIRONMENT_PREFIX}{section}_{key}".upper()
        for section, model in SECTIONS.items()
        for key in model.model_fields
    ]


def _place(rest: str, raw: Raw) -> tuple[str, str]:
    """Split `pool_default_workers` into section and key. Sections of the file go first: their names may hold a `_`."""
    for section in sorted((name for name in raw if ":" in name), key=len, reverse=True):
        prefix = re.sub("[:-]", "_", section) + "_"
        if rest.startswith(prefix):
            return section, rest.removeprefix(prefix)
    if match := re.fullmatch(r"(pool|processor)_([a-z0-9-]+)_(\w+)", rest):
        return f"{match[1]}:{match[2]}", match[3]
    section, _, key = rest.partition("_")
    if section == ROUTES:  # the name of a task type may hold a `-`
        key = next((known for known in raw.get(ROUTES, {}) if known.replace("-", "_") == key), key)
    return section, key


def _read(section: str, model: type[_Model], entries: Mapping[str, Entry], problems: list[str]) -> _Model | None:
    values: dict[str, Any] = {}
    for key, entry in entries.items():
        target = key.removesuffix("_file")
        if fault := _fault_of_lines(section, model, key, entry):
            problems.append(fault)
        elif model_field := model.model_fields.get(key):
            empty = may_be_empty(model_field) and not entry.text
            values[key] = None if empty else _split(entry.text) if is_list(model_field) else entry.text
        elif target in model.model_fields and is_secret(model.model_fields[target]):
            if target in entries:
                problems.append(f"{entry.where}: [{section}] {key}: {target} is set as well; allowed: one of the two")
            else:
                values[target] = _secret(section, key, entry, model.model_fields[target], problems)
        else:
            known = list(model.model_fields)
            problems.append(f"{entry.where}: [{section}] {shown_key(key)}: no such key{_suggest(key, known)}")
    try:
        return model.model_validate({key: value for key, value in values.items() if value is not _UNREADABLE})
    except ValidationError as error:
        problems += [_fault(section, model, entries, fault) for fault in error.errors(include_url=False)]
        return None


def _fault_of_lines(section: str, model: type[Section], key: str, entry: Entry) -> str | None:
    field = model.model_fields.get(key)
    why = field and fault_of_lines(entry.text, field, model.model_fields, _is_ours(section))
    if not why:
        return None
    is_variable = entry.where.startswith("environment ")
    said = "the value has several lines" if is_variable else "the indented line below it goes on with its value"
    return f"{entry.where}: [{section}] {key}: {said}; {why}"


def _is_ours(section: str) -> bool:
    return not section.startswith("processor:")


def _fault(section: str, model: type[Section], entries: Mapping[str, Entry], fault: ErrorDetails) -> str:
    """Describe one wrong value: its place, the value unless it is a secret, the fault, and the allowed values."""
    key = str(fault["loc"][0]) if fault["loc"] else ""
    said = safe(fault["msg"].removeprefix("Value error, ").replace("Input should", "should"))
    if key not in model.model_fields:
        return f"[{section}]: {said}"
    model_field = model.model_fields[key]
    entry = entries.get(key) or entries.get(f"{key}_file")
    if entry is None:  # a default that does not fit another key
        entry = Entry(str(model_field.default), next((other.where for other in entries.values()), "default"))
    value = "" if is_secret(model_field) else f" {shown(model_field, entry.text)!r}"
    hint = "; a comment needs a line of its own" if re.search(r"\s[;#]", entry.text) else ""
    return (
        f"{entry.where}: [{section}] {key} ={value}: {said}{hint}; "
        f"allowed: {allowed(model_field)} ({model_field.description})"
    )


def _secret(section: str, key: str, entry: Entry, field: FieldInfo, problems: list[str]) -> object:
    try:
        text = Path(entry.text).read_text(encoding="utf-8").strip()
        if not (why := fault_of_lines(text, field, (), _is_ours(section))):
            return text
        problems.append(f"{entry.where}: [{section}] {key}: the file has several lines; {why}")
    except (OSError, ValueError) as error:
        # a text that is no absolute path may be the secret itself
        value = f" = {entry.text!r}" if entry.text.startswith("/") else ""
        why = error.strerror if isinstance(error, OSError) else "it is no path, or no UTF-8 text is there"
        problems.append(
            f"{entry.where}: [{section}] {key}{value}: {why}; allowed: a readable file that holds the secret"
        )
    return _UNREADABLE


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _suggest(name: str, known: list[str]) -> str:
    listed = f"; known: {', '.join(known)}" if len(known) <= LIST_LIMIT else ""
    return did_you_mean(name, known, _SIMILARITY) or listed
