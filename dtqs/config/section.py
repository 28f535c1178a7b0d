"""The base of all sections of the configuration, and the field types that several sections share."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from dtqs.host_name import HOST_FAULT, is_host_name
from dtqs.shown_url import MASK, shown_host, shown_url

Port = Annotated[int, Field(ge=1, le=65535)]
_UNITS = "KMGT"


@dataclass(frozen=True, slots=True)
class ShownAs:
    """Marks a text that may hold a secret. Messages and `dtqs config show` show what this function makes of it."""

    change: Callable[[str], str]


ShownAsUrl = ShownAs(shown_url)
ShownAsHost = ShownAs(shown_host)
"""For a URL whose path may hold a key."""
ShownMasked = ShownAs(lambda _: MASK)


@dataclass(frozen=True, slots=True)
class WithUnit:
    """Marks a size that may be written with a unit: 512M, 2GiB."""


@dataclass(frozen=True, slots=True)
class SeveralLines:
    """Marks a text that may have several lines, such as JSON; in a file its further lines are indented.

    Without `may_name_keys`, no line may begin as another key of the section does.
    """

    may_name_keys: bool = True


def _bytes_of(value: object) -> object:
    """Return a size in bytes. Leave any other text to the check of the number."""
    found = (
        re.fullmatch(rf"([0-9]{{1,15}})\s*([{_UNITS}])(iB)?", value.strip(), re.IGNORECASE)
        if isinstance(value, str)
        else None
    )
    return int(found[1]) * 1024 ** (_UNITS.index(found[2].upper()) + 1) if found else value


Bytes = Annotated[int, BeforeValidator(_bytes_of), WithUnit()]
"""A number of bytes that may have a unit: K, M, G or T, for KiB to TiB."""


def check_host(host: str) -> str:
    """Return a host that may be looked up. Raises ValueError."""
    if host.startswith("["):
        raise ValueError("an IPv6 address stands here without brackets, such as ::1")
    if ":" in host and not is_network(host.partition("%")[0]):
        raise ValueError("it is no address; the port is a key of its own")
    if not host.isprintable() or " " in host:
        raise ValueError("it has a space or an invisible character")
    if host and not is_host_name(host):
        raise ValueError(HOST_FAULT)
    return host


Host = Annotated[str, AfterValidator(check_host)]
"""A host name or an address, without a port."""


class Section(BaseModel):
    """A frozen section of the file. A field's description is its comment in conf/dtqs.ini; names end in the unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_empty_path(cls, value: object, info: ValidationInfo) -> object:
        """Refuse an empty path. It would mean the current folder, in which the keeper deletes temporary files."""
        is_path = info.field_name is not None and cls.model_fields[info.field_name].annotation is Path
        if is_path and isinstance(value, str) and not value.strip():
            raise ValueError("it is empty, and would mean the current folder")
        return value


def is_network(text: str) -> bool:
    """Tell whether the text is an IP address or a network such as 10.1.0.0/16."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
