"""Segments: their number is the number that the network charges, and together the parts are the text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtqs.processors.sms.segments import beyond_gsm, encode, segment

GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
TWICE = "\f^{}\\[~]|€"
TEXTS = st.one_of(
    st.text(st.sampled_from(GSM + TWICE), min_size=1, max_size=500),
    st.text(st.sampled_from("aж€😀é"), min_size=1, max_size=300),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300),
)


@pytest.mark.parametrize(
    ("text", "encoding", "count", "units"),
    [
        ("a" * 160, "GSM-7", 1, 160),
        ("a" * 161, "GSM-7", 2, 161),
        ("a" * 306, "GSM-7", 2, 306),
        ("a" * 307, "GSM-7", 3, 307),
        ("€" * 80, "GSM-7", 1, 160),
        ("€" * 81, "GSM-7", 2, 162),
        # 153 septets hold 76 characters of two septets; one septet of each part is unused
        ("€" * 152, "GSM-7", 2, 304),
        ("€" * 153, "GSM-7", 3, 306),
        ("a" * 159 + "`", "UCS-2", 3, 160),
        ("ж" * 70, "UCS-2", 1, 70),
        ("ж" * 71, "UCS-2", 2, 71),
        ("ж" * 134, "UCS-2", 2, 134),
        ("ж" * 135, "UCS-2", 3, 135),
        ("😀" * 35, "UCS-2", 1, 70),
        ("😀" * 66, "UCS-2", 2, 132),
        ("😀" * 67, "UCS-2", 3, 134),
    ],
)
def test_segments_are_counted_as_networks_count_them(text: str, encoding: str, count: int, units: int) -> None:
    segments = segment(text)
    assert (segments.encoding, segments.count, segments.units) == (encoding, count, units)


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_the_parts_together_are_the_text_and_each_fits(text: str) -> None:
    segments = segment(text)
    assert "".join(segments.parts) == text
    octets = [encode(part, segments.encoding) for part in segments.parts]
    units = [len(part) if segments.encoding == "GSM-7" else len(part) // 2 for part in octets]
    single, limit = (160, 153) if segments.encoding == "GSM-7" else (70, 67)
    assert max(units) <= (single if len(units) == 1 else limit)
    assert sum(units) == segments.units
    assert (len(units) == 1) == (segments.units <= single)
    # each part except the last is full: at most one unit, half a character, is free
    assert all(used >= limit - 1 for used in units[:-1])
    if segments.encoding == "UCS-2":
        assert [each.decode("utf-16-be") for each in octets] == list(segments.parts)
    else:
        assert not any(each.endswith(b"\x1b") for each in octets)


@given(TEXTS)
@settings(max_examples=50, deadline=None)
def test_one_character_outside_gsm_7_makes_a_text_ucs_2(text: str) -> None:
    odd = [char for char in dict.fromkeys(text) if char not in GSM + TWICE]
    assert beyond_gsm(text) == odd
    assert (segment(text).encoding == "UCS-2") == bool(odd)


def test_gsm_7_has_its_own_codes() -> None:
    assert encode("@$Δ à€[", "GSM-7") == b"\x00\x02\x10\x20\x7f\x1b\x65\x1b\x3c"
    assert encode("".join(sorted(set(GSM), key=GSM.index)), "GSM-7") == bytes(
        code for code in range(128) if code != 0x1B
    )
