"""The outputs of task types that make several files of one source: what they must keep to together.

They are judged also where some are wrong in themselves, so that a payload's every fault is told at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from dtqs.errors import Problem
from dtqs.processors.base import Json

OUTPUTS_LIMIT = 100

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Part(Generic[M]):
    """One output as far as it is well formed: fields that are wrong in themselves hold their defaults, and are named in `wrong`."""

    index: int
    output: M
    wrong: frozenset[str] = frozenset()

    def problem(self, field: str, message: str) -> Problem:
        return Problem(f"payload.outputs[{self.index}].{field}", message)


def check_some(outputs: Sequence[M], left_out: str) -> Sequence[M]:
    """Want at least one; `left_out` says what is made where none is named. Raises ValueError."""
    # not min_length: with that, an invalid only item is also told as one too few
    if not outputs:
        raise ValueError(f"at least one output is needed; left out: {left_out}")
    return outputs


def whole(outputs: Sequence[M]) -> list[Part[M]]:
    """Return the outputs of a valid payload as parts."""
    return [Part(index, output) for index, output in enumerate(outputs)]


def well_formed(model: type[M], payload: Json) -> list[Part[M]]:
    """Return what there is to judge of the outputs of a payload that is not valid."""
    given = payload.get("outputs") if isinstance(payload, dict) else None
    items = given[:OUTPUTS_LIMIT] if isinstance(given, list) else []
    return [_part(model, index, item if isinstance(item, dict) else {}) for index, item in enumerate(items)]


def common_problems(parts: Sequence[Part[M]], most: int) -> list[Problem]:
    """Want no more outputs than the settings allow, and a name of its own for each."""
    found = [Problem("payload.outputs", f"{len(parts)} outputs; at most {most} are allowed")] if len(parts) > most else []
    first: dict[str, int] = {}
    for part in parts:
        name = vars(part.output).get("name")  # not there where it is wrong
        # a client that saves them side by side may be on a disk that ignores case
        if name and (index := first.setdefault(name.lower(), part.index)) != part.index:
            found.append(part.problem("name", f"outputs[{index}] has it as well; allowed: a name of its own for each, letters of either case being the same"))
    return found


def _part(model: type[M], index: int, item: dict[str, Json]) -> Part[M]:
    """Set each field that validates by itself on an output that has none."""
    output, wrong = model.model_construct(_fields_set={name for name in model.model_fields if name in item}), set()
    for name, field in model.model_fields.items():
        if name not in item:
            wrong |= {name} if field.is_required() else set()
            continue
        try:
            model.__pydantic_validator__.validate_assignment(output, name, item[name])
        except ValidationError:
            wrong.add(name)
    return Part(index, output, frozenset(wrong))
