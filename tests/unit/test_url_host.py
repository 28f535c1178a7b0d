"""Host and port of the URLs of the configuration."""

import pytest

from dtqs.config.files_section import FilesSection
from dtqs.config.trace_section import TraceSection
from dtqs.url_host import check_host_and_port


@pytest.mark.parametrize("url", ["https://h", "https://h:1/x", "http://[::1]:65535", "http://h:/"])
def test_a_url_that_can_be_connected_to_is_accepted(url: str) -> None:
    check_host_and_port(url)


@pytest.mark.parametrize("port", ["0", "65536", "99999", "abc"])
def test_a_port_that_no_host_has_is_refused(port: str) -> None:
    for check in (check_host_and_port, lambda url: TraceSection(otlp_endpoint=url)):
        with pytest.raises(ValueError, match="the port is not valid"):
            check(f"http://h:{port}")
    with pytest.raises(ValueError, match=r"port|not a URL"):
        FilesSection(s3_endpoint=f"http://h:{port}")


def test_a_host_that_no_look_up_takes_is_refused() -> None:
    with pytest.raises(ValueError, match="host name"):
        check_host_and_port("http://a..b/")
