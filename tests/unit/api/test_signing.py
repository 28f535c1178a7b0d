"""Signed tokens: one text is one token, kinds stay apart, and tokens of earlier versions stay valid."""

import base64

import pytest

from dtqs.api.access.sessions import _SESSION
from dtqs.api.access.signing import Signer, TokenExpired, TokenForged
from dtqs.api.access.tickets import _EARLIER_TICKET, _TICKET

KEY = b"k" * 32
FIRST = bytes.fromhex("019a8b6c2f5e7c319d1f0e6a5b7c8d90")
TOKENS = {
    "earlier ticket": (_EARLIER_TICKET, (FIRST, 3), "AQAAAABxP7M8AZqLbC9efDGdHw5qW3yNkAADTUuSc84wIkvZlBfPUTNa9A"),
    "ticket": (
        _TICKET,
        (bytes(range(16)), FIRST, 3),
        "AwAAAABxP7M8AAECAwQFBgcICQoLDA0ODwGai2wvXnwxnR8Oalt8jZAAAz6-4-aCnTGRqKDfnv816Q0",
    ),
    "session": (
        _SESSION,
        (FIRST, bytes(range(16))),
        "AgAAAABxP7M8AZqLbC9efDGdHw5qW3yNkAABAgMEBQYHCAkKCwwNDg9kj245waqC05SPtzYSoIogvUJjowsuyvPh1PkU_wakbw",
    ),
}
"""Signed by earlier versions, and by this one. Valid until 1,900,000,060."""


@pytest.fixture
def _then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_900_000_000.0)


@pytest.mark.usefixtures("_then")
@pytest.mark.parametrize("name", TOKENS)
def test_a_token_of_an_earlier_version_stays_valid(name: str) -> None:
    kind, fields, token = TOKENS[name]
    signer = Signer(KEY, kind, 60)
    assert signer.sign(*fields) == (token, 1_900_000_060)
    assert signer.open(token) == (1_900_000_060, *fields)


@pytest.mark.usefixtures("_then")
def test_no_kind_passes_for_another() -> None:
    for name, (kind, _, _) in TOKENS.items():
        for other, (_, _, token) in TOKENS.items():
            if other != name:
                with pytest.raises(TokenForged):
                    Signer(KEY, kind, 60).open(token)


@pytest.mark.usefixtures("_then")
@pytest.mark.parametrize("name", TOKENS)
def test_another_key_another_text_and_a_changed_byte_are_refused(name: str) -> None:
    kind, _, token = TOKENS[name]
    with pytest.raises(TokenForged):
        Signer(b"o" * 32, kind, 60).open(token)
    value = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    twin = token[:-1] + chr(ord(token[-1]) + 1)
    changed = [bytes(byte ^ (at == index) for at, byte in enumerate(value)) for index in range(len(value))]
    texts = [base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in changed]
    for text in [*texts, twin, f"{token}=", f" {token}", token[:-4], "", "ü"]:
        with pytest.raises(TokenForged):
            Signer(KEY, kind, 60).open(text)


def test_a_token_ends_in_its_second() -> None:
    kind, fields, _ = TOKENS["ticket"]
    with pytest.raises(TokenExpired):
        Signer(KEY, kind, 0).open(Signer(KEY, kind, 0).sign(*fields)[0])
