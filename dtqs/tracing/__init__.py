"""Traces of tasks for an OpenTelemetry collector. The extra `otel` is loaded only if they are on."""

import logging
import os
from typing import TYPE_CHECKING

from dtqs.config import TraceSection
from dtqs.tally import Tally

if TYPE_CHECKING:
    from dtqs.tracing.otel import ApiTraces, WorkerTraces

logger = logging.getLogger(__name__)
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def is_on(config: TraceSection) -> bool:
    """Tell whether the configuration or the standard variables name a collector, and none of these turns it off."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return bool(config.otlp_endpoint or any(os.environ.get(name) for name in _ENDPOINTS))


def api_traces(config: TraceSection, tally: Tally) -> "ApiTraces | None":
    """Load OpenTelemetry for an API process, after its fork, and start a thread. Returns None if traces are off."""
    if not is_on(config):
        return None
    try:
        from dtqs.tracing.otel import ApiTraces
    except ImportError as error:
        _tell(error)
        return None
    return ApiTraces(config.otlp_endpoint, tally)


def worker_traces(config: TraceSection, worker_id: str, tally: Tally) -> "WorkerTraces | None":
    """Load OpenTelemetry for a worker, after its fork, and start a thread. Returns None if traces are off."""
    if not is_on(config):
        return None
    try:
        from dtqs.tracing.otel import WorkerTraces
    except ImportError as error:
        _tell(error)
        return None
    return WorkerTraces(config.otlp_endpoint, worker_id, tally)


def _tell(error: ImportError) -> None:
    logger.error(
        "traces are off: install the extra otel (pip install 'dtqs[otel]')",
        extra={"reason": str(error)},
    )
