"""Find the URL of the API and the key for it.

Sources: DTQS_URL and DTQS_API_KEY, else client.env beside the configuration file, else its [api] section.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from dtqs.cli.options import no_configuration
from dtqs.client.calls import KEY, URL
from dtqs.client.urls import checked_url, is_local
from dtqs.client_env import CLIENT_ENV, read_client_env
from dtqs.config_file import sets_nothing
from dtqs.errors import ConfigError, NotFound
from dtqs.health import Settings
from dtqs.shown_url import shown_url
from dtqs.trust import why_distrusted


@dataclass(frozen=True, slots=True)
class Endpoint:
    """URL and key of the API, and their source. `is_here`: this machine runs the API with this configuration."""

    url: str
    key: str | None = field(repr=False)
    origin: str
    config_path: Path | None = None
    is_here: bool = False

    def path_of(self, file_id: str) -> Path | None:
        """Return the path of a stored file on this machine. None: it is elsewhere, or cannot be read."""
        from dtqs.config import load  # only a few commands show a file, and pydantic costs 0.1 s
        from dtqs.files import FileSpace

        if not self.is_here:
            return None
        try:
            path = FileSpace(load(self.config_path).files).path_of(file_id)
            return path.absolute() if path.is_file() else None
        except (ConfigError, NotFound, OSError):
            return None


def find_endpoint(path: Path | None, environ: Mapping[str, str] = os.environ) -> Endpoint:
    """Find the API. Raises ConfigError."""
    if path is None and not environ.get(URL) and not environ.get(KEY) and sets_nothing(environ):
        raise no_configuration()
    beside = _beside(path)
    url = environ.get(URL) or beside.get(URL)
    _keep_key(path, url, environ)
    # the key of the file must not go to another server, which the environment names
    same_server = environ.get(URL) in (None, "", beside.get(URL))
    key = environ.get(KEY) or (beside.get(KEY) if same_server else None)
    if url:
        origin = URL if environ.get(URL) else str(path and path.parent / CLIENT_ENV)
        return Endpoint(checked_url(url, URL), key, origin, path, path is not None and is_local(url))
    origin = f"[api] of {path}" if path else f"the default; set {URL} to change it"
    return Endpoint(_listening(path, environ), key, origin, path, is_here=True)


def _beside(path: Path | None) -> dict[str, str]:
    """Read client.env beside the configuration. Raises ConfigError if another user could have written it."""
    file = path.parent / CLIENT_ENV if path else None
    if file is None or not os.path.isfile(file):  # Path.is_file fails in a folder that this user may not enter
        return {}
    if why := why_distrusted(file):
        raise ConfigError(
            [f"{file} is ignored: {why}. To trust it, give the full path of the configuration with --config"]
        )
    return read_client_env(file)


def _keep_key(path: Path | None, url: str | None, environ: Mapping[str, str]) -> None:
    """Refuse to send the environment's key to a server that only a file names. Raises ConfigError.

    The file may be in a folder of another user, who would receive the key.
    """
    if path and url and environ.get(KEY) and not environ.get(URL) and not is_local(checked_url(url, URL)):
        raise _kept(str(path.parent / CLIENT_ENV), url)


def _kept(place: str, url: str) -> ConfigError:
    """Return the error for a place that names a server, which must not get the key of the environment."""
    return ConfigError(
        [
            f"{place} names {shown_url(url)}, and the environment's {KEY} may be for another server: "
            f"set {URL} too, or unset {KEY}"
        ]
    )


def _listening(path: Path | None, environ: Mapping[str, str]) -> str:
    """Return the address of [api]. The rest of the file may name secrets that this user may not read."""
    settings = Settings(str(path) if path else os.devnull, environ)
    host, port = settings.get("api", "host", "127.0.0.1"), settings.get("api", "port", "8080")
    if fault := settings.fault():
        raise ConfigError([f"{fault}; to use the API without it, set {URL} and {KEY}"])
    if host in ("0.0.0.0", "::", "*"):
        host = "127.0.0.1"
    url = checked_url(f"http://{f'[{host}]' if ':' in host else host}:{port}", settings.origin("api", "port"))
    if path and environ.get(KEY) and not settings.is_variable("api", "host") and not _is_here(url, host):
        raise _kept(f"[api] host in {path}", url)
    return url


def _is_here(url: str, host: str) -> bool:
    """Return whether a host is this machine: loopback, or an address of its interfaces."""
    if is_local(url):
        return True
    with suppress(ValueError, OSError):
        address = ip_address(host)  # not a name, whose owner decides on its address
        with socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            return True
    return False
