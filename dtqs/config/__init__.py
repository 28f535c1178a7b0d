"""The configuration: one INI file with environment overrides, read into frozen sections."""

from dtqs.config.allowed import allowed, number
from dtqs.config.files_section import FilesSection
from dtqs.config.pool_section import PoolSection
from dtqs.config.reader import Config, load
from dtqs.config.routing import mixed_queues, queues_of, runs_type, types_of, unknown_types
from dtqs.config.section import Section, is_network
from dtqs.config.sections import (
    SECTIONS,
    ApiSection,
    LeaseSection,
    LimitsSection,
    MetricsSection,
    PostgresqlSection,
    RabbitmqSection,
    RetrySection,
    SupervisorSection,
)
from dtqs.config.trace_section import TraceSection

__all__ = [
    "SECTIONS",
    "ApiSection",
    "Config",
    "FilesSection",
    "LeaseSection",
    "LimitsSection",
    "MetricsSection",
    "PoolSection",
    "PostgresqlSection",
    "RabbitmqSection",
    "RetrySection",
    "Section",
    "SupervisorSection",
    "TraceSection",
    "allowed",
    "is_network",
    "load",
    "mixed_queues",
    "number",
    "queues_of",
    "runs_type",
    "types_of",
    "unknown_types",
]
