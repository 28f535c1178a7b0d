"""The place of the INI file: named, or found, and read only where nobody else can have written it."""

import grp
import os
import pwd
from collections.abc import Mapping
from pathlib import Path

PLACES = ("var/dtqs.ini", "/etc/dtqs/dtqs.ini")
"""Where commands look for the file when neither --config nor DTQS_CONFIG names one."""


def find(explicit: str | None = None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file that --config or DTQS_CONFIG names, else the first of PLACES that is there and not foreign, else None."""
    named = explicit or environ.get("DTQS_CONFIG")
    if named:
        return Path(named)
    return next((Path(place) for place in PLACES if Path(place).is_file() and not foreign(Path(place))), None)


def foreign(path: Path) -> str | None:
    """Tell why a file of the current folder is not read without being named: another user can have put it there. None: it is read."""
    if path.is_absolute():
        return None
    for each in (path.parent, path):
        status = each.stat()
        if status.st_uid != os.geteuid():
            return f"{each} belongs to another user (uid {status.st_uid})"
        if status.st_mode & 0o002 or (status.st_mode & 0o020 and not _is_own_group(status.st_gid)):
            return f"{each} can be written by others (mode {status.st_mode & 0o7777:04o})"
    return None


def _is_own_group(gid: int) -> bool:
    """Tell whether a group is the user's private one, as Debian makes it: it has the user's name."""
    try:
        return grp.getgrgid(gid).gr_name == pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return False


def looked_at() -> str:
    """Name the files that commands look for, and why one that is there is not read."""
    notes = [
        f"{place} ({why}; name it with --config to trust it)" if (why := _why_not(Path(place))) else place
        for place in PLACES
    ]
    return ", ".join(notes)


def _why_not(path: Path) -> str | None:
    return foreign(path) if path.is_file() else None
