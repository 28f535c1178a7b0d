"""The payload of a task of type `email`. processor.py checks the rules that depend on the settings."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from dtqs.processors.base import Payload, Source
from dtqs.processors.email import addresses, media_type
from dtqs.processors.email.headers import NAME, header_field

_CID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,199}")
RECIPIENTS_LIMIT, ATTACHMENTS_LIMIT, HEADERS_LIMIT = 1000, 100, 50
SUBJECT_CHARACTERS, HEADER_CHARACTERS, FILENAME_CHARACTERS, CID_CHARACTERS = 1000, 4000, 200, 200
URI_CHARACTERS = 950
"""A URI in List-Unsubscribe cannot be folded, and a line of an e-mail has at most 998 octets (RFC 5322)."""
TEMPLATE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*(/[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*)*$"
OURS = frozenset({
    "from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version", "return-path",
    "received", "dkim-signature", "authentication-results", "delivered-to", "x-envelope-from", "x-envelope-to",
})  # fmt: skip
"""Headers that have their own fields, or that DTQS or servers write; also `content-*`, `resent-*` and `arc-*`."""

Mailbox = Annotated[str, AfterValidator(addresses.check), Field(description=f"one e-mail address: {addresses.ALLOWED}")]
OneLine = Annotated[str, AfterValidator(addresses.refuse_controls)]
HeaderValue = Annotated[OneLine, Field(min_length=1, max_length=HEADER_CHARACTERS)]


def _uri(uri: str) -> str:
    if (
        not (uri.isascii() and uri.isprintable())
        or set(uri) & set(' <>,"')
        or not uri.lower().startswith(("https://", "http://", "mailto:"))
    ):
        raise ValueError("allowed: an https:, http: or mailto: URI in ASCII, without spaces, commas, < and >")
    return uri


def _header_name(name: str) -> str:
    lower = name.lower()
    if not NAME.fullmatch(name):
        raise ValueError("not a header name; allowed: up to 76 letters, digits, - and _")
    if lower in OURS or lower.startswith(("content-", "resent-", "arc-")):
        raise ValueError("DTQS writes this header, or it has its own field")
    return name


def _refuse_unwritable(name: str, value: str) -> None:
    try:
        header_field(name, value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


HeaderName = Annotated[str, AfterValidator(_header_name)]
Uri = Annotated[str, Field(max_length=URI_CHARACTERS), AfterValidator(_uri)]


class Attachment(Payload):
    """A file that is sent with the e-mail."""

    source: Source
    filename: Annotated[str, AfterValidator(addresses.refuse_hidden)] | None = Field(
        default=None,
        min_length=1,
        max_length=FILENAME_CHARACTERS,
        description="left out: the source's name, or attachment-1.png",
    )
    content_type: Annotated[str, AfterValidator(media_type.check)] | None = Field(
        default=None,
        max_length=media_type.CHARACTERS,
        description="such as application/pdf or text/calendar; method=REQUEST, with the parameters charset, method "
        "and name; left out: derived from name and content",
        json_schema_extra={"pattern": media_type.PATTERN},
    )
    inline: bool | str = Field(
        default=False,
        description="text: the HTML shows it as cid:TEXT; true: as cid: with the filename; false: an attachment",
    )

    @field_validator("filename")
    @classmethod
    def _is_no_path(cls, filename: str | None) -> str | None:
        if filename and ("/" in filename or "\\" in filename or not filename.strip(". ")):
            raise ValueError("allowed: a name without / and \\")
        return filename

    @field_validator("inline", mode="before")
    @classmethod
    def _is_a_cid(cls, inline: Any, info: ValidationInfo) -> bool | str:
        if not isinstance(inline, bool | str):
            raise ValueError("allowed: true, false, or text")
        cid = inline if isinstance(inline, str) else info.data.get("filename", "x") if inline else "x"
        if not cid or not _CID.fullmatch(cid):
            raise ValueError(
                f"allowed as a content id: 1 to {CID_CHARACTERS} letters, digits and . _ - @ + ; "
                "with true, the filename must have this form"
            )
        return inline


class EmailPayload(Payload):
    """One e-mail."""

    sender: Mailbox | None = Field(
        default=None, alias="from", description="sender address; left out: [processor:email] sender"
    )
    to: list[Mailbox] = Field(
        min_length=1, max_length=RECIPIENTS_LIMIT, description="a list of one or more e-mail addresses"
    )
    cc: list[Mailbox] = Field(default=[], max_length=RECIPIENTS_LIMIT, description="recipients of a copy")
    bcc: list[Mailbox] = Field(
        default=[], max_length=RECIPIENTS_LIMIT, description="recipients of a copy that the others do not see"
    )
    reply_to: list[Mailbox] = Field(default=[], max_length=20, description="addresses for replies")
    template: str | None = Field(
        default=None,
        pattern=TEMPLATE_NAME,
        max_length=200,
        description="name of a template: NAME.txt, NAME.html and NAME.subject.txt "
        "in the folder of [processor:email] templates",
    )
    context: dict[str, Any] | None = Field(default=None, description="values for the template's names")
    subject: OneLine | None = Field(
        default=None,
        max_length=SUBJECT_CHARACTERS,
        validate_default=True,
        description="one line; optional with a template",
    )
    html: str | None = Field(default=None, description="the HTML; given with text, the reader's program chooses")
    text: str | None = Field(default=None, validate_default=True, description="the plain text")
    headers: dict[HeaderName, HeaderValue] = Field(
        default={}, max_length=HEADERS_LIMIT, description="additional headers, such as X-Campaign"
    )
    list_unsubscribe: list[Uri] = Field(
        default=[], max_length=4, description="https: and mailto: URIs for leaving a list, the preferred one first"
    )
    one_click: bool = Field(
        default=False, description="true: a POST to the only https: URI of list_unsubscribe is enough (RFC 8058)"
    )
    attachments: list[Attachment] = Field(default=[], max_length=ATTACHMENTS_LIMIT, description="files to attach")

    # an invalid field is missing from info.data; its own problem is enough

    @field_validator("subject")
    @classmethod
    def _is_given(cls, subject: str | None, info: ValidationInfo) -> str | None:
        if subject is None and info.data.get("template", "") is None:
            raise ValueError("must be given, unless a template has a subject")
        return subject

    @field_validator("text")
    @classmethod
    def _has_a_body(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is None and info.data.get("template", "") is None and info.data.get("html", "") is None:
            raise ValueError("one of text, html and template must be given")
        return text

    @field_validator("context")
    @classmethod
    def _has_a_template(cls, context: dict[str, Any] | None, info: ValidationInfo) -> dict[str, Any] | None:
        if context is not None and info.data.get("template", "") is None:
            raise ValueError("is allowed only with a template")
        return context

    @field_validator("headers")
    @classmethod
    def _can_be_written(cls, headers: dict[str, str]) -> dict[str, str]:
        if len({name.lower() for name in headers}) < len(headers):
            raise ValueError("a header is given twice; upper and lower case are equal")
        for name, value in headers.items():
            _refuse_unwritable(name, value)
        return headers

    @field_validator("list_unsubscribe")
    @classmethod
    def _is_given_once(cls, uris: list[str], info: ValidationInfo) -> list[str]:
        if uris and any(name.lower().startswith("list-unsubscribe") for name in info.data.get("headers", ())):
            raise ValueError("headers contains List-Unsubscribe as well; allowed: one of the two")
        return uris

    @field_validator("one_click")
    @classmethod
    def _has_a_url(cls, one_click: bool, info: ValidationInfo) -> bool:
        uris = [uri.lower() for uri in info.data.get("list_unsubscribe", ("https://",))]
        if one_click and [uri.partition(":")[0] for uri in uris if not uri.startswith("mailto:")] != ["https"]:
            raise ValueError("needs exactly one https: URI in list_unsubscribe, and beside it only mailto: URIs")
        return one_click

    @field_validator("attachments")
    @classmethod
    def _cids_differ(cls, attachments: list[Attachment]) -> list[Attachment]:
        cids = [each.inline if isinstance(each.inline, str) else each.filename for each in attachments if each.inline]
        if twice := next((cid for cid in cids if cids.count(cid) > 1), None):
            raise ValueError(f"two attachments have the content id cid:{twice}")
        return attachments
