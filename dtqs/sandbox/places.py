"""Where the sandbox keeps what: the folder var, the ports chosen once, and the two files that every other command reads."""

import configparser
import hashlib
import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType

from dtqs.sandbox.child import Account, SandboxError, write_private
from dtqs.sandbox.ports import free_ports, is_free

_USUAL_API_PORT = 8080
_ELSEWHERE = Path("/var/lib/dtqs-sandbox")
_HEADER = "# Written by `dtqs up` at each start. Keys that you change or add stay, but for those of places and ports; comments do not.\n"
Keys = Mapping[str, Mapping[str, str]]
"""Values as they stand in the file, by section and key."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All on loopback."""

    api: int
    postgresql: int
    rabbitmq: int
    distribution: int
    epmd: int


@dataclass(frozen=True, slots=True)
class SandboxPaths:
    """The folder var and what is in it."""

    var: Path

    @property
    def ini(self) -> Path:
        return self.var / "dtqs.ini"

    @property
    def client_env(self) -> Path:
        return self.var / "client.env"

    @property
    def ports(self) -> Path:
        return self.var / "ports.json"

    @property
    def lock(self) -> Path:
        return self.var / "run" / "lock"

    def pid_file(self, name: str) -> Path:
        return self.var / "run" / f"{name}.pid"

    def log(self, name: str) -> Path:
        return self.var / "log" / f"{name}.log"

    @property
    def servers(self) -> Path:
        """The folder of the servers' data: another one where the user that root gives them to cannot come into var."""
        accounts = (Account.choose("postgres"), Account.choose("rabbitmq", "postgres"))
        if all(account is None or account.can_reach(self.var / "data") for account in accounts):
            return self.var
        return _ELSEWHERE / hashlib.sha256(str(self.var).encode()).hexdigest()[:12]

    def refuse_others(self) -> None:
        """Raise SandboxError where the folder is another user's: root's, after a start with sudo."""
        foreign = [
            path
            for path in (self.var, self.lock.parent, self.log("").parent)
            if path.exists() and not os.access(path, os.W_OK | os.X_OK)
        ]
        if foreign:
            raise SandboxError(
                f"{foreign[0]} belongs to {foreign[0].owner()}: run this as that user, or name another folder with --var"
            )

    def make(self) -> None:
        try:
            for folder in (self.var, self.lock.parent, self.log("").parent, self.servers):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SandboxError(f"cannot make the sandbox's folder: {error}; name another one with --var") from error


def choose_ports(places: SandboxPaths, api: int | None) -> Ports:
    """Return the ports of last time; those that are taken now, or were never chosen, are chosen anew. Call it when nothing of ours runs."""
    file = places.ports
    ports = Ports(*free_ports(len(fields(Ports))))
    if is_free(_USUAL_API_PORT):
        ports = replace(ports, api=_USUAL_API_PORT)
    with suppress(FileNotFoundError, ValueError, TypeError):
        kept = asdict(Ports(**json.loads(file.read_text(encoding="utf-8"))))
        ports = replace(ports, **{name: port for name, port in kept.items() if is_free(port)})
    if api is not None:
        if not is_free(api):
            raise SandboxError(f"port {api} is taken by another program: choose another one with --api-port")
        ports = replace(ports, api=api)
    write_private(file, json.dumps(asdict(ports), indent=1) + "\n")
    return ports


def write_ini(places: SandboxPaths, ours: Keys, proposed: Keys = MappingProxyType({})) -> None:
    """Write the effective configuration: our keys over those that are there, and what is proposed where there is none."""
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")
    with suppress(FileNotFoundError):
        parser.read_string(places.ini.read_text(encoding="utf-8"))
    for section, values in ours.items():
        if not parser.has_section(section):
            parser.add_section(section)
        parser[section].update(values)
    for section, values in proposed.items():
        if not parser.has_section(section):
            parser.add_section(section)
        parser[section].update({key: value for key, value in values.items() if key not in parser[section]})
    text = io.StringIO()
    parser.write(text)
    write_private(places.ini, _HEADER + text.getvalue())


def read_client_env(path: Path) -> dict[str, str]:
    """Read the lines NAME=VALUE that the sandbox wrote; nothing where there is no file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def environment_without(ours: Keys) -> dict[str, str]:
    """Return our environment without what would lead the API and the supervisor to other servers than these."""
    names = {
        f"DTQS_{section}_{key}".upper() for section, values in ours.items() for key in values if ":" not in section
    }
    secrets = {"DTQS_CONFIG", "DTQS_POSTGRESQL_DSN_FILE", "DTQS_RABBITMQ_URL_FILE", "NOTIFY_SOCKET"}
    return {name: value for name, value in os.environ.items() if name not in names | secrets}
