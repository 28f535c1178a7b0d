"""Where a payload names its sources, and the uploads that it needs; pure."""

from typing import Any

from dtqs.errors import Invalid, NotFound, Problem
from dtqs.files.uri import upload_id
from dtqs.json_value import shown_key
from dtqs.processors.catalog import Catalog

_PLACE_CHARACTERS = 500


def needed_uploads(catalog: Catalog, task_type: str, payload: Any) -> dict[str, Problem]:
    """Return the ids of the uploads that a retry of a stored task needs, each with the problem to report if it is gone.

    The processor names them, since some stand in its settings only. A payload that is no longer valid needs none.
    """
    try:
        processor, valid = catalog.validate(task_type, payload)
    except (Invalid, NotFound):
        return {}
    named = {file_id: uri for uri in processor.sources(valid) if (file_id := upload_id(uri))}
    found = places(payload, set(named.values()))
    return {
        file_id: Problem(found.get(uri, "payload"), f"{missing_upload(uri)} and submit a new task")
        for file_id, uri in named.items()
    }


def missing_upload(uri: str) -> str:
    """Return the message for an upload that does not exist."""
    return f"there is no file {uri}; upload it first (POST /files)"


def places(payload: Any, wanted: set[str]) -> dict[str, str]:
    """Return the field of a payload where each text stands first. One walk, which ends when all are found."""
    found: dict[str, str] = {}
    _find(payload, wanted, ["payload"], found)
    return found


def _find(value: Any, wanted: set[str], path: list[str | int], found: dict[str, str]) -> None:
    if isinstance(value, str):
        if value in wanted and value not in found:
            place = "".join(f"[{step}]" if isinstance(step, int) else f".{shown_key(step)}" for step in path)
            found[value] = place.lstrip(".") if len(place) <= _PLACE_CHARACTERS else "payload"
        return
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in members:
        if len(found) == len(wanted):
            return
        path.append(step)
        _find(member, wanted, path, found)
        path.pop()
