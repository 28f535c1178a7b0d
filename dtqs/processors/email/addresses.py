"""E-mail addresses as people write them, such as `Ada <ada@example.org>`: parsing and checks; pure.

headers.py writes them into headers.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

import idna

from dtqs.one_line import NOT_IN_NAMES

ADDRESS_CHARACTERS = 500
LOCAL_BYTES, DOMAIN_CHARACTERS = 64, 253
ALLOWED = "ada@example.org or Ada Lovelace <ada@example.org>"

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_LOCAL = re.compile(r"[^\x00-\x20\"(),:;<>@\[\\\]\x7f]+")
"""A dot-atom, or its form with non-ASCII letters (RFC 6532)."""
_ENCODED_WORD = re.compile(r"=\?[^?]+\?[BQbq]\?[^?]*\?=")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox. The domain is in ASCII, as in DNS; the local part is unchanged."""

    name: str
    local: str
    domain: str

    @property
    def spec(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        return not self.local.isascii()


def parse(text: str) -> Address:
    """Parse one address. Raises ValueError, which says what is allowed."""
    if len(text) > ADDRESS_CHARACTERS:
        raise ValueError(f"at most {ADDRESS_CHARACTERS} characters are allowed")
    refuse_hidden(text)
    name, spec = _halves(text.strip())
    local, at, domain = spec.rpartition("@")
    if not at:
        raise ValueError(f"not an e-mail address; allowed: {ALLOWED}")
    return Address(_name(name), _local(local), ascii_domain(domain))


def check(text: str) -> str:
    """Return the address unchanged, for a payload's field. Raises ValueError."""
    parse(text)
    return text


def refuse_controls(text: str) -> str:
    """Return the text. Raises ValueError if it has a control character; a line end would begin another header."""
    if "\r" in text or "\n" in text:
        raise ValueError("a line end (CR or LF) is not allowed in a header")
    if found := next(
        (c for c in text if c < " " or "\x7f" <= c <= "\x9f" or c in "\u2028\u2029" or "\ud800" <= c <= "\udfff"), None
    ):
        raise ValueError(f"the character U+{ord(found):04X} is not allowed in a header")
    return text


def refuse_hidden(name: str) -> str:
    """Return a name that people read. Raises ValueError if it has a control character, or one that turns its direction.

    With such a one, `fdp.exe` looks like `exe.pdf`, or a stranger's name like a known one.
    """
    refuse_controls(name)
    if found := NOT_IN_NAMES.search(name):
        raise ValueError(f"the character U+{ord(found[0]):04X} is not allowed in a name: it turns the text's direction")
    return name


def ascii_domain(domain: str) -> str:
    """Return the domain in lower case and ASCII. Raises ValueError."""
    try:
        found = domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError as error:
        raise ValueError(f"{domain!r:.100} is not a domain: {error}") from error
    if len(found) > DOMAIN_CHARACTERS or not all(_LABEL.fullmatch(label) for label in found.split(".")):
        raise ValueError(
            f"{domain!r:.100} is not a domain; allowed: labels of letters, digits and -, separated by dots"
        )
    return found


def hello_name(name: str) -> str:
    """Return a host's name for EHLO, a domain or an address in brackets, in ASCII. Raises ValueError."""
    if name.startswith("[") and name.endswith("]"):
        try:
            address = ip_address(name[1:-1].removeprefix("IPv6:"))
        except ValueError as error:
            raise ValueError(f"{name!r:.100} is not an address; allowed: [192.0.2.1] or [IPv6:2001:db8::1]") from error
        return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"
    return ascii_domain(name)


def unique(addresses: Iterable[Address]) -> list[Address]:
    """Return the addresses without duplicates, so that a mailbox gets an e-mail only once."""
    found: dict[str, Address] = {}
    for address in addresses:
        found.setdefault(address.spec, address)
    return list(found.values())


def _halves(text: str) -> tuple[str, str]:
    """Return the name before `<` and the address between `<` and `>`; without brackets the name is empty.

    A regular expression with a lazy name and optional spaces took time by the fourth power of the length.
    """
    name, bracket, spec = text[:-1].rpartition("<")
    return (name, spec.strip()) if text.endswith(">") and bracket and ">" not in spec else ("", text)


def _name(text: str) -> str:
    text = text.strip()
    if quoted := _QUOTED.fullmatch(text):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if found := next((c for c in text if c in '",;@'), None):
        # two addresses in one text look like one with a long name, and the first would get no e-mail
        raise ValueError(
            f"give one address per text, and put a name that contains {found} in double quotes; allowed: {ALLOWED}"
        )
    return text


def _local(local: str) -> str:
    if not _LOCAL.fullmatch(local) or local.startswith(".") or local.endswith(".") or ".." in local:
        raise ValueError(f"{local!r:.100} is not valid before the @; allowed: {ALLOWED}")
    if found := next((c for c in local if not c.isprintable() or c.isspace()), None):
        # nobody sees it, and smtplib drops some: the e-mail would go to another mailbox
        raise ValueError(f"the character U+{ord(found):04X} is not allowed before the @: it is invisible")
    if _ENCODED_WORD.search(local):
        # no spelling of it is safe: some mail programs decode it, and the e-mail would go to another mailbox
        raise ValueError("an encoded word (=?...?=) is not allowed before the @; write the characters that it means")
    if len(local.encode()) > LOCAL_BYTES:
        raise ValueError(f"before the @ at most {LOCAL_BYTES} bytes are allowed")
    return local
