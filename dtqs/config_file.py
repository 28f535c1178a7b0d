"""Find the INI file, and refuse one in the current folder that another user may have written.

It is outside of dtqs.config for the commands over the API: they need no more, and pydantic costs 0.1 s.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from dtqs.trust import why_distrusted

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
    return next((Path(place) for place in PLACES if os.path.isfile(place) and not why_distrusted(place)), None)


def sets_nothing(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the environment holds no setting."""
    return not any(name.startswith(ENVIRONMENT_PREFIX) and name not in RESERVED_ENVIRONMENT for name in environ)


def list_places() -> str:
    """List the places of the file, each with the reason if its file is not trusted."""
    notes = [
        f"{place} ({why}; name it with --config to trust it)" if (why := _why_not(place)) else place for place in PLACES
    ]
    return ", ".join(notes)


def _why_not(place: str) -> str | None:
    return why_distrusted(place) if os.path.isfile(place) else None
