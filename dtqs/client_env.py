"""Read client.env: the URL of the API and a key for it, as NAME=VALUE lines of a shell file. `dtqs up` writes it."""

import shlex
from pathlib import Path

from dtqs.errors import ConfigError

CLIENT_ENV = "client.env"


def read_client_env(path: Path) -> dict[str, str]:
    """Read the lines as a shell does. A missing file has none. Raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 text; write NAME=VALUE lines"]) from error
    values = {}
    for number, line in enumerate(lines, 1):
        name, separator, text = line.strip().removeprefix("export ").partition("=")
        if separator and not name.startswith("#"):
            try:
                values[name.strip()] = "".join(shlex.split(text, comments=True))
            except ValueError as error:
                # without the value, which may be a key
                raise ConfigError([f"{path}, line {number}: a quotation mark or an escape is not closed"]) from error
    return values
