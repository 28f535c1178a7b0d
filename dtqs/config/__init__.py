"""The configuration: one INI file with environment overrides, read into frozen sections."""

from dtqs.config.allowed import allowed, number
from dtqs.config.file import find, foreign, looked_at
from dtqs.config.files_section import FilesSection
from dtqs.config.reader import Config, is_silent, load
from dtqs.config.section import Section, is_network
from dtqs.config.sections import (
    SECTIONS,
    ApiSection,
    LeaseSection,
    LimitsSection,
    PoolSection,
    PostgresqlSection,
    RabbitmqSection,
    RetrySection,
    SupervisorSection,
)

__all__ = [
    "SECTIONS",
    "ApiSection",
    "Config",
    "FilesSection",
    "LeaseSection",
    "LimitsSection",
    "PoolSection",
    "PostgresqlSection",
    "RabbitmqSection",
    "RetrySection",
    "Section",
    "SupervisorSection",
    "allowed",
    "find",
    "foreign",
    "is_network",
    "is_silent",
    "load",
    "looked_at",
    "number",
]
