"""Hints for a refused payload: show how to write the KEY=VALUE pair so that the API accepts it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dtqs.client import ApiRefusal


def hinted(error: ApiRefusal, pairs: Sequence[str]) -> ApiRefusal:
    """Return the refusal with a hint line for each pair that can be corrected."""
    lines = dict.fromkeys(
        line for fault in error.problem.get("errors") or () if isinstance(fault, dict) for line in _hints(fault, pairs)
    )
    return ApiRefusal("\n".join([str(error), *(f"  {line}" for line in lines)]), error.status, error.problem)


def _hints(fault: dict[str, object], pairs: Sequence[str]) -> Iterator[str]:
    field, message = str(fault.get("field", "")), str(fault.get("message", ""))
    for pair in pairs:
        key, _, value = pair.partition("=")
        if _place(key) != field:
            continue
        if message.startswith("must be a list") and not value.startswith("["):
            yield f"write {_first_of_list(key, pair)}"
        elif not value.startswith("@") and _is_file(value):
            yield f"to upload a local file, write {key}=@{value}"


def _place(key: str) -> str:
    """Return the API's name of a key: `payload.outputs[0].width` for outputs.0.width."""
    return "payload" + "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in key.split("."))


def _first_of_list(key: str, pair: str) -> str:
    return f"{key}.0{pair[len(key) :]}"


def _is_file(value: str) -> bool:
    try:
        return bool(value) and Path(value).is_file()
    except (OSError, ValueError):
        return False
