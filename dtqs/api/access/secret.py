"""The secret that signs tickets and sessions.

It is a file and not in the database: otherwise every reader of the database could sign as an admin.
"""

import hashlib
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dtqs.config import Config
from dtqs.errors import ConfigError
from dtqs.whole_file import WholeFile

FILE_NAME = "api-secret"
_SHORTEST = 32
_ROOT = 0
_HOW = "make one with `openssl rand -hex 32 > FILE; chmod 600 FILE`, and give every API host the same"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the file's owner or mode, and advice. The API still starts, unless `refused` is set."""

    found: str
    advice: str
    refused: bool


def file_fault(config: Config) -> Fault | None:
    """Check the file in the state folder. Return None if it is right, unused or missing.

    Root checks it for the owner of the folder.
    """
    path, me = config.supervisor.state_dir / FILE_NAME, os.geteuid()
    if not config.api.auth or config.api.secret is not None:
        return None
    with suppress(OSError):
        return _fault(path, path.lstat(), {_ROOT, me if me != _ROOT else path.parent.stat().st_uid})
    return None


def api_secret(config: Config) -> bytes:
    """Return the signing key, from `[api] secret_file` or from a file in the state folder. Raises ConfigError.

    The first API of the host makes the file in the state folder. With auth off, the key is random: nothing is signed.
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
    """Return a fingerprint that tells keys apart and reveals nothing of them."""
    return hashlib.blake2b(b"", key=key, digest_size=8, person=b"dtqs fingerprint").hexdigest()


def another_secret(config: Config, host: str) -> ConfigError:
    """Return the error for a running API host on this database that has another secret."""
    file = config.supervisor.state_dir / FILE_NAME if config.api.secret is None else "[api] secret_file"
    return ConfigError([
        f"{file}: the API on {host} signs tickets and sessions with another secret;"
        " each host refuses those of the other;"
        f" copy the file of {host} to this host, or set [api] secret_file on both;"
        " to change the secret, stop the API on all hosts first"
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
        fault = f"[api] secret_file is not set, and {path} cannot be made or read: {reason}"
        raise ConfigError([f"{fault}; {_HOW}, or set [supervisor] state_dir"]) from error


def _read(path: Path) -> str:
    """Return the text of the file. Raises ConfigError if another user may have written it, OSError, ValueError."""
    _refuse(_fault(path, path.lstat(), {_ROOT, os.geteuid()}))
    # it may have become a link, or a pipe, since the look at it
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, encoding="utf-8") as file:
        _refuse(_fault(path, os.fstat(descriptor), {_ROOT, os.geteuid()}))
        return file.read()


def _refuse(fault: Fault | None) -> None:
    if fault is not None and fault.refused:
        raise ConfigError([f"{fault.found}; {fault.advice}"])


def _fault(path: Path, found: os.stat_result, owners: set[int]) -> Fault | None:
    """Check kind, owner and mode. The group may read a file of root's, since otherwise no service could.

    A link could lead to a file whose content everybody knows.
    """
    if not stat.S_ISREG(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "no regular file"
        return Fault(
            f"{path}: it is {kind}",
            "delete it and start `dtqs api` again, or set [api] secret_file to its target",
            True,
        )
    mode = f"{stat.S_IMODE(found.st_mode):04o}"
    if found.st_uid not in owners:
        advice = "delete it and start `dtqs api` again, or give it to that user: chown USER FILE; or run as its owner"
        return Fault(
            f"{path}: it belongs to user {found.st_uid}, which is neither root nor the user of `dtqs api`", advice, True
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        advice = "if another user may have changed it, delete it and start `dtqs api` again; otherwise: chmod 600 FILE"
        return Fault(f"{path}: users other than its owner may write it (mode {mode})", advice, True)
    if found.st_mode & (stat.S_IROTH if found.st_uid == _ROOT else stat.S_IRGRP | stat.S_IROTH):
        advice = (
            "its readers can sign in as anybody: delete it and restart every `dtqs api`, or at least: chmod 600 FILE"
        )
        return Fault(f"{path}: users other than its owner may read it (mode {mode})", advice, False)
    return None


def _make(path: Path) -> None:
    """Make the file whole or not at all. If another process makes it at the same time, one of the two wins."""
    with WholeFile(path, durable=True, if_missing=True) as file:
        file.write(f"{secrets.token_hex(32)}\n".encode())
