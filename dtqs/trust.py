"""Tell whether another user may have written a file or may write into a folder. A probe loads it: it imports little."""

import grp
import os
import pwd
import stat

_OTHERS, _GROUP = 0o002, 0o020
_ROOT = 0


def why_not_own(path: str | os.PathLike[str]) -> str | None:
    """Return why a file or folder is not this user's alone, or None. Raises OSError."""
    status = os.stat(path)
    if status.st_uid != os.geteuid():
        return f"belongs to another user (uid {status.st_uid})"
    return _why_open(status)


def why_distrusted(path: str | os.PathLike[str]) -> str | None:
    """Return why a file in the current folder is not trusted: another user may have written it. None: it is trusted.

    An absolute path is always trusted. Raises OSError.
    """
    if os.path.isabs(path):
        return None
    for each in (os.path.dirname(path) or ".", path):
        if why := why_not_own(each):
            return f"{os.fspath(each)} {why}"
    return None


def why_foreign(folder: str | os.PathLike[str]) -> str | None:
    """Return why the folder of a node is not trusted, or None. Raises OSError.

    A user who may write into it could name the process or socket of somebody else. Root looks at nodes of all users.
    """
    status = os.lstat(folder)
    if stat.S_ISLNK(status.st_mode):
        return "is a link"
    if status.st_uid != _ROOT and os.geteuid() not in (_ROOT, status.st_uid):
        return f"belongs to another user (uid {status.st_uid})"
    return _why_open(status)


def may_name(folder: str | os.PathLike[str], pid: int) -> bool:
    """Tell whether a process is root's or of the folder's owner. One that cannot be seen counts as such."""
    try:
        return os.stat(f"/proc/{pid}").st_uid in (_ROOT, os.stat(folder).st_uid)
    except OSError:
        return True


def _why_open(status: os.stat_result) -> str | None:
    if status.st_mode & _OTHERS or (status.st_mode & _GROUP and not _is_private_group(status)):
        return f"can be written by others (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


def _is_private_group(status: os.stat_result) -> bool:
    """Tell whether the group is the private one of the owner: on Debian it has the owner's name."""
    try:
        return grp.getgrgid(status.st_gid).gr_name == pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        return False
