"""The base of all sections of the configuration, and the field types that several sections share."""

import ipaddress
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=1, le=65535)]


class Section(BaseModel):
    """A frozen section of the file. A field's description is its comment in conf/dtqs.ini; names end in the unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def is_network(text: str) -> bool:
    """Tell whether the text is an IP address or a network such as 10.1.0.0/16."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
