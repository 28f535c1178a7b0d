"""The rlimits of an attempt: each names itself in the error, and none outlives its attempt."""

import resource
import signal
import time
from collections.abc import Callable

import orjson
import pytest

from dtqs.config import RetrySection
from dtqs.processors.base import Context, Json, Payload, ProcessorSettings
from dtqs.processors.catalog import Catalog
from dtqs.processors.function import processor, processor_class
from dtqs.scoreboard import Scoreboard
from dtqs.settlement import Kind
from dtqs.task import Claimed
from dtqs.uuid7 import uuid7
from dtqs.worker.limits import AttemptLimits
from dtqs.worker.runner import Runner
from tests.support.fix_processors import Attempt

LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE)


class Nothing(Payload):
    """No fields."""


def spend_memory(context: Context) -> Json:
    return len(bytearray(300 << 20))


def spend_processor_time(context: Context) -> Json:
    while True:
        sum(range(10000))


def spend_processor_time_deaf(context: Context) -> Json:
    """Keep SIGXCPU from its handler, as C code does that releases Python's lock."""
    signal.signal(signal.SIGXCPU, lambda *_: None)
    until = time.monotonic() + 30.0
    while time.monotonic() < until:
        sum(range(10000))
    return "not interrupted"


def write_much(context: Context) -> Json:
    return context.add_output("a", lambda file: file.write(b"x" * 5000), "text/plain")


@pytest.mark.parametrize(
    ("run", "settings", "kind", "message"),
    [
        (
            spend_memory,
            {"attempt_memory_bytes": 64 << 20},
            Kind.FAILED,
            "the attempt wanted more memory than [processor:greedy] attempt_memory_bytes = 67108864 allows",
        ),
        (
            spend_processor_time,
            {"attempt_cpu_seconds": 1},
            Kind.RETRY,
            "the attempt was interrupted after its 1 s of processor time; for more time, set [processor:greedy] "
            "attempt_cpu_seconds",
        ),
        (
            spend_processor_time_deaf,
            {"attempt_cpu_seconds": 1},
            Kind.RETRY,
            "the attempt was interrupted after its 1 s of processor time; for more time, set [processor:greedy] "
            "attempt_cpu_seconds",
        ),
        (
            write_much,
            {"attempt_file_bytes": 4096},
            Kind.FAILED,
            "the attempt wanted a larger file than [processor:greedy] attempt_file_bytes = 4096 allows",
        ),
        (lambda context: "within", {"attempt_memory_bytes": 64 << 20}, Kind.COMPLETED, "within"),
    ],
    ids=["memory", "processor time", "processor time without its signal", "file", "within"],
)
def test_an_attempt_beyond_its_bounds_ends_with_an_error_that_names_the_key(
    attempt: Attempt, run: Callable[[Context], Json], settings: dict[str, int], kind: Kind, message: str
) -> None:
    @processor("greedy", payload=Nothing)
    def greedy(payload: Nothing, context: Context) -> Json:
        return run(context)

    found = processor_class(greedy)
    assert found
    limits = AttemptLimits(Scoreboard(1).slot(0), 5.0)
    limits.start()
    before = [resource.getrlimit(number) for number in LIMITS]
    catalog = Catalog([found(ProcessorSettings(**settings))])
    runner = Runner(catalog, attempt.space, attempt.reports, limits, RetrySection())
    try:
        settled = runner.attempt(Claimed(uuid7(), "greedy", "{}", 1, 5, None, True), light=True)
    finally:
        limits.stop()
    value = orjson.loads(settled.value or "")
    assert (settled.kind, value if kind is Kind.COMPLETED else value["message"]) == (kind, message)
    assert [resource.getrlimit(number) for number in LIMITS] == before
