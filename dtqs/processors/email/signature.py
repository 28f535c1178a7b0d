"""DKIM: signs the headers that readers see and the whole body (RFC 6376); which key, the settings say."""

import binascii

import dkim
from dkim.crypto import UnparsableKeyError, parse_pem_private_key

SIGNED = (
    "from", "to", "cc", "reply-to", "subject", "date", "message-id", "in-reply-to", "references", "mime-version",
    "content-type", "content-transfer-encoding", "list-unsubscribe", "list-unsubscribe-post",
)  # fmt: skip
"""Signed where they are there."""
SEALED = ("from", "to", "cc", "reply-to", "subject", "date", "message-id")
"""Signed once more than they are there: one that is added on the way breaks the signature."""


def signature(content: bytes, names: tuple[str, ...], domain: str, selector: str, key: str) -> bytes:
    """Return the DKIM-Signature header of a mail that has headers of these names (lower case)."""
    signed = [name for name in SIGNED if name in names] + list(SEALED)
    signer = dkim.DKIM(content)
    made: bytes = signer.sign(
        selector.encode(), domain.encode(), key.encode(), canonicalize=(b"relaxed", b"relaxed"), include_headers=signed
    )
    return made


def check_key(key: str) -> str:
    """Return the key as it is. Raises ValueError where it is none that can sign."""
    try:
        parse_pem_private_key(key.encode())
    except (UnparsableKeyError, KeyError, ValueError, IndexError, TypeError, binascii.Error) as error:
        raise ValueError("no RSA key; allowed: an unencrypted private RSA key in PEM, PKCS#1 or PKCS#8") from error
    return key
