"""Find the INI file, and refuse one in the current folder that another user may have written.

It is outside of dtqs.config for the commands over the API: they need no more, and pydantic costs 0.1 s.
"""

import grp
import os
import pwd
from collections.abc import Mapping
from pathlib import Path

PLACES = ("var/dtqs.ini", "/etc/dtqs/dtqs.ini")
"""Places of the file when neither --config nor DTQS_CONFIG names one, in the order in which commands look."""


ENVIRONMENT_PREFIX = "DTQS_"
RESERVED_ENVIRONMENT = frozenset({"DTQS_CONFIG", "DTQS_URL", "DTQS_API_KEY"})


def find(explicit: str | None = None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file that --config or DTQS_CONFIG names, else the first trusted file of PLACES, else None."""
    named = explicit or environ.get("DTQS_CONFIG")
    if named:
        return Path(named)
    # os.path.isfile: Path.is_file fails in a folder that this user may not enter
    return next((Path(place) for place in PLACES if os.path.isfile(place) and not why_distrusted(Path(place))), None)


def why_distrusted(path: Path) -> str | None:
    """Return why a file in the current folder is not trusted: another user may have written it. None: it is trusted.

    An absolute path is always trusted.
    """
    if path.is_absolute():
        return None
    for each in (path.parent, path):
        status = each.stat()
        if status.st_uid != os.geteuid():
            return f"{each} belongs to another user (uid {status.st_uid})"
        if status.st_mode & 0o002 or (status.st_mode & 0o020 and not _is_own_group(status.st_gid)):
            return f"{each} can be written by others (mode {status.st_mode & 0o7777:04o})"
    return None


def sets_nothing(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the environment holds no setting."""
    return not any(name.startswith(ENVIRONMENT_PREFIX) and name not in RESERVED_ENVIRONMENT for name in environ)


def _is_own_group(gid: int) -> bool:
    """Tell whether a group is the user's private group: on Debian it has the user's name."""
    try:
        return grp.getgrgid(gid).gr_name == pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return False


def list_places() -> str:
    """List the places of the file, each with the reason if its file is not trusted."""
    notes = [
        f"{place} ({why}; name it with --config to trust it)" if (why := _why_not(Path(place))) else place
        for place in PLACES
    ]
    return ", ".join(notes)


def _why_not(path: Path) -> str | None:
    return why_distrusted(path) if os.path.isfile(path) else None
