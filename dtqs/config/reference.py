"""Write conf/dtqs.ini, `dtqs config show` and docs/configuration.md from the models; pure."""

import re
import textwrap
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from dtqs.config.allowed import allowed, is_list, is_secret, number, shown
from dtqs.config.pool_section import PoolSection
from dtqs.config.reader import Config
from dtqs.config.routing import SECTION as ROUTES
from dtqs.config.section import Section
from dtqs.config.sections import SECTIONS
from dtqs.shown_url import MASK as MASK

WIDTH = 120
"""Comments and lists in the INI file are wrapped at this column."""
Models = Mapping[str, type[Section]]
"""Settings models by the name of their section, in the order of the file."""

ABOUT = {
    "postgresql": "PostgreSQL, which keeps every task",
    "rabbitmq": "RabbitMQ, which carries hints and events",
    "api": "The HTTP API",
    "supervisor": "The supervisor of this node's processes",
    "pool:default": "The workers; a further [pool:NAME] adds a second set of workers",
    "routes": "TASK_TYPE = QUEUE: hints of the type go to that queue; hints of all other types go to task_queue",
    "retry": "Retries of tasks, and the time limit of an attempt",
    "limits": "Limits of all callers; `dtqs key create --help` shows the limits of one API key",
    "lease": "How workers hold tasks, and when tasks are published again or taken back",
    "files": "Uploads, outputs and sources",
    "log": "The processes' logs, and the log rows of tasks",
    "metrics": "Metrics of a node for Prometheus",
    "trace": "Traces of tasks for OpenTelemetry",
}
_INI_HEAD = """\
; DTQS: every setting with its default. `dtqs config default` prints this file.
;
; Commands take the first of: --config PATH, DTQS_CONFIG, ./var/dtqs.ini, /etc/dtqs/dtqs.ini.
; DTQS_SECTION_KEY in the environment overrides a key: DTQS_API_PORT=9000, DTQS_POOL_DEFAULT_WORKERS=4.
; A secret may stand in a file of its own: dsn_file = /run/secrets/dsn, url_file = ...
; `dtqs config check` checks this file. A comment needs a line of its own, and a key begins in the first column.
"""
_REFERENCE_HEAD = """\
# Configuration

DTQS reads one INI file. The shipped `conf/dtqs.ini` has every key with its default and a comment. This page is
generated from the same models by `dtqs config reference`.

## Place of the file

A command takes the first of: `--config PATH`, the environment variable `DTQS_CONFIG`, `./var/dtqs.ini` (written by
`dtqs up`), `/etc/dtqs/dtqs.ini`. Without a file, the defaults apply.

## Environment variables

`DTQS_SECTION_KEY` overrides a key of the file: `DTQS_API_PORT=9000`, `DTQS_LEASE_LEASE_SECONDS=60`,
`DTQS_POOL_DEFAULT_WORKERS=4`, `DTQS_PROCESSOR_IMAGE_MAX_PIXELS=20000000`. A `-` in a name becomes a `_`.
For a name with a `-` or a `_`, the file needs the section, which may be empty: `[pool:big-ones]` makes
`DTQS_POOL_BIG_ONES_WORKERS=9` a setting of that pool.

In Kubernetes set `enableServiceLinks: false`: otherwise a Service named `dtqs-api` puts variables of the same form into
every pod.

## Secrets in files

A secret may stand in a file of its own: set `dsn_file = /run/secrets/dsn` instead of `dsn`, or the variable
`DTQS_POSTGRESQL_DSN_FILE`. Setting both is an error.

## Errors

The services, `dtqs config check` and `dtqs doctor` check all values. They report all errors at once and end with exit
status 78 (the doctor with 1). Other commands check the sections that they need, and the settings of task types not at
all. Each error names the file and line (or the variable), the key, the fault and the allowed values. An unknown
section, key or `DTQS_` variable is an error, too. A comment needs a line of its own.

An indented line goes on with the value above it. Lists may have several lines, with a comma before each further one. So
may texts for which this page says so, and those of other packages' processors, unless a line begins as a key does. For
all other values an indented line is an error, since it would hide a key.

`dtqs health` is an exception, since a probe has exit status 0 or 1. It reads only `state_dir` of `[supervisor]` and the
address of `[api]`. If it fails, its sentence names a file that it cannot read, or a wrong port.

    dtqs config check      # check everything, settings of processors included
    dtqs config show       # show each value in effect and its origin, with secrets masked
    dtqs config default    # print the file with every default

## Units and sections

Times are in seconds and sizes in bytes, unless the name says otherwise. A further `[pool:NAME]` adds a second set of
workers with its own settings. A file without any pool has `[pool:default]`; beside another pool it must stand in the
file, too. `workers = 0` means one worker per core, and `workers = none` is an error. For a node without workers run
`dtqs keeper`, which starts no pool. A processor of another package has a section `[processor:NAME]`, too; `dtqs config
default` lists the installed ones.
"""


def models(processors: Models) -> dict[str, type[Section]]:
    """Return all sections in the order of the file; `processors` holds the settings models by task type."""
    known: dict[str, type[Section]] = {}
    for name, model in SECTIONS.items():
        known[name] = model
        if name == "supervisor":
            known |= {"pool:default": PoolSection, ROUTES: Section}
    return known | {f"processor:{name}": model for name, model in processors.items()}


def default_ini(processors: Models) -> str:
    """Return the INI file: every key at its default, below a comment."""
    parts = [_INI_HEAD]
    for name, model in models(processors).items():
        parts.append(f"\n; {_about(name)}.\n[{name}]\n")
        for key, field in model.model_fields.items():
            comment = f"{field.description} ({allowed(field)}; default {_default(field) or 'empty'})"
            assignment = _assign(key, _default(field))
            parts.append(f"{_comment(comment)}\n{_wrapped(assignment, '    ') if is_list(field) else assignment}\n")
    return "".join(parts)


def reference(processors: Models) -> str:
    """Return docs/configuration.md: every key with its default, the allowed values and its meaning."""
    parts = [_REFERENCE_HEAD]
    for name, model in models(processors).items():
        table_head = (
            "\n| key | default | allowed | meaning |\n| --- | --- | --- | --- |\n" if model.model_fields else ""
        )
        parts.append(f"\n## [{name}]\n\n{_about(name)}.\n{table_head}")
        for key, field in model.model_fields.items():
            default = f"`{_default(field)}`" if _default(field) else "empty"
            parts.append(f"| `{key}` | {default} | {_cell(allowed(field))} | {_cell(field.description or '')} |\n")
    return "".join(parts)


def facts(processors: Models) -> dict[str, dict[str, dict[str, str]]]:
    """Return section → key → default as written in the file, allowed values, and meaning."""
    return {
        name: {
            key: {"default": _default(field), "allowed": allowed(field), "about": field.description or ""}
            for key, field in model.model_fields.items()
        }
        for name, model in models(processors).items()
    }


def effective(config: Config, processors: Mapping[str, Section]) -> dict[str, dict[str, tuple[str, str]]]:
    """Return section → key → (value as written in the file, origin), with secrets masked."""
    sections: dict[str, Section] = {}
    for name in SECTIONS:
        sections[name] = getattr(config, name)
        if name == "supervisor":
            sections |= {f"pool:{pool}": section for pool, section in config.pools.items()}
    sections |= {f"processor:{name}": section for name, section in processors.items()}
    written = config.raw.get(ROUTES, {})
    routes = {ROUTES: {task_type: (entry.text, entry.where) for task_type, entry in written.items()}} if written else {}
    return {
        name: {key: _effective(config, name, section, key) for key in type(section).model_fields}
        for name, section in sections.items()
    } | routes


def _effective(config: Config, name: str, section: Section, key: str) -> tuple[str, str]:
    entries = config.raw.get(name, {})
    entry = entries.get(key) or entries.get(f"{key}_file")
    field, text = type(section).model_fields[key], text_of(getattr(section, key))
    is_plain = is_secret(field) or text == _default(field)  # masked already, or known to everybody
    return text if is_plain else shown(field, text), entry.where if entry else "default"


def text_of(value: Any) -> str:
    """Return a value as written in the file; a secret is masked."""
    if isinstance(value, SecretStr):
        return mask_connection_string(value.get_secret_value())
    return _plain(value)


def mask_connection_string(secret: str) -> str:
    """Mask a URL or libpq connection string except host, port, user and database. Any other text is masked whole."""
    try:
        url = urlsplit(secret)
    except ValueError:
        return MASK
    # an @ after the host means that the password holds a / ? or #: then urlsplit has cut the URL at the wrong places
    if url.scheme in ("postgresql", "postgres", "amqp", "amqps") and "@" not in url.path + url.query + url.fragment:
        _, _, hosts = url.netloc.rpartition("@")
        if not all(re.fullmatch(r"(\[[^]]*\]|[^:[\]]*)(:[0-9]*)?", host) for host in hosts.split(",")):
            return MASK
        password = f":{MASK}" if url.password is not None else ""
        user = f"{url.username or ''}{password}@" if "@" in url.netloc else ""
        return f"{url.scheme}://{user}{hosts}{url.path}" + (f"?{MASK}" if url.query or url.fragment else "")
    return _mask_keywords(secret)


def _mask_keywords(secret: str) -> str:
    """Mask a libpq `key=value` string except its harmless keys. A string with quotes or other parts is masked whole."""
    pairs = secret.split()
    if not pairs or "'" in secret or "\\" in secret or not all(re.fullmatch(r"[a-z_]+=\S*", pair) for pair in pairs):
        return MASK
    harmless = ("host", "hostaddr", "port", "dbname", "user", "sslmode", "connect_timeout", "application_name")
    return " ".join(
        pair if pair.partition("=")[0] in harmless else f"{pair.partition('=')[0]}={MASK}" for pair in pairs
    )


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, tuple):
        return ", ".join(map(_plain, value))
    return "" if value is None else str(value)


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    return default.get_secret_value() if is_secret(field) and isinstance(default, SecretStr) else _plain(default)


def _assign(key: str, value: str) -> str:
    return f"{key} = {value}".rstrip()


def _comment(text: str) -> str:
    return _wrapped(f"; {text}", "; ")


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _about(section: str) -> str:
    if section.startswith("processor:"):
        return f"Tasks of type {section.partition(':')[2]}"
    return ABOUT[section]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def write_ini(sections: Mapping[str, Mapping[str, tuple[str, str]]]) -> str:
    """Return effective values as INI, each below a comment that names its origin unless that is the default."""
    parts = []
    for name, keys in sections.items():
        parts.append(f"[{name}]\n")
        for key, (value, where) in keys.items():
            parts.append(("" if where == "default" else f"; {where}\n") + _assign(key, value) + "\n")
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"
