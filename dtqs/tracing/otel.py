"""Spans by the SDK of OpenTelemetry: `submit` and `retry` in the API; `claim`, `run` and `finish` in a worker.

A worker's main thread only notes what happened. the thread of its queue makes the spans.
"""

import logging
import os
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import orjson
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, Tracer, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from dtqs import __version__
from dtqs.origin import is_sampled, request_id_of, trace_of, with_trace
from dtqs.settlement import Kind, Settlement
from dtqs.tally import Tally
from dtqs.task import Claimed
from dtqs.tracing.span_queue import SpanQueue

_AT_ONCE_API, _AT_ONCE_WORKER = 64, 512
"""Spans of one export. The API's loop stands still while they are encoded: about 5 ms."""
_FLUSH_SECONDS = 1.0
_SERVICE = "service.name"
_PATH = "/v1/traces"
_headers = TraceContextTextMapPropagator()
Period = tuple[float, float]
"""Begin and end on the monotonic clock, in seconds."""
Attributes = dict[str, str | int]


class ApiTraces:
    """The spans of one API process. `open` and `close` embrace a request that submits tasks."""

    def __init__(self, endpoint: str, tally: Tally) -> None:
        exporter = _exporter(endpoint)
        self._queue = SpanQueue[ReadableSpan](lambda spans: _export(exporter, spans), _AT_ONCE_API, tally.set)
        self._tracer = _tracer("dtqs-api", self._queue.put)
        self._queue.start()

    def stop(self) -> None:
        self._queue.stop(_FLUSH_SECONDS)

    def open(self, name: str, origin: str) -> tuple[Span, str]:
        """Begin a span in the trace of a request, or in a trace of its own. Return it, and the origin of the tasks."""
        request_id = request_id_of(origin) or ""
        span = self._tracer.start_span(
            name, _parent(origin), SpanKind.SERVER, {"dtqs.request.id": request_id, "http.request.method": "POST"}
        )
        carrier: dict[str, str] = {}
        _headers.inject(carrier, set_span_in_context(span, Context()))
        return span, with_trace(request_id, carrier["traceparent"], carrier.get("tracestate"))

    def close(self, span: Span, status: int, task_id: str | None) -> None:
        """End the span of a request that was answered with this status."""
        span.set_attribute("http.response.status_code", status)
        if task_id:
            span.set_attribute("dtqs.task.id", task_id)
        if status >= 500:
            span.set_status(StatusCode.ERROR, f"HTTP {status}")
        span.end()


@dataclass(slots=True)
class _Run:
    """One attempt, without its payload and its result."""

    task_id: str
    task_type: str
    attempt: int
    origin: str
    kind: Kind
    error: str | None
    period: Period


@dataclass(slots=True)
class _Work:
    """The attempts of a claim that belong to wanted traces, and the claim's begin and end."""

    runs: list[_Run]
    claimed: Period
    finished: Period
    is_written: bool


class WorkerTraces:
    """The spans of one worker."""

    def __init__(self, endpoint: str, worker_id: str, tally: Tally) -> None:
        self._worker_id = worker_id
        self._exporter = _exporter(endpoint)
        self._ended: list[ReadableSpan] = []
        self._tracer = _tracer("dtqs-worker", self._ended.append)
        # the other samplers decide anew for each trace
        self._wants = is_sampled if isinstance(self._tracer.sampler, ParentBased) else trace_of
        self._queue = SpanQueue(self._send, _AT_ONCE_WORKER, tally.set)
        self._queue.start()

    def stop(self) -> None:
        self._queue.stop(_FLUSH_SECONDS)

    def note(
        self,
        tasks: Sequence[Claimed],
        begins: Sequence[float],
        settlements: Sequence[Settlement],
        claimed: Period,
        finished: Period,
        is_written: bool,
    ) -> None:
        """Note a claim. `begins` has the begin of each attempt, and the end of the last one."""
        origins = {task.origin for task in tasks}
        wanted = {origin for origin in origins if origin is not None and self._wants(origin)}
        if not wanted:
            return
        runs = [
            _Run(
                task.task_id, task.task_type, task.attempt, task.origin, one.kind,
                None if one.kind is Kind.COMPLETED else one.value, period,
            )
            for task, one, period in zip(tasks, settlements, pairwise(begins), strict=False)
            if task.origin in wanted and task.origin is not None
        ]  # fmt: skip
        self._queue.put(_Work(runs, claimed, finished, is_written), len(runs) + 2 * len(wanted))

    def _send(self, works: list[_Work]) -> int:
        self._ended.clear()
        for work in works:
            for origin, runs in _by_origin(work.runs).items():
                self._make(work, origin, runs)
        return _export(self._exporter, self._ended)

    def _make(self, work: _Work, origin: str, runs: Sequence[_Run]) -> None:
        """Make a `run` for each task of a trace, with one `claim` and one `finish`."""
        shift = time.time() - time.monotonic()
        parent = _parent(origin)
        common: Attributes = {
            "dtqs.task.type": runs[0].task_type,
            "dtqs.worker.id": self._worker_id,
            "dtqs.request.id": request_id_of(origin) or "",
        }
        own = [common | {"dtqs.task.id": run.task_id, "dtqs.task.attempt": run.attempt} for run in runs]
        shared = own[0] if len(runs) == 1 else common | {"dtqs.tasks": len(runs)}
        if not self._span("claim", parent, SpanKind.CLIENT, shared, work.claimed, shift):
            # all standard samplers decide by the trace
            return
        for run, named in zip(runs, own, strict=True):
            outcome = named | {"dtqs.task.outcome": str(run.kind)}
            error = _error_type(run.kind, run.error)
            self._span("run", parent, SpanKind.CONSUMER, outcome, run.period, shift, error)
        lost = None if work.is_written else "outcome not written"
        self._span("finish", parent, SpanKind.CLIENT, shared, work.finished, shift, lost)

    def _span(
        self,
        name: str,
        parent: Context,
        kind: SpanKind,
        attributes: Attributes,
        period: Period,
        shift: float,
        error: str | None = None,
    ) -> bool:
        """Make a span. Return whether it is sampled."""
        begin, end = (int((moment + shift) * 1e9) for moment in period)
        span = self._tracer.start_span(name, parent, kind, attributes, start_time=begin)
        if error:
            span.set_attribute("error.type", error)
            span.set_status(StatusCode.ERROR, error)
        span.end(end)
        return span.get_span_context().trace_flags.sampled


class _Ids(IdGenerator):
    """Random ids of the system: a task may call random.seed(), and then all its workers would make the same ids."""

    def __init__(self) -> None:
        self._bits = random.SystemRandom().getrandbits

    def generate_span_id(self) -> int:
        return self._bits(64) or 1

    def generate_trace_id(self) -> int:
        return self._bits(128) or 1


class _Ended(SpanProcessor):
    def __init__(self, take: Callable[[ReadableSpan], None]) -> None:
        self._take = take

    def on_end(self, span: ReadableSpan) -> None:
        self._take(span)


def _tracer(service: str, take: Callable[[ReadableSpan], None]) -> Tracer:
    """Make a tracer, with the sampler and the resource of the standard variables. `take` gets each ended span.

    The provider is not kept: its fork hook, of 2 ms, then does nothing in the children that attempts fork.
    """
    own = {"service.version": __version__, "host.name": socket.gethostname()}
    if "OTEL_SERVICE_NAME" not in os.environ and _SERVICE not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        own[_SERVICE] = service
    provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False, id_generator=_Ids())
    provider.add_span_processor(_Ended(take))
    tracer = provider.get_tracer("dtqs", __version__)
    # OTEL_SDK_DISABLED, which would give another class, turns traces off before this
    assert isinstance(tracer, Tracer)
    return tracer


def _exporter(endpoint: str) -> OTLPSpanExporter:
    # the queue logs one line a minute; the library logs each failed request, and urllib3's debug lines have headers
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    return OTLPSpanExporter(endpoint.rstrip("/").removesuffix(_PATH) + _PATH if endpoint else None)


def _export(exporter: OTLPSpanExporter, spans: Sequence[ReadableSpan]) -> int:
    """Export spans, and return how many were lost."""
    return 0 if not spans or exporter.export(spans) is SpanExportResult.SUCCESS else len(spans)


def _by_origin(runs: Sequence[_Run]) -> dict[str, list[_Run]]:
    found: dict[str, list[_Run]] = {}
    for run in runs:
        found.setdefault(run.origin, []).append(run)
    return found


def _parent(origin: str) -> Context:
    return _headers.extract(trace_of(origin), Context())


def _error_type(kind: Kind, error: str | None) -> str | None:
    """Return the type of an attempt's error. Its text may hold personal data, and stays in the task's log."""
    if error is None or kind is Kind.COMPLETED:
        return None
    found = orjson.loads(error)
    return str(found.get("type")) if isinstance(found, dict) else None
