"""The secret that signs tickets and sessions. It is a file, never in the database: else everybody who may read that could sign as an admin."""

import hashlib
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dtqs.config import Config
from dtqs.errors import ConfigError

FILE_NAME = "api-secret"
_SHORTEST = 32
_ROOT = 0
_HOW = "make one with `openssl rand -hex 32 > FILE; chmod 600 FILE`, and give every API host the same"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with who may read or change the file, and what to do; the API starts all the same unless it is `refused`."""

    found: str
    advice: str
    refused: bool


def file_fault(config: Config) -> Fault | None:
    """Look at the file in the state folder; None where it is right, not used, or not there. Root may look for the user whose the folder is."""
    path, me = config.supervisor.state_dir / FILE_NAME, os.geteuid()
    if not config.api.auth or config.api.secret is not None:
        return None
    with suppress(OSError):
        return _fault(path, path.stat(), {_ROOT, me if me != _ROOT else path.parent.stat().st_uid})
    return None


def api_secret(config: Config) -> bytes:
    """Return the signing key of `[api] secret_file`, or else of a file in the state folder, which the first API of the host makes.

    Raises ConfigError. With auth off nothing is signed.
    """
    if not config.api.auth:
        return secrets.token_bytes(32)
    if config.api.secret is not None:
        text, origin = config.api.secret.get_secret_value(), "[api] secret"
    else:
        path = config.supervisor.state_dir / FILE_NAME
        text, origin = _read_or_make(path), str(path)
    if len(text.strip()) < _SHORTEST:
        raise ConfigError([f"{origin}: shorter than {_SHORTEST} characters; {_HOW}"])
    return hashlib.blake2b(text.strip().encode(), digest_size=32, person=b"dtqs signing").digest()


def fingerprint(key: bytes) -> str:
    """Return what tells one key from another, and nothing of the key."""
    return hashlib.blake2b(b"", key=key, digest_size=8, person=b"dtqs fingerprint").hexdigest()


def another_secret(config: Config, host: str) -> ConfigError:
    """Word that a running API host of this database has another secret."""
    file = config.supervisor.state_dir / FILE_NAME if config.api.secret is None else "[api] secret_file"
    return ConfigError([
        f"{file}: the API on {host} signs tickets and sessions with another secret, so each host would refuse what the other has signed;"
        f" copy the file of {host} to this host, or set [api] secret_file on both"
    ])  # fmt: skip


def _read_or_make(path: Path) -> str:
    try:
        with suppress(FileNotFoundError):
            return _read(path)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _make(path)
        return _read(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            [
                f"[api] secret_file is not set, and {path} cannot be made or read: {reason}; {_HOW}, or set [supervisor] state_dir"
            ]
        ) from error


def _read(path: Path) -> str:
    """Raises ConfigError where somebody else may have written it, OSError, ValueError."""
    with path.open(encoding="utf-8") as file:
        fault = _fault(path, os.fstat(file.fileno()), {_ROOT, os.geteuid()})
        if fault is not None and fault.refused:
            raise ConfigError([f"{fault.found}; {fault.advice}"])
        return file.read()


def _fault(path: Path, found: os.stat_result, owners: set[int]) -> Fault | None:
    """Judge owner and mode. The group may read a file of root's: else no service could."""
    mode = f"{stat.S_IMODE(found.st_mode):04o}"
    if found.st_uid not in owners:
        advice = "delete it and start `dtqs api` again, or give it to that user: chown USER FILE; or run as its owner"
        return Fault(
            f"{path}: it belongs to user {found.st_uid}, who is neither root nor the user of `dtqs api`", advice, True
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        advice = "delete it if somebody else may have changed it, and start `dtqs api` again; or else: chmod 600 FILE"
        return Fault(f"{path}: others than its owner may write it (mode {mode})", advice, True)
    if found.st_mode & (stat.S_IROTH if found.st_uid == _ROOT else stat.S_IRGRP | stat.S_IROTH):
        advice = "who reads it can sign as anybody: delete it and restart `dtqs api` on every host, or at least: chmod 600 FILE"
        return Fault(f"{path}: others than its owner may read it (mode {mode})", advice, False)
    return None


def _make(path: Path) -> None:
    """Make the file whole or not at all; where another process makes it too, one of them wins."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, f"{secrets.token_hex(32)}\n".encode())
        os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.close(descriptor)
        temporary.unlink()
