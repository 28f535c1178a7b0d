"""One e-mail as bytes: headers.py writes the top headers, the standard library's email package the parts below."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import formatdate
from typing import Any

from dtqs.processors.email.addresses import Address, parse, unique
from dtqs.processors.email.headers import LINE_CHARACTERS, address_field, disposition, header_field, text_field
from dtqs.processors.email.media_type import charset_of
from dtqs.processors.email.media_type import parse as parse_type
from dtqs.processors.email.payload import EmailPayload


class _PartsPolicy(EmailPolicy):
    """Writes two headers as they are.

    The library encodes a long content id, and then `cid:` finds nothing. It decodes `=?` in a filename.
    """

    def header_store_parse(self, name: str, value: str) -> tuple[str, str]:
        return (name, value) if name.lower() == "content-disposition" else super().header_store_parse(name, value)

    def fold_binary(self, name: str, value: str) -> bytes:
        if name.lower() in ("content-id", "content-disposition"):
            return f"{name}: {value}{self.linesep}".encode()
        return super().fold_binary(name, value)


# without 8bit the server need not offer 8BITMIME, and no relay converts the content that DKIM signed
# the library's limit of 78 characters is too long for quoted-printable, which has 76 (RFC 2045, 6.7)
_POLICY = _PartsPolicy(linesep="\r\n", cte_type="7bit", max_line_length=LINE_CHARACTERS)


@dataclass(frozen=True, slots=True)
class Rendered:
    """The rendered parts of a template; None for each part without a file."""

    subject: str | None
    text: str | None
    html: str | None


@dataclass(frozen=True, slots=True)
class File:
    """An attachment with its bytes. One with a cid is displayed inside the HTML.

    The media type may have parameters.
    """

    data: bytes
    media_type: str
    filename: str
    cid: str | None


@dataclass(frozen=True, slots=True)
class Body:
    """The content from the payload or its template; at least one of text and html is set."""

    subject: str
    text: str | None
    html: str | None
    files: Sequence[File]


@dataclass(frozen=True, slots=True)
class Mail:
    """An e-mail and its envelope. With `utf8` the server must offer SMTPUTF8."""

    message_id: str
    sender: Address
    recipients: Sequence[Address]
    content: bytes
    utf8: bool


def compose(payload: EmailPayload, body: Body, sender: Address, task_id: str) -> Mail:
    """Compose the e-mail, unsigned. Raises ValueError on a control character in a header.

    The Message-ID is made from the task's id, so that all attempts have the same one.
    """
    to, cc, bcc, reply_to = (
        list(map(parse, field)) for field in (payload.to, payload.cc, payload.bcc, payload.reply_to)
    )
    utf8 = any(address.needs_smtputf8 for address in (sender, *to, *cc, *reply_to))
    message_id = f"<{task_id}@{sender.domain}>"
    lines = [
        f"Date: {formatdate().replace('-0000', '+0000')}\r\n",
        address_field("From", [sender], utf8),
        address_field("To", to, utf8),
    ]
    lines += [address_field(name, found, utf8) for name, found in (("Cc", cc), ("Reply-To", reply_to)) if found]
    lines += [text_field("Subject", body.subject, utf8), f"Message-ID: {message_id}\r\n"]
    lines += [header_field(name, value, utf8) for name, value in payload.headers.items()]
    lines += _list_fields(payload)
    content = "".join(lines).encode() + _parts(body).as_bytes(policy=_POLICY)
    recipients = unique([*to, *cc, *bcc])
    return Mail(message_id, sender, recipients, content, utf8 or any(address.needs_smtputf8 for address in recipients))


def header_names(content: bytes) -> tuple[str, ...]:
    """Return the names of an e-mail's headers in lower case."""
    head = content.partition(b"\r\n\r\n")[0]
    return tuple(name.decode().lower() for name in re.findall(rb"(?m)^([!-9;-~]+):", head))


def _list_fields(payload: EmailPayload) -> list[str]:
    """Return List-Unsubscribe and List-Unsubscribe-Post. URIs may not be folded inside, nor encoded."""
    if not payload.list_unsubscribe:
        return []
    uris = ",\r\n ".join(f"<{uri}>" for uri in payload.list_unsubscribe)
    return [f"List-Unsubscribe: {uris}\r\n"] + (
        ["List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"] if payload.one_click else []
    )


def _parts(body: Body) -> EmailMessage:
    """Return text and HTML as alternatives, inline files related to the HTML, then the attachments."""
    message = EmailMessage(policy=_POLICY)
    if body.text is not None:
        message.set_content(body.text)
    html = message
    if body.html is not None:
        if body.text is None:
            message.set_content(body.html, subtype="html")
        else:
            message.add_alternative(body.html, subtype="html")
            *_, html = message.iter_parts()  # type: ignore[assignment]
    inline = [file for file in body.files if file.cid and body.html is not None]
    for file in inline:
        html.add_related(file.data, **_kind(file), cid=f"<{file.cid}>")
        _name_last_part(html, "inline", file.filename)
    if inline:
        html.set_param("type", "text/html")  # of the root, which this kind of parts must name (RFC 2387, 3.1)
    for file in body.files:
        if file not in inline:
            message.add_attachment(file.data, **_kind(file))
            _name_last_part(message, "attachment", file.filename)
    return message


def _name_last_part(message: EmailMessage, kind: str, filename: str) -> None:
    *_, part = message.iter_parts()
    part.replace_header("Content-Disposition", disposition(kind, filename))


def _kind(file: File) -> dict[str, Any]:
    """Return the arguments for the type of a part."""
    kind = parse_type(file.media_type)
    if kind.main in ("message", "multipart"):
        # these two types may not be encoded in base64, as all files are here
        return {"maintype": "application", "subtype": "octet-stream"}
    parameters = dict(kind.parameters)
    if kind.main == "text" and "charset" not in parameters and (charset := charset_of(file.data)):
        parameters["charset"] = charset
    return {"maintype": kind.main, "subtype": kind.sub, "params": parameters}
