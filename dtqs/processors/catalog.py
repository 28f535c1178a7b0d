"""The catalog of task types: the built-in ones and those of other packages, each with its settings.

faults.py words the problems of a payload.
"""

import re
from collections.abc import Collection, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel, ValidationError

from dtqs.config import Config, RetrySection, unknown_types
from dtqs.errors import ConfigError, Invalid, NotFound
from dtqs.processors import checks
from dtqs.processors.base import Json, Processor
from dtqs.processors.callables import method_problems
from dtqs.processors.counts import bounds, count_problems
from dtqs.processors.echo import EchoProcessor
from dtqs.processors.email import EmailProcessor
from dtqs.processors.faults import PROBLEMS_LIMIT, payload_problems
from dtqs.processors.function import processor_class
from dtqs.processors.image.processor import ImageProcessor
from dtqs.processors.sms import SmsProcessor
from dtqs.processors.validation import takes_values, validate_also_as_text
from dtqs.processors.video import VideoProcessor
from dtqs.suggestion import suggestion

GROUP = "dtqs.processors"
"""The entry-point group where packages register their processors."""

BUILT_IN: tuple[type[Processor[Any, Any]], ...] = (
    EchoProcessor,
    EmailProcessor,
    ImageProcessor,
    SmsProcessor,
    VideoProcessor,
)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


class Catalog:
    """The processors by name, ready to validate and to run."""

    def __init__(self, processors: Iterable[Processor[Any, Any]]) -> None:
        self._processors = {processor.name: processor for processor in processors}
        self._bounds = {
            name: found for name, processor in self._processors.items() if (found := bounds(processor.payload_model))
        }
        self._textual = {
            name for name, processor in self._processors.items() if not takes_values(processor.payload_model)
        }

    @classmethod
    def load(cls, config: Config) -> "Catalog":
        """Build every processor with its section of the configuration. Raises ConfigError with every problem found."""
        problems: list[str] = []
        classes = _classes(problems)
        problems += _unknown_sections(config, classes)
        problems += unknown_types(config.pools, config.routes, config.raw, sorted(classes))
        processors = [built for found in classes.values() if (built := _build(found, config, problems))]
        if problems:
            raise ConfigError(problems)
        return cls(processors)

    def names(self) -> list[str]:
        return sorted(self._processors)

    def final_types(self) -> list[str]:
        """Return the types whose attempts are not retried after a time limit."""
        return [name for name in self.names() if not self._processors[name].retry_on_timeout]

    def only(self, task_types: Collection[str]) -> "Catalog":
        """Return the catalog of these types, or this one if none is named."""
        return Catalog(self._processors[name] for name in task_types) if task_types else self

    def get(self, task_type: str) -> Processor[Any, Any]:
        """Return the processor of a task type. Raises NotFound, which lists the known types."""
        try:
            return self._processors[task_type]
        except KeyError:
            raise NotFound("task type", f"{task_type!r:.100}{suggestion(task_type, self.names())}") from None

    def validate(self, task_type: str, payload: Json, text: str | None = None) -> tuple[Processor[Any, Any], BaseModel]:
        """Return the processor and the validated payload. `text` is its JSON, if the caller has it.

        Raises NotFound, or Invalid with all problems.
        """
        processor = self.get(task_type)
        if task_type in self._bounds and (too_many := list(count_problems(self._bounds[task_type], payload))):
            raise Invalid(too_many[:PROBLEMS_LIMIT])
        try:
            valid = (
                validate_also_as_text(processor.payload_model, payload, text)
                if task_type in self._textual
                else processor.payload_model.model_validate(payload)
            )
        except ValidationError as error:
            found = payload_problems(error, processor.payload_model)
            named = {problem.field for problem in found}
            raise Invalid(
                [*found, *(problem for problem in processor.problems_beside(payload) if problem.field not in named)]
            ) from error
        if problems := processor.problems(valid):
            raise Invalid(problems)
        return processor, valid


def _classes(problems: list[str]) -> dict[str, type[Processor[Any, Any]]]:
    """Return every processor class by name. A name that two classes claim is a problem."""
    classes: dict[str, type[Processor[Any, Any]]] = {processor.name: processor for processor in BUILT_IN}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        found = _load(point, problems)
        if found is None:
            continue
        if not _NAME.fullmatch(found.name):
            problems.append(
                f"{_where(point)}: {found.name!r} is not a valid task type name; "
                "allowed: lower-case letters, digits, _ and -, starting with a letter"
            )
        elif classes.setdefault(found.name, found) is not found:
            problems.append(
                f"{_where(point)}: task type {found.name} is already defined by {classes[found.name].__module__}"
            )
    return classes


def _load(point: EntryPoint, problems: list[str]) -> type[Processor[Any, Any]] | None:
    try:
        found = point.load()
    # foreign code may raise anything, and all broken packages are reported together; a module that calls sys.exit(0)
    # would end the check of a reload as if all were right
    except (Exception, SystemExit) as error:
        problems.append(f"{_where(point)}: cannot be loaded: {type(error).__name__}: {error}")
        return None
    if (kind := processor_class(found)) is None:
        problems.append(
            f"{_where(point)}: not a processor; allowed: a subclass of dtqs.Processor with name and payload_model, "
            "or a function with @dtqs.processor"
        )
    return kind


def _where(point: EntryPoint) -> str:
    package = f" of {point.dist.name} {point.dist.version}" if point.dist else ""
    return f"entry point {GROUP}: {point.name} = {point.value}{package}"


def _unknown_sections(config: Config, classes: dict[str, type[Processor[Any, Any]]]) -> list[str]:
    problems = []
    for name in config.processor_names():
        if name not in classes:
            entry = next(iter(config.raw[f"processor:{name}"].values()), None)
            where = entry.where if entry else config.path
            problems.append(f"{where}: [processor:{name}]: no such task type{suggestion(name, sorted(classes))}")
    return problems


_RETRIES = RetrySection.model_fields["max_retries"].default


def _build(found: type[Processor[Any, Any]], config: Config, problems: list[str]) -> Processor[Any, Any] | None:
    try:
        built = found(config.processor(found.name, found.settings_model))
        if built.yields_to_retry and config.retry.max_retries != _RETRIES and built.settings.max_retries is None:
            built.max_retries = None  # an operator has chosen a number for all types
        wrong = [*checks.processor_problems(built), *method_problems(built)]
        problems += [f"processor {found.name} ({found.__module__}): {problem}" for problem in wrong]
        return built
    except ConfigError as error:
        problems += error.problems
    except Exception as error:  # foreign constructors, as above
        problems.append(
            f"processor {found.name} ({found.__module__}): cannot be built: {type(error).__name__}: {error}"
        )
    return None
