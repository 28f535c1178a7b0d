"""Certificates of an authority of one's own, as files for servers and clients."""

from pathlib import Path

import trustme

from dtqs.sandbox.child import Account, write_private


def two_authorities(folder: Path) -> trustme.CA:
    """Write ca.pem and, of another authority, other.pem. Return the first authority."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other.pem"))
    return authority


def write_certificate(folder: Path, name: str, issued: trustme.LeafCert, owner: Account | None = None) -> Path:
    """Write NAME.pem, and NAME.key for its owner alone. Return the key's path."""
    key = folder / f"{name}.key"
    issued.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
    write_private(key, issued.private_key_pem.bytes().decode(), owner)
    return key
