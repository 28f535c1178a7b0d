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
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from dtqs.errors import ConfigError

ENVIRONMENT_PREFIX = "DTQS_"
RESERVED_ENVIRONMENT = frozenset({"DTQS_CONFIG", "DTQS_URL", "DTQS_API_KEY"})
PLACES = ("var/dtqs.ini", "/etc/dtqs/dtqs.ini")
"""Where commands look for the file when neither --config nor DTQS_CONFIG names one."""


class Section(BaseModel):
    """A frozen section of the file. A field's description is its comment in conf/dtqs.ini; names end in their unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PostgresqlSection(Section):
    dsn: SecretStr = Field(SecretStr("postgresql://dtqs@127.0.0.1:5432/dtqs"), description="libpq connection string or URL; dsn_file names a file that holds it")
    pool_size: int = Field(8, ge=1, le=200, description="most connections of one API process")
    connect_timeout_seconds: float = Field(5.0, ge=0.5, le=120, description="seconds to wait for a connection")
    statement_timeout_seconds: float = Field(10.0, ge=1, le=600, description="seconds after which a statement is given up")
    prepared_statements: bool = Field(True, description="on or off; off for PgBouncer before 1.22 in transaction mode")
    retention_days: float = Field(30.0, gt=0, le=36500, description="days that tasks with an outcome are kept")


class RabbitmqSection(Section):
    url: SecretStr = Field(SecretStr("amqp://guest:guest@127.0.0.1:5672/%2F"), description="AMQP URL; url_file names a file that holds it")
    queue_type: Literal["auto", "classic", "quorum"] = Field("auto", description="auto, classic or quorum (real priorities need RabbitMQ 4.3); auto: classic")
    heartbeat_seconds: int = Field(20, ge=1, le=600, description="seconds between the broker's heartbeats; not above the lease time")
    connect_timeout_seconds: float = Field(5.0, ge=0.5, le=120, description="seconds to wait for a connection")
    publish_timeout_seconds: float = Field(10.0, ge=0.5, le=120, description="seconds to wait for the broker's confirm")


class ApiSection(Section):
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8080, ge=1, le=65535, description="TCP port to listen on")
    workers: int = Field(2, ge=1, le=128, description="gunicorn processes")
    auth: bool = Field(True, description="on or off; off is possible only on loopback")
    public_url: str = Field("", description="how clients reach the API, for links; empty: links are paths")
    max_body_bytes: int = Field(4 << 20, ge=1024, le=1 << 30, description="bytes of a JSON body")
    max_connections: int = Field(5000, ge=10, le=100000, description="open connections of one API process, streams included")
    max_streams: int = Field(4000, ge=1, le=100000, description="open SSE streams of one API process")
    ticket_seconds: float = Field(86400.0, ge=60, le=31 * 86400, description="seconds that a signed SSE ticket is valid")
    idempotency_hours: float = Field(24.0, ge=0.01, le=24 * 30, description="hours that an Idempotency-Key is remembered")
    sse_heartbeat_seconds: float = Field(15.0, ge=0.1, le=300, description="seconds between heartbeat comments in a stream")
    sse_retry_seconds: float = Field(1.0, ge=0.05, le=60, description="seconds after which a client is told to reconnect")
    reread_seconds: float = Field(3.0, ge=0.1, le=60, description="seconds between two looks at all watched tasks, in case an event was lost")
    shutdown_seconds: float = Field(10.0, ge=0.5, le=600, description="seconds that running requests get at shutdown")


class SupervisorSection(Section):
    state_dir: Path = Field(Path("/var/lib/dtqs"), description="folder of the node's identity; locked while a supervisor runs")
    drain_seconds: float = Field(30.0, ge=0, le=86400, description="seconds that running tasks get to end after SIGTERM")
    stop_seconds: float = Field(5.0, ge=0.1, le=600, description="seconds that a child gets to give back its work before SIGKILL")
    beat_timeout_seconds: float = Field(60.0, ge=5, le=3600, description="seconds without a sign of life after which a child is killed")
    boot_timeout_seconds: float = Field(60.0, ge=1, le=3600, description="seconds that a new child gets to become ready")
    restart_base_seconds: float = Field(0.1, ge=0.01, le=60, description="seconds before the second restart of a slot; doubled each time it dies young")
    restart_max_seconds: float = Field(30.0, ge=0.1, le=3600, description="most seconds between restarts of a slot")
    young_seconds: float = Field(10.0, ge=0.1, le=3600, description="a child that lived longer than this many seconds is restarted at once")
    hard_limit_seconds: float = Field(5.0, ge=0.1, le=600, description="seconds after a task's time limit at which its process is killed")


class PoolSection(Section):
    workers: int = Field(0, ge=0, le=1024, description="worker processes; 0: one per core")
    moment_seconds: float = Field(0.2, ge=0.01, le=10, description="seconds after which a busy worker holds no unclaimed delivery")
    batch_seconds: float = Field(0.03, ge=0, le=1, description="seconds of work that a batch of light tasks should make; 0: one hint at a time")
    batch_limit: int = Field(250, ge=1, le=1000, description="most light tasks of one claim")


class RetrySection(Section):
    max_retries: int = Field(5, ge=0, le=1000, description="retries after the first attempt, unless task or type say otherwise")
    base_seconds: float = Field(2.0, ge=0, le=3600, description="seconds of backoff before the first retry, doubled each time")
    max_seconds: float = Field(600.0, ge=0, le=86400, description="most seconds of backoff")
    timeout_seconds: float = Field(3600.0, ge=0.1, le=7 * 86400, description="time limit of an attempt, unless task or type say otherwise")


class LeaseSection(Section):
    heartbeat_seconds: float = Field(5.0, ge=0.1, le=60, description="seconds between a worker's heartbeats")
    lease_seconds: float = Field(30.0, ge=0.5, le=3600, description="seconds without a heartbeat after which a worker is judged dead; at least the broker's heartbeat")
    grace_seconds: float = Field(5.0, ge=0.5, le=600, description="seconds after which an unclaimed task is published again if its hint was not confirmed")
    far_out_seconds: float = Field(600.0, ge=10, le=86400, description="seconds after which a task whose hint was confirmed is published again")
    relay_seconds: float = Field(0.5, ge=0.05, le=60, description="seconds between two turns of the relay")


class FilesSection(Section):
    directory: Path = Field(Path("/var/lib/dtqs/files"), description="folder of uploads and outputs, shared by all nodes")
    roots: tuple[Path, ...] = Field((), description="folders below which file: sources are allowed, separated by commas; empty: none")
    max_upload_bytes: int = Field(2 << 30, ge=1, le=1 << 42, description="bytes of one upload")
    retention_days: float = Field(7.0, gt=0, le=36500, description="days that uploads and outputs are kept")


class LogSection(Section):
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug, info, warning or error")
    format: Literal["text", "json"] = Field("text", description="text or json, a line each, on standard error")
    retention_days: int = Field(30, ge=1, le=3650, description="days that log rows of tasks are kept")


SECTIONS: dict[str, type[Section]] = {
    "postgresql": PostgresqlSection,
    "rabbitmq": RabbitmqSection,
    "api": ApiSection,
    "supervisor": SupervisorSection,
    "retry": RetrySection,
    "lease": LeaseSection,
    "files": FilesSection,
    "log": LogSection,
}
_FAMILY = re.compile(r"(pool|processor):([a-z][a-z0-9_-]*)")
_Model = TypeVar("_Model", bound=Section)


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


def find(explicit: str | None = None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file that --config or DTQS_CONFIG names, else the first of PLACES that exists, else None."""
    named = explicit or environ.get("DTQS_CONFIG")
    if named:
        return Path(named)
    return next((Path(place) for place in PLACES if Path(place).is_file()), None)


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the file and the environment. Raises ConfigError with every problem found."""
    problems: list[str] = []
    raw = _overlay(_parse(path, problems) if path else {}, environ, problems)
    values: dict[str, Section | None] = {name: _read(name, model, raw.get(name, {}), problems) for name, model in SECTIONS.items()}
    pools = {name.partition(":")[2]: _read(name, PoolSection, entries, problems) for name, entries in raw.items() if name.startswith("pool:")}
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
        problems.append(f"{where('api', 'auth')}: off is possible only on loopback, but host is {api.host}; allowed: on, or host = 127.0.0.1")
    if lease.lease_seconds < rabbitmq.heartbeat_seconds:
        problems.append(f"{where('lease', 'lease_seconds')}: {lease.lease_seconds:g} is below [rabbitmq] heartbeat_seconds = {rabbitmq.heartbeat_seconds}; allowed: that or more")
    if lease.lease_seconds < 2 * lease.heartbeat_seconds:
        problems.append(f"{where('lease', 'lease_seconds')}: {lease.lease_seconds:g} is less than two heartbeats of {lease.heartbeat_seconds:g} s; allowed: {2 * lease.heartbeat_seconds:g} or more")
    return problems


def _parse(path: Path, problems: list[str]) -> dict[str, dict[str, Entry]]:
    """Read the file with configparser for its values, and by hand for the line of each key."""
    parser = configparser.ConfigParser(interpolation=None, strict=True, default_section="\0", inline_comment_prefixes=None)
    try:
        text = path.read_text(encoding="utf-8")
        parser.read_string(text, source=str(path))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        problems.append(f"{path}: {' '.join(str(error).split())}")
        return {}
    lines, section = {}, ""
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\[([^]]+)\]", line):
            section = match[1]
        elif match := re.match(r"([^\s#;=:][^=:]*?)\s*[=:]", line):
            lines[section, match[1].lower()] = number
    known = {}
    for name in parser.sections():
        if name in SECTIONS or _FAMILY.fullmatch(name):
            known[name] = {key: Entry(value or "", f"{path} line {lines.get((name, key), 0)}") for key, value in parser.items(name)}
        else:
            problems.append(f"{path}: [{name}]: no such section{_suggest(name, [*SECTIONS, 'pool:default', 'processor:image'])}")
    return known


def _overlay(raw: dict[str, dict[str, Entry]], environ: Mapping[str, str], problems: list[str]) -> dict[str, dict[str, Entry]]:
    """Lay DTQS_SECTION_KEY over the file's values; a pool or processor named NAME is DTQS_POOL_NAME_KEY, in upper case."""
    for name, text in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in RESERVED_ENVIRONMENT:
            continue
        rest = name.removeprefix(ENVIRONMENT_PREFIX).lower()
        if match := re.fullmatch(r"(pool|processor)_([a-z0-9-]+)_(\w+)", rest):
            section, key = f"{match[1]}:{match[2]}", match[3]
        else:
            section, _, key = rest.partition("_")
        if section not in SECTIONS and ":" not in section:
            problems.append(f"environment {name}: no such setting{_suggest(section, list(SECTIONS))}")
            continue
        entries = raw.setdefault(section, {})
        # an override by value beats a file that names the secret, and the other way round
        entries.pop(f"{key}_file" if not key.endswith("_file") else key.removesuffix("_file"), None)
        entries[key] = Entry(text, f"environment {name}")
    return raw


def _read(section: str, model: type[_Model], entries: Mapping[str, Entry], problems: list[str]) -> _Model | None:
    values: dict[str, Any] = {}
    for key, entry in entries.items():
        target = key.removesuffix("_file")
        if key in model.model_fields:
            values[key] = _split(entry.text) if _is_list(model, key) else entry.text
        elif target != key and target in model.model_fields and model.model_fields[target].annotation is SecretStr:
            values[target] = _secret(section, key, entry, problems)
        else:
            problems.append(f"{entry.where}: [{section}] {key}: no such key{_suggest(key, list(model.model_fields))}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            key = str(fault["loc"][0]) if fault["loc"] else "?"
            entry = entries.get(key) or entries.get(f"{key}_file") or Entry("", "default")
            shown = "" if model.model_fields[key].annotation is SecretStr else f" {entry.text!r}"
            problems.append(f"{entry.where}: [{section}] {key} ={shown}: {fault['msg']}; allowed: {model.model_fields[key].description}")
        return None


def _secret(section: str, key: str, entry: Entry, problems: list[str]) -> str:
    try:
        return Path(entry.text).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{entry.where}: [{section}] {key} = {entry.text!r}: {error}; allowed: a readable file that holds the secret")
        return ""


def _is_list(model: type[Section], key: str) -> bool:
    return "tuple" in str(model.model_fields[key].annotation)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _suggest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, 0.5)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"
