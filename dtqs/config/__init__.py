"""The configuration: one INI file with environment overrides, read into frozen sections. Other packages import it from here."""

from dtqs.config.file import find, foreign, looked_at
from dtqs.config.reader import SECTIONS, Config, is_silent, load
from dtqs.config.sections import (
    ApiSection,
    FilesSection,
    LeaseSection,
    LimitsSection,
    PoolSection,
    PostgresqlSection,
    RabbitmqSection,
    RetrySection,
    Section,
    SupervisorSection,
    allowed,
    is_network,
    number,
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
