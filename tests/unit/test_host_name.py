"""A text is a host name exactly if a look-up takes it, without a UnicodeError."""

import pytest

from dtqs.host_name import is_host_name


@pytest.mark.parametrize(
    "text",
    [
        "localhost",
        "a.b.",
        "::1",
        "10.0.0.1",
        "a b",
        "b\u00fccher.example",
        "s" * 63,
        "s" * 64,
        "a..b",
        ".a",
        ".",
        "a..",
        f"a.{'s' * 64}",
        "b\u00fc..cher",
        60 * "\u00fc",
    ],
)
def test_a_text_is_a_host_name_exactly_if_the_codec_takes_it(text: str) -> None:
    try:
        text.encode("idna")
    except UnicodeError:
        assert not is_host_name(text)
    else:
        assert is_host_name(text)
