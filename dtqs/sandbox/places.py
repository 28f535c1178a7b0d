"""Files and ports of the sandbox: the folder var, the ports, and the two files that other commands read."""

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

from dtqs.client_env import CLIENT_ENV
from dtqs.ini_lines import syntax_faults
from dtqs.sandbox.child import Account, SandboxError, write_private
from dtqs.sandbox.ports import free_ports, is_free
from dtqs.trust import why_not_own

_USUAL_API_PORT = 8080
_ELSEWHERE = Path("/var/lib/dtqs-sandbox")
_HEADER = "# Written by `dtqs up` at each start. Your changes stay, except keys of folders and ports, and comments.\n"
Keys = Mapping[str, Mapping[str, str]]
"""Values of the INI file by section and key."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the parts, all on loopback."""

    api: int
    postgresql: int
    rabbitmq: int
    distribution: int
    epmd: int


@dataclass(frozen=True, slots=True)
class SandboxPaths:
    """The folder var and the paths in it."""

    var: Path

    @property
    def ini(self) -> Path:
        """Configuration of the stack."""
        return self.var / "dtqs.ini"

    @property
    def client_env(self) -> Path:
        """URL and API key for clients."""
        return self.var / CLIENT_ENV

    @property
    def ports(self) -> Path:
        """Ports of the last start."""
        return self.var / "ports.json"

    @property
    def lock(self) -> Path:
        """File whose lock the running sandbox holds."""
        return self.var / "run" / "lock"

    def pid_file(self, name: str) -> Path:
        """Return the pid file of a part."""
        return self.var / "run" / f"{name}.pid"

    def log(self, name: str) -> Path:
        """Return the log of a part."""
        return self.var / "log" / f"{name}.log"

    @property
    def servers(self) -> Path:
        """Folder of the servers' data. Under root it is outside var if the servers' user cannot reach var."""
        accounts = (Account.choose("postgres"), Account.choose("rabbitmq", "postgres"))
        if all(account is None or account.can_reach(self.var / "data") for account in accounts):
            return self.var
        return _ELSEWHERE / hashlib.sha256(str(self.var).encode()).hexdigest()[:12]

    def refuse_others(self) -> None:
        """Raise SandboxError if the folder is not this user's alone, such as root's after a start with sudo.

        Others could name a foreign process in it, which `dtqs down` would end.
        """
        for path in filter(Path.exists, (self.var, self.lock.parent, self.log("").parent)):
            if why := why_not_own(path):
                raise SandboxError(
                    f"{path} {why}: run this as its owner, close it to others with chmod go-w, "
                    "or choose another folder with --var"
                )
            if not os.access(path, os.W_OK | os.X_OK):
                raise SandboxError(f"{path} is closed to its owner: open it with chmod u+wx")

    def make(self) -> None:
        """Create the folders. Raises SandboxError."""
        try:
            for folder in (self.var, self.lock.parent, self.log("").parent, self.servers):
                folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise SandboxError(
                f"cannot create the folder of the sandbox: {error}; choose another one with --var"
            ) from error


def choose_ports(places: SandboxPaths, api: int | None) -> Ports:
    """Return the ports of the last start, and free ones in place of those that are taken.

    Call it while no part runs: the sandbox's own ports would count as taken.
    """
    file = places.ports
    ports = Ports(*free_ports(len(fields(Ports))))
    if is_free(_USUAL_API_PORT):
        ports = replace(ports, api=_USUAL_API_PORT)
    with suppress(FileNotFoundError, ValueError, TypeError):
        kept = asdict(Ports(**json.loads(file.read_text(encoding="utf-8"))))
        ports = replace(ports, **{name: port for name, port in kept.items() if is_free(port)})
    if api is not None:
        if not is_free(api):
            raise SandboxError(f"port {api} is taken by another program: choose another port with --api-port")
        ports = replace(ports, api=api)
    write_private(file, json.dumps(asdict(ports), indent=1) + "\n")
    return ports


def write_ini(places: SandboxPaths, ours: Keys, proposed: Keys = MappingProxyType({})) -> None:
    """Write the configuration. Keys in `ours` replace those in the file; keys in `proposed` only fill gaps.

    Raises SandboxError for a file that is no INI.
    """
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")
    try:
        with suppress(FileNotFoundError):
            parser.read_string(places.ini.read_text(encoding="utf-8-sig"))
    except (configparser.Error, UnicodeDecodeError) as error:
        faults = syntax_faults(error) if isinstance(error, configparser.Error) else ["is not UTF-8"]
        raise SandboxError(f"{places.ini} {faults[0]}; correct it, or remove the file for a new one") from None
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


def environment_without(ours: Keys) -> dict[str, str]:
    """Return the environment without variables that would lead API and supervisor to other servers."""
    names = {
        f"DTQS_{section}_{key}".upper() for section, values in ours.items() for key in values if ":" not in section
    }
    secrets = {"DTQS_CONFIG", "DTQS_POSTGRESQL_DSN_FILE", "DTQS_RABBITMQ_URL_FILE", "NOTIFY_SOCKET"}
    return {name: value for name, value in os.environ.items() if name not in names | secrets}
