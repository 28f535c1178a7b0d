"""The form of an answer follows the Accept headers of its request."""

import pytest

from dtqs.api.web.assets import takes_gzip
from dtqs.metrics.page import encoder_for

OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"


@pytest.mark.parametrize("version", ["1.0.0", "1.0.1", "2.0.0", "9999.1-foo", "1.0.0.0"])
def test_an_invented_version_gets_the_page_that_exists(version: str) -> None:
    encode, media_type = encoder_for(f"application/openmetrics-text;version={version}")
    assert media_type == OPEN_METRICS
    assert encode.keywords["version"] == "1.0.0"  # type: ignore[attr-defined]


@pytest.mark.parametrize("version", ["x", '"1.0.0"', "0.1", "9" * 5000, "1." + "9" * 5000])
def test_a_version_that_is_no_number_gets_a_page(version: str) -> None:
    assert encoder_for(f"application/openmetrics-text;version={version}")[1] in (
        OPEN_METRICS,
        "text/plain; version=0.0.4; charset=utf-8",
    )


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5, br", True),
        ("gzip; q=1", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("br, gzip;q=0.0, *;q=0", False),
        ("identity", False),
        ("xgzip", False),
        ("", False),
    ],
)
def test_gzip_is_sent_to_clients_that_take_it(accepted: str, takes: bool) -> None:
    assert takes_gzip(accepted) is takes
