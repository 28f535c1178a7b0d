"""The spans of a worker's claims and of the API's requests, as a collector gets them."""

import gc
import os
import sys
import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider

from dtqs import tracing
from dtqs.config import TraceSection
from dtqs.origin import trace_of
from dtqs.settlement import Kind, Settlement
from dtqs.tally import Tally
from dtqs.task import Claimed
from dtqs.tracing import api_traces, is_on
from dtqs.tracing.otel import ApiTraces, WorkerTraces
from tests.support.collector import Collector, SeenSpan, running_collector

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"r-1 00-{TRACE}-{PARENT}-01", f"r-2 00-{TRACE}-{PARENT}-00"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    with running_collector() as made:
        yield made


def noted(collector: Collector, *pairs: tuple[str | None, Settlement]) -> list[SeenSpan]:
    """Note a claim of tasks with these origins and settlements, and return the spans of it."""
    traces = WorkerTraces(collector.url, "w-1", Tally())
    tasks = [Claimed(one.task_id, "echo", "{}", 2, 5, None, True, 0, origin) for origin, one in pairs]
    now = time.monotonic()
    begins = [now + number for number in range(len(tasks) + 1)]
    traces.note(tasks, begins, [one for _, one in pairs], (now - 1, now), (begins[-1], begins[-1] + 1), True)
    traces.stop()
    return collector.spans


def test_a_batch_has_a_run_for_each_task_and_one_claim_and_finish_for_each_trace(collector: Collector) -> None:
    other = f"r-9 00-{TRACE[::-1]}-{PARENT}-01"
    pairs = [
        (SAMPLED, Settlement("t-1", Kind.COMPLETED, "1")),
        (other, Settlement("t-2", Kind.COMPLETED, "1")),
        (SAMPLED, Settlement("t-3", Kind.RETRY, '{"type": "TransientError", "message": "jane@example.org"}')),
        (UNSAMPLED, Settlement("t-4", Kind.COMPLETED, "1")),
        ("r-3", Settlement("t-5", Kind.COMPLETED, "1")),
        (None, Settlement("t-6", Kind.COMPLETED, "1")),
    ]
    spans = noted(collector, *pairs)
    assert [(span.name, span.attributes.get("dtqs.task.id")) for span in spans] == [
        ("claim", None), ("run", "t-1"), ("run", "t-3"), ("finish", None),
        ("claim", "t-2"), ("run", "t-2"), ("finish", "t-2"),
    ]  # fmt: skip
    assert {(span.trace_id, span.parent_id) for span in spans} == {(TRACE, PARENT), (TRACE[::-1], PARENT)}
    assert spans[0].attributes["dtqs.tasks"] == 2
    failed = spans[2]
    assert (failed.is_error, failed.message) == (True, "TransientError"), "without the error's text"
    assert failed.attributes == {
        "dtqs.task.id": "t-3", "dtqs.task.type": "echo", "dtqs.task.attempt": 2, "dtqs.task.outcome": "retry",
        "dtqs.worker.id": "w-1", "dtqs.request.id": "r-1", "error.type": "TransientError",
    }  # fmt: skip
    assert abs(failed.begin_ns / 1e9 - time.time() - 2) < 60, "times are those of the wall clock"
    assert failed.end_ns - failed.begin_ns == pytest.approx(1e9, rel=0.01)


def test_the_standard_sampler_decides(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    assert noted(collector, (SAMPLED, Settlement("t-1", Kind.COMPLETED, "1"))) == []
    traces = ApiTraces(collector.url, Tally())
    _, origin = traces.open("submit", "r-1")
    assert trace_of(origin)["traceparent"].endswith("-00"), "workers do not sample it either"


def test_a_request_goes_on_with_its_trace_or_begins_one(collector: Collector) -> None:
    traces = ApiTraces(collector.url, Tally())
    span, origin = traces.open("submit", f"{SAMPLED} vendor=1")
    traces.close(span, 202, "t-1")
    lone, begun = traces.open("submit", "r-2")
    traces.close(lone, 503, None)
    traces.stop()
    first, second = collector.spans
    assert origin == f"r-1 00-{TRACE}-{first.span_id}-01 vendor=1"
    assert (first.trace_id, first.parent_id, first.is_error) == (TRACE, PARENT, False)
    assert begun == f"r-2 00-{second.trace_id}-{second.span_id}-01"
    assert (second.parent_id, second.is_error, second.service) == ("", True, "dtqs-api")


def test_no_hook_of_the_library_is_left_for_the_children_of_attempts(collector: Collector) -> None:
    traces = ApiTraces(collector.url, Tally())
    gc.collect()
    assert [each for each in gc.get_objects() if isinstance(each, TracerProvider)] == []
    traces.stop()


def test_traces_are_on_only_with_a_collector(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    off, on = TraceSection(), TraceSection(otlp_endpoint=collector.url)
    assert (is_on(off), is_on(on)) == (False, True)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    assert is_on(off)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not is_on(on)
    assert api_traces(on, Tally()) is None


def test_without_the_extra_the_variables_turn_nothing_on(
    monkeypatch: pytest.MonkeyPatch, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setitem(sys.modules, "dtqs.tracing.otel", None)
    assert api_traces(TraceSection(), Tally()) is None
    assert tracing.worker_traces(TraceSection(), "w-1", Tally()) is None
    assert "pip install 'dtqs[otel]'" in caplog.text
