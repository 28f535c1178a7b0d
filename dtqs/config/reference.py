"""The configuration in words: conf/dtqs.ini, `dtqs config show` and docs/configuration.md, all made from the models; pure."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from dtqs.config.reader import SECTIONS, Config, PoolSection, Section
from dtqs.config.sections import allowed, is_secret, number

MASK = "********"
Models = Mapping[str, type[Section]]
"""Settings models by the name of their section, in the order of the file."""

ABOUT = {
    "postgresql": "PostgreSQL, which keeps every task",
    "rabbitmq": "RabbitMQ, which carries the hints",
    "api": "The HTTP API",
    "supervisor": "The supervisor of this node's processes",
    "pool:default": "The workers; a further [pool:NAME] is a second set of them",
    "retry": "Retries of tasks, and the time limit of an attempt",
    "limits": "Bounds for every caller; one API key gets ceilings of its own: dtqs key create --help",
    "lease": "How workers hold tasks, and when those are published or taken back",
    "files": "Uploads and outputs",
    "log": "What the processes write",
}
_INI_HEAD = """\
; DTQS: every setting, with its default. Print this file anew with: dtqs config default
;
; Commands look for it as --config PATH, DTQS_CONFIG, ./var/dtqs.ini, /etc/dtqs/dtqs.ini, in this order.
; DTQS_SECTION_KEY in the environment overrides a key: DTQS_API_PORT=9000, DTQS_POOL_DEFAULT_WORKERS=4.
; A secret can stand in a file of its own: dsn_file = /run/secrets/dsn, url_file = ...
; Check it with: dtqs config check. A comment needs a line of its own.
"""
_REFERENCE_HEAD = """\
# Configuration

One INI file, `conf/dtqs.ini` as shipped, has every key with its default and a comment. This page is made from the same models: `dtqs config reference`.

**Where the file is.** A command takes the first of: `--config PATH`, the environment variable `DTQS_CONFIG`, `./var/dtqs.ini` (written by `dtqs up`),
`/etc/dtqs/dtqs.ini`. Without any of them, all defaults are in force.

**The environment overrides the file**: `DTQS_SECTION_KEY`, for example `DTQS_API_PORT=9000`, `DTQS_LEASE_LEASE_SECONDS=60`, `DTQS_POOL_DEFAULT_WORKERS=4`,
`DTQS_PROCESSOR_IMAGE_MAX_PIXELS=20000000` (a `-` in a name is a `_` there). In Kubernetes set `enableServiceLinks: false`: a Service named `dtqs-api` would
put variables of the same form into every pod.

**Secrets from files.** `dsn` and `url` may stand in a file of their own: `dsn_file = /run/secrets/dsn`, or `DTQS_POSTGRESQL_DSN_FILE`: one of the two.

**Mistakes.** Values are checked when a command starts, all at once; each is told with its file and line (or variable), its key, what is wrong and what is
allowed, and the command ends with exit status 78. An unknown section, key or `DTQS_` variable is a mistake too. A comment needs a line of its own.

    dtqs config check      # check everything, processors' settings included
    dtqs config show       # what is in force and where it comes from, secrets masked
    dtqs config default    # the file with every default

Times are seconds unless the name says otherwise, sizes are bytes. A further `[pool:NAME]` is a second set of workers with settings of its own.
A processor of another package has its section `[processor:NAME]` likewise; `dtqs config default` lists those that are installed.
"""


def models(processors: Models) -> dict[str, type[Section]]:
    """Return all sections in the order of the file; `processors` is settings models by task type."""
    known: dict[str, type[Section]] = {}
    for name, model in SECTIONS.items():
        known[name] = model
        if name == "supervisor":
            known["pool:default"] = PoolSection
    return known | {f"processor:{name}": model for name, model in processors.items()}


def default_ini(processors: Models) -> str:
    """Write the file with every key at its default, a comment above each."""
    parts = [_INI_HEAD]
    for name, model in models(processors).items():
        parts.append(f"\n; {_about(name)}.\n[{name}]\n")
        for key, field in model.model_fields.items():
            parts.append(
                f"; {field.description} ({allowed(field)}; default {_default(field) or 'empty'})\n{_assign(key, _default(field))}\n"
            )
    return "".join(parts)


def reference(processors: Models) -> str:
    """Write docs/configuration.md: every key with what it may hold, its default and what it is."""
    parts = [_REFERENCE_HEAD]
    for name, model in models(processors).items():
        parts.append(
            f"\n## [{name}]\n\n{_about(name)}.\n\n| key | default | allowed | what it is |\n| --- | --- | --- | --- |\n"
        )
        for key, field in model.model_fields.items():
            default = f"`{_default(field)}`" if _default(field) else "empty"
            parts.append(f"| `{key}` | {default} | {_cell(allowed(field))} | {_cell(field.description or '')} |\n")
    return "".join(parts)


def facts(processors: Models) -> dict[str, dict[str, dict[str, str]]]:
    """Return section → key → its default as written in the file, what it may hold, and what it is."""
    return {
        name: {
            key: {"default": _default(field), "allowed": allowed(field), "about": field.description or ""}
            for key, field in model.model_fields.items()
        }
        for name, model in models(processors).items()
    }


def effective(config: Config, processors: Mapping[str, Section]) -> dict[str, dict[str, tuple[str, str]]]:
    """Return section → key → (value as written in the file, where it comes from), secrets masked."""
    sections: dict[str, Section] = {}
    for name in SECTIONS:
        sections[name] = getattr(config, name)
        if name == "supervisor":
            sections |= {f"pool:{pool}": section for pool, section in config.pools.items()}
    sections |= {f"processor:{name}": section for name, section in processors.items()}
    return {
        name: {key: _effective(config, name, section, key) for key in type(section).model_fields}
        for name, section in sections.items()
    }


def _effective(config: Config, name: str, section: Section, key: str) -> tuple[str, str]:
    entries = config.raw.get(name, {})
    entry = entries.get(key) or entries.get(f"{key}_file")
    return text_of(getattr(section, key)), entry.where if entry else "default"


def text_of(value: Any) -> str:
    """Write a value as it stands in the file; a secret masked."""
    if isinstance(value, SecretStr):
        return masked(value.get_secret_value())
    return _plain(value)


def masked(secret: str) -> str:
    """Keep of a URL or connection string what tells an operator where it leads; mask everything else."""
    try:
        url = urlsplit(secret)
        port = f":{url.port}" if url.port else ""
    except ValueError:
        return MASK
    # an @ behind the host means a password with a / ? or # in it, and the parts are not what they seem
    if url.scheme in ("postgresql", "postgres", "amqp", "amqps") and "@" not in url.path + url.query + url.fragment:
        password = f":{MASK}" if url.password is not None else ""
        user = f"{url.username or ''}{password}@" if "@" in url.netloc else ""
        host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
        return f"{url.scheme}://{user}{host}{port}{url.path}" + (f"?{MASK}" if url.query or url.fragment else "")
    return _masked_words(secret)


def _masked_words(secret: str) -> str:
    """Mask a libpq `key=value` string but for the words that are no secret; anything quoted or else is masked whole."""
    words = secret.split()
    if not words or "'" in secret or "\\" in secret or not all(re.fullmatch(r"[a-z_]+=\S*", word) for word in words):
        return MASK
    harmless = ("host", "hostaddr", "port", "dbname", "user", "sslmode", "connect_timeout", "application_name")
    return " ".join(
        word if word.partition("=")[0] in harmless else f"{word.partition('=')[0]}={MASK}" for word in words
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


def _about(section: str) -> str:
    if section.startswith("processor:"):
        return f"Tasks of type {section.partition(':')[2]}"
    return ABOUT[section]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def write_ini(sections: Mapping[str, Mapping[str, tuple[str, str]]]) -> str:
    """Write effective values as INI, each with a comment that says where it comes from unless that is the default."""
    parts = []
    for name, keys in sections.items():
        parts.append(f"[{name}]\n")
        for key, (value, where) in keys.items():
            parts.append(("" if where == "default" else f"; {where}\n") + _assign(key, value) + "\n")
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"
