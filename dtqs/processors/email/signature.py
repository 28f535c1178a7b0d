"""DKIM (RFC 6376): signs the visible headers and the whole body with the key of the settings."""

import binascii

from dtqs.processors.email.bare_dkim import UnparsableKeyError, dkim, parse_pem_private_key

SIGNED = (
    "from", "to", "cc", "reply-to", "subject", "date", "message-id", "in-reply-to", "references", "mime-version",
    "content-type", "content-transfer-encoding", "list-unsubscribe", "list-unsubscribe-post",
)  # fmt: skip
"""Headers signed if present."""
SEALED = ("from", "to", "cc", "reply-to", "subject", "date", "message-id")
"""Headers signed once more than present: adding one on the way breaks the signature."""


def signature(content: bytes, names: tuple[str, ...], domain: str, selector: str, key: str) -> bytes:
    """Return the DKIM-Signature header of an e-mail that has headers of these lower-case names."""
    signed = [name for name in SIGNED if name in names] + list(SEALED)
    signer = dkim.DKIM(content)
    made: bytes = signer.sign(
        selector.encode(), domain.encode(), key.encode(), canonicalize=(b"relaxed", b"relaxed"), include_headers=signed
    )
    return made


def check_key(key: str) -> str:
    """Return the key unchanged. Raises ValueError for a key that cannot sign."""
    try:
        parse_pem_private_key(key.encode())
    except (UnparsableKeyError, KeyError, ValueError, IndexError, TypeError, binascii.Error) as error:
        raise ValueError("not an RSA key; allowed: an unencrypted private RSA key in PEM, PKCS#1 or PKCS#8") from error
    return key
