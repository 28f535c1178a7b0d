"""Rules for a list of outputs made from one source.

They are checked even if some outputs are invalid, so that the client gets all problems in one answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from dtqs.errors import Problem
from dtqs.processors.base import Json
from dtqs.processors.faults import model_in

OUTPUTS_LIMIT = 100

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class OutputPart(Generic[M]):
    """One output, as far as it is well formed.

    `wrong` names the invalid fields; each holds its well-formed inner part, or else its default.
    """

    index: int
    output: M
    wrong: frozenset[str] = frozenset()

    def problem(self, field: str, message: str) -> Problem:
        return Problem(f"payload.outputs[{self.index}].{field}", message)


def check_some(items: Sequence[M], left_out: str) -> Sequence[M]:
    """Require at least one item; `left_out` says which output is made without the field. Raises ValueError."""
    # not min_length: with it, a single invalid item is also reported as one too few
    if not items:
        raise ValueError(f"at least one is needed; left out: {left_out}")
    return items


def whole(outputs: Sequence[M]) -> list[OutputPart[M]]:
    """Return the outputs of a valid payload as parts."""
    return [OutputPart(index, output) for index, output in enumerate(outputs)]


def well_formed(model: type[M], payload: Json) -> list[OutputPart[M]]:
    """Return the usable parts of the outputs of an invalid payload."""
    given = payload.get("outputs") if isinstance(payload, dict) else None
    items = given[:OUTPUTS_LIMIT] if isinstance(given, list) else []
    return [_part(model, index, item if isinstance(item, dict) else {}) for index, item in enumerate(items)]


def common_problems(parts: Sequence[OutputPart[M]], most: int) -> list[Problem]:
    """Check that there are at most `most` outputs and that their names differ."""
    found = (
        [Problem("payload.outputs", f"{len(parts)} outputs; at most {most} are allowed")] if len(parts) > most else []
    )
    first: dict[str, int] = {}
    for part in parts:
        name = None if "name" in part.wrong else vars(part.output)["name"]
        # a client may save them side by side on a file system that ignores case
        if name and (index := first.setdefault(name.lower(), part.index)) != part.index:
            found.append(
                part.problem(
                    "name",
                    f"outputs[{index}] has the same name; allowed: a different name for each, ignoring case",
                )
            )
    return found


def _part(model: type[M], index: int, item: dict[str, Json]) -> OutputPart[M]:
    output, wrong = _sound(model, item)
    return OutputPart(index, output, frozenset(wrong))


def _sound(model: type[M], item: dict[str, Json]) -> tuple[M, set[str]]:
    """Set each field that validates by itself, and the well-formed inside of each that does not.

    A required field without a usable value becomes None.
    """
    made, wrong = model.model_construct(_fields_set={name for name in model.model_fields if name in item}), set()
    for name, field in model.model_fields.items():
        if name not in item and not field.is_required():
            continue
        try:
            model.__pydantic_validator__.validate_assignment(made, name, item.get(name))
        except ValidationError as error:
            wrong.add(name)
            # the error is inside the value, so the value itself has the right shape
            is_inside = any(
                len(fault["loc"]) > 1
                for fault in error.errors(include_url=False, include_context=False, include_input=False)
            )
            inner = model_in(field.annotation) if is_inside else None
            vars(made)[name] = _within(inner, item[name]) if inner else None if field.is_required() else field.default
    return made, wrong


def _within(model: type[BaseModel], value: Json) -> Any:
    """Return the well-formed part of a model, or of a list of models."""
    if isinstance(value, dict):
        return _sound(model, value)[0]
    return tuple(_sound(model, each if isinstance(each, dict) else {})[0] for each in value[:OUTPUTS_LIMIT])
