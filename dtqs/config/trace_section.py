"""The settings of traces."""

import re
from importlib.util import find_spec
from typing import Annotated

from pydantic import Field, field_validator

from dtqs.config.section import Section, ShownAsUrl
from dtqs.url_host import check_host_and_port


class TraceSection(Section):
    otlp_endpoint: Annotated[str, ShownAsUrl] = Field(
        "",
        description="URL of an OpenTelemetry collector (OTLP over HTTP), such as http://127.0.0.1:4318; needs the "
        "extra otel; empty: the variables OTEL_EXPORTER_OTLP_* name one, or there are no traces",
    )

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_a_url(cls, endpoint: str) -> str:
        if not endpoint:
            return endpoint
        if not re.fullmatch(r"https?://[^/\s?#@]+(/[^\s?#]*)?", endpoint):
            raise ValueError("it is not a URL such as http://127.0.0.1:4318, nor empty")
        check_host_and_port(endpoint)
        if find_spec("opentelemetry") is None:
            raise ValueError("traces need the OpenTelemetry SDK: install the extra otel (pip install 'dtqs[otel]')")
        return endpoint
