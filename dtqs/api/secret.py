"""The secret that signs tickets and sessions. It is a file, never in the database: else everybody who may read that could sign as an admin."""

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

from dtqs.config import Config
from dtqs.errors import ConfigError

FILE_NAME = "api-secret"
_SHORTEST = 32
_HOW = "make one with `openssl rand -hex 32 > FILE; chmod 600 FILE`, and give every API host the same"


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
            return path.read_text(encoding="utf-8")
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _make(path)
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError([f"[api] secret_file is not set, and {path} cannot be made or read: {reason}; {_HOW}, or set [supervisor] state_dir"]) from error


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
