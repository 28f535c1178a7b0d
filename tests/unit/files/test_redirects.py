"""The target of a redirect, from the header Location."""

import httpcore
import pytest

from dtqs.errors import InputRefused
from dtqs.files.fetch import _target
from dtqs.files.uri import parse_url

BASE = parse_url("https://example.org/a/b?c=d")


def redirect(*locations: bytes) -> httpcore.Response:
    return httpcore.Response(302, headers=[(b"Location", location) for location in locations])


@pytest.mark.parametrize(
    ("location", "target"),
    [
        (b"to?a=b", "https://example.org/a/to?a=b"),
        (b" /to ", "https://example.org/to"),
        ("https://bücher.example/ä".encode(), "https://xn--bcher-kva.example/%C3%A4"),
        (b"/caf\xe9%20\xff", "https://example.org/caf%E9%20%FF"),
    ],
)
def test_a_target_may_be_relative_and_keeps_its_bytes(location: bytes, target: str) -> None:
    assert _target("name", redirect(location), BASE).text == target


@pytest.mark.parametrize("locations", [[], [b""], [b" "]])
def test_a_redirect_without_a_target_is_refused(locations: list[bytes]) -> None:
    with pytest.raises(InputRefused, match="its server answers 302 without a target"):
        _target("name", redirect(*locations), BASE)
