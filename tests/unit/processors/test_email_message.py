"""An e-mail's bytes: read back by the standard library's parser, and its signature by a verifier."""

import os
from collections.abc import Iterator
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dtqs.errors import InputRefused, PermanentError, Postponed, TransientError
from dtqs.processors.email import EmailProcessor
from dtqs.processors.email.addresses import Address, parse
from dtqs.processors.email.attachments import _file, read_files
from dtqs.processors.email.faults import TemplateFault
from dtqs.processors.email.folder import MailFolder
from dtqs.processors.email.headers import address_field, disposition, header_field, text_field
from dtqs.processors.email.message import Body, File, compose
from dtqs.processors.email.payload import Attachment, EmailPayload
from dtqs.processors.email.settings import EmailSettings
from dtqs.processors.email.templates import Templates
from dtqs.turn import Turn
from dtqs.uuid7 import uuid7
from tests.support.fix_processors import Attempt

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 300
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=300)


def read(field: str) -> EmailMessage:
    assert field.endswith("\r\n")
    lines = field.removesuffix("\r\n").split("\r\n")
    assert all(line.startswith(" ") and line.strip(" ") for line in lines[1:]), "the field is one header"
    assert all(len(line.encode()) <= 998 for line in lines)
    return message_from_bytes(field.encode() + b"\r\n", policy=default)


@settings(deadline=None, max_examples=60, derandomize=True, database=None)
@given(WORDS)
@example("x" * 2000)
@example("a  " * 100 + "b")
@example("=?utf-8?q?hello?=")
@example("ü" * 500 + " " + "x" * 500)
def test_a_text_is_read_back_from_its_header(text: str) -> None:
    assert str(read(text_field("Subject", text))["Subject"]) == text.strip(" ")


@settings(deadline=None, max_examples=60, derandomize=True, database=None)
@given(
    st.lists(
        st.builds(Address, WORDS, st.from_regex(r"\A[a-z0-9+_-]{1,40}\Z"), st.just("example.org")),
        min_size=1,
        max_size=8,
    )
)
@example([Address("=?utf-8?q?Eve?=", "ada", "example.org"), Address('back\\slash "quoted", comma', "b", "example.org")])
def test_addresses_are_read_back_from_their_header(addresses: list[Address]) -> None:
    field = address_field("To", addresses)
    read(field)
    # The newer parser takes the space between two encoded words of a name for a part of it (RFC 2047, 6.2).
    found = [(str(make_header(decode_header(name))), spec) for name, spec in getaddresses([field.removeprefix("To:")])]
    assert [(name.split(), spec) for name, spec in found] == [(each.name.split(), each.spec) for each in addresses]


def body(part: Any) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_no_header_contains_a_line_end(end: str) -> None:
    with pytest.raises(ValueError, match="line end"):
        text_field("Subject", f"a{end}Bcc: eve@example.org")
    with pytest.raises(ValueError, match="line end"):
        address_field("To", [Address(f"a{end}", "a", "b.c")])


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("List-Unsubscribe", "<https://b.c/?a=?b>,<mailto:u@b.c>", "<https://b.c/?a=?b>, <mailto:u@b.c>"),
        ("References", f"<a=?1@b.c> <{'x' * 200}=?2@b.c>", f"<a=?1@b.c> <{'x' * 200}=?2@b.c>"),
        ("In-Reply-To", "<=?utf-8?q?x?=@b.c>", "<=?utf-8?q?x?=@b.c>"),
        ("List-Id", '"Größe" <list.b.c>', "=?utf-8?b?R3LDtsOfZQ==?= <list.b.c>"),
        ("List-Id", "=?utf-8?q?x?= <list.b.c>", "=?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <list.b.c>"),
        ("List-Unsubscribe", "<https://b.c> (für alle)", "<https://b.c> (=?utf-8?b?ZsO8ciBhbGxl?=)"),
        ("X-Reply-To", "Ada (für) <a@b.c>", "=?utf-8?b?QWRhIChmw7xyKQ==?= <a@b.c>"),
    ],
)
def test_an_id_or_uri_in_a_header_is_never_encoded(name: str, value: str, written: str) -> None:
    field = header_field(name, value)
    read(field)
    assert field.replace("\r\n", "") == f"{name}: {written}"


def test_an_id_that_cannot_be_written_is_refused_at_submit() -> None:
    for value in (f"<https://b.c/{'x' * 990}>", "<https://b.c/ü>"):
        with pytest.raises(ValidationError, match="List-Help: between < and > at most 984 ASCII characters"):
            EmailPayload.model_validate({"to": ["a@b.c"], "subject": "s", "text": "t", "headers": {"List-Help": value}})


@pytest.mark.parametrize(
    "filename",
    [
        "data.csv",
        "=?utf-8?q?x?=.png",
        "a =?utf-8?q?x?=",
        'a "b" \\ c',
        "a  b.txt",
        " a",
        "ü" * 50,
        "x" * 200,
        "100%.txt",
    ],
)
def test_a_filename_is_read_back(filename: str) -> None:
    field = f"Content-Disposition: {disposition('attachment', filename)}\r\n"
    part = read(field)
    assert (part.get_filename(), part["Content-Disposition"].params["filename"]) == (filename.strip(), filename)
    assert all(len(line) <= 80 for line in field.split("\r\n"))


@pytest.fixture
def made(attempt: Attempt, tmp_path: Path) -> Any:
    """Run a task whose e-mail goes into a folder, and return the e-mail and the result."""
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "logo.png").write_bytes(PNG)
    (tmp_path / "sources" / "data").write_bytes(b"a,b\n" * 10)

    def run(payload: dict[str, Any], **keys: Any) -> EmailMessage:
        own = {"backend": "folder", "folder": tmp_path / "mails", "sender": "Shop <shop@example.org>"}
        processor = EmailProcessor(EmailSettings.model_validate({**own, **keys}))
        context = attempt.context()
        result = processor.run(
            EmailPayload.model_validate({"to": ["ada@example.net"], "subject": "s", **payload}), context
        )
        assert result["file"] == f"{context.task_id}.eml"
        return MailFolder(tmp_path / "mails").read(context.task_id)

    return run


def test_an_email_in_the_folder_has_its_envelope(made: Any) -> None:
    mail = made(
        {
            "text": "hello\n",
            "bcc": ["eve@example.com"],
            "reply_to": ["Help <help@example.org>"],
            "from": "Boss <boss@example.org>",
        }
    )
    assert mail["X-Envelope-From"] == "boss@example.org"
    assert mail.get_all("X-Envelope-To") == ["ada@example.net", "eve@example.com"]
    assert (mail["From"], mail["Reply-To"], mail["Bcc"]) == ("Boss <boss@example.org>", "Help <help@example.org>", None)


def test_text_and_html_are_alternatives_with_inline_images_and_attachments(made: Any, tmp_path: Path) -> None:
    source = f"file:{tmp_path}/sources/"
    mail = made(
        {
            "text": "Grüße",
            "html": '<img src="cid:logo">',
            "attachments": [
                {"source": f"{source}logo.png", "inline": "logo"},
                {"source": f"{source}data", "filename": "Übersicht.csv"},
                {"source": f"{source}logo.png", "content_type": "message/rfc822", "filename": "=?utf-8?q?x?="},
            ],
        }
    )
    assert mail.get_content_type() == "multipart/mixed"
    alternatives, table, other = mail.iter_parts()
    text, related = alternatives.iter_parts()
    html, logo = related.iter_parts()
    assert [part.get_content_type() for part in (alternatives, text, related, html, logo)] == [
        "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png",
    ]  # fmt: skip
    assert text.get_content().strip() == "Grüße"
    assert mail.as_bytes().isascii(), "a server without 8BITMIME accepts the e-mail"
    assert (logo["Content-ID"], logo.get_content_disposition(), logo.get_content()) == ("<logo>", "inline", PNG)
    assert (table.get_filename(), table.get_content_type(), table.get_payload(decode=True)) == (
        "Übersicht.csv",
        "text/csv",
        b"a,b\n" * 10,
    )
    assert (other.get_content_type(), other.get_content()) == ("application/octet-stream", PNG)
    assert (logo.get_filename(), other.get_filename()) == ("logo.png", "=?utf-8?q?x?=")
    assert mail.get_body(("html",)).get_content().strip() == '<img src="cid:logo">'


@pytest.mark.parametrize("length", [1, 70, 76, 200])
def test_a_content_id_is_written_as_it_is(length: int) -> None:
    cid = ("logo@example.org" * 13)[:length]
    payload = EmailPayload.model_validate({"to": ["a@example.org"], "subject": "a", "html": "a"})
    image = File(b"", "image/png", "logo.png", cid)
    content = compose(payload, Body("a", None, "a", [image]), parse("s@example.com"), "id").content
    assert f"\r\nContent-ID: <{cid}>\r\n".encode() in content


@pytest.mark.parametrize("text", ["A long ASCII line " * 30, "Grüße an alle " * 30, "x" * 77, "é" * 300, "=" * 200])
def test_no_encoded_line_is_longer_than_76_characters(text: str) -> None:
    payload = EmailPayload.model_validate({"to": ["a@example.org"], "subject": "a", "text": text, "html": text})
    content = compose(payload, Body("a", text, text, ()), parse("s@example.com"), "id").content
    assert max(map(len, content.split(b"\r\n"))) <= 76
    assert body(message_from_bytes(content, policy=default).get_body(("plain",))) == text + "\n"


def test_html_alone_may_have_inline_images(made: Any, tmp_path: Path) -> None:
    source = {"source": f"file:{tmp_path}/sources/logo.png", "filename": "logo.png", "inline": True}
    assert made({"html": "<p>x"}).get_content_type() == "text/html"
    mail = made({"html": "<p>x", "attachments": [source]})
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/related", "text/html", "image/png"]
    assert list(mail.iter_parts())[1]["Content-ID"] == "<logo.png>"


def test_an_upload_is_named_after_its_content(made: Any, attempt: Attempt) -> None:
    with attempt.space.new_upload() as upload:
        upload.write(PNG)
        upload.commit()
    (_, part) = made({"text": "x", "attachments": [{"source": f"upload:{upload.file_id}"}]}).iter_parts()
    assert (part.get_filename(), part.get_content_type()) == ("attachment-1.png", "image/png")


def test_attachments_over_the_limit_are_refused_unread(made: Any, tmp_path: Path) -> None:
    huge = tmp_path / "sources" / "huge"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    source = {"source": f"file:{huge}"}
    with pytest.raises(PermanentError, match="with attachment 1 the e-mail exceeds the allowed 1000000 bytes"):
        made({"text": "x", "attachments": [source]}, max_message_bytes=1_000_000)
    with pytest.raises(PermanentError, match=r"the e-mail has \d+ bytes; allowed are 2000"):
        made({"text": "x" * 1900}, max_message_bytes=2000)


def test_the_unsubscribe_headers_are_as_requested(made: Any) -> None:
    mail = made(
        {
            "text": "x",
            "list_unsubscribe": ["https://example.org/u?x=1", "mailto:u@example.org"],
            "one_click": True,
            "headers": {"X-Campaign": "Frühling"},
        }
    )
    assert mail["List-Unsubscribe"] == "<https://example.org/u?x=1>, <mailto:u@example.org>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["X-Campaign"] == "Frühling"


def test_a_header_of_a_list_may_be_given_complete(made: Any) -> None:
    uris = f"<https://example.org/u?token={'x' * 300}>, <mailto:u@example.org?subject=unsubscribe>"
    mail = made(
        {"text": "x", "headers": {"List-Unsubscribe": uris, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}}
    )
    assert (mail["List-Unsubscribe"], mail["List-Unsubscribe-Post"]) == (uris, "List-Unsubscribe=One-Click")


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    folder = tmp_path / "templates"
    (folder / "parts").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    for name, text in {
        "welcome.subject.txt": "Welcome,\n {{ name }}\n",
        "welcome.txt": "Hello {{ name }}{% include 'parts/foot.txt' %}\n",
        "welcome.html": "<p>Hello {{ name }}</p>",
        "parts/foot.txt": "\nBye",
        "broken.txt": "a\n{% if %}",
        "outside.txt": "{% include '../secret.txt' %}",
        "escape.txt": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "divide.txt": "{{ 1 // n }}",
        "plain.txt": "x",
    }.items():
        (folder / name).write_text(text)
    return folder


def test_a_non_ascii_mailbox_only_in_the_envelope_needs_smtputf8_too() -> None:
    payload = EmailPayload.model_validate(
        {"to": ["a@b.c"], "bcc": ["jürgen@b.c", "a@b.c"], "subject": "s", "text": "t"}
    )
    mail = compose(payload, Body("s", "t", None, ()), Address("", "a", "b.c"), "id")
    assert (mail.utf8, mail.content.isascii(), [each.spec for each in mail.recipients]) == (
        True,
        True,
        ["a@b.c", "jürgen@b.c"],
    )
    assert mail.message_id == "<id@b.c>"


def test_a_template_gives_subject_text_and_escaped_html(made: Any, templates: Path) -> None:
    mail = made({"subject": None, "template": "welcome", "context": {"name": "<Ada>"}}, templates=templates)
    text, html = mail.iter_parts()
    assert mail["Subject"] == "Welcome, <Ada>"
    assert body(text) == "Hello <Ada>\nBye\n"
    assert body(html) == "<p>Hello &lt;Ada&gt;</p>\n"
    mail = made(
        {"subject": "Mine", "text": "mine", "template": "welcome", "context": {"name": "x" * 2000}}, templates=templates
    )
    assert (mail["Subject"], body(mail.get_body(("plain",)))) == ("Mine", "mine\n")


def test_a_changed_template_is_read_again(made: Any, templates: Path) -> None:
    made({"template": "plain"}, templates=templates)
    (templates / "plain.txt").write_text("changed")
    assert body(made({"template": "plain"}, templates=templates)) == "changed\n"


@pytest.mark.parametrize(
    ("name", "context", "reason"),
    [
        ("welcome", {}, "template welcome.subject.txt: 'name' is undefined"),
        ("nothing", {}, "template nothing: not found; needed: nothing.txt or nothing.html"),
        ("broken", {}, "template broken.txt: line 2: Expected an expression"),
        ("outside", {}, "template outside.txt: it uses ../secret.txt, which does not exist"),
        ("escape", {}, "template escape.txt: access to attribute '__class__' of 'str' object is unsafe"),
        ("divide", {"n": 0}, "template divide.txt: ZeroDivisionError"),
        ("plain", {}, "plain.subject.txt is missing, and the task gives no subject"),
        ("welcome", {"name": "x" * 992}, "template welcome.subject.txt: it makes 1001 characters; allowed are 1000"),
    ],
)
def test_a_template_error_names_its_place(
    made: Any, templates: Path, name: str, context: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TemplateFault, match=reason):
        made(
            {"subject": None if name in ("plain", "welcome") else "s", "template": name, "context": context},
            templates=templates,
        )


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Give up the rights of root, who may enter each folder."""
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)


@pytest.mark.usefixtures("as_nobody")
def test_a_closed_folder_hides_templates_and_does_not_lose_them() -> None:
    with TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "parts").mkdir()
        (folder / "uses.txt").write_text("{% include 'parts/foot.txt' %}")
        (folder / "parts" / "foot.txt").write_text("Bye")
        (folder / "parts").chmod(0)
        open_one, closed = Templates(folder), Templates(folder / "parts")
        try:
            assert open_one.has("parts/foot")
            assert closed.has("foot")
            assert not open_one.has("other")
            for templates, name in ((open_one, "parts/foot"), (open_one, "uses"), (closed, "foot")):
                with pytest.raises(TransientError, match="cannot be read: Permission denied"):
                    templates.render(name, {})
        finally:
            (folder / "parts").chmod(0o700)


def test_a_folder_that_is_not_mounted_is_worth_a_retry(tmp_path: Path) -> None:
    templates = Templates(tmp_path / "templates")
    assert templates.has("welcome")
    with pytest.raises(TransientError, match=r"welcome\.subject\.txt cannot be read: No such file or directory"):
        templates.render("welcome", {})
    (tmp_path / "templates").mkdir()
    assert not templates.has("welcome")
    with pytest.raises(TransientError, match=r"welcome\.subject\.txt cannot be read: the folder .* is empty"):
        templates.render("welcome", {})
    (tmp_path / "templates" / "other.txt").write_text("x")
    assert not templates.has("x" * 300)
    with pytest.raises(TemplateFault, match="template welcome: not found"):
        templates.render("welcome", {})


def test_control_characters_from_a_template_reach_no_header(made: Any, templates: Path) -> None:
    mail = made(
        {"subject": None, "template": "welcome", "context": {"name": "x\r\nBcc: eve@example.org"}}, templates=templates
    )
    assert (mail["Subject"], mail["Bcc"]) == ("Welcome, x Bcc: eve@example.org", None)
    with pytest.raises(PermanentError, match=r"the e-mail cannot be composed: the character U\+0000"):
        made({"subject": None, "template": "welcome", "context": {"name": "\0"}}, templates=templates)


def test_a_signature_is_valid_and_every_change_breaks_it(attempt: Attempt, tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = "".join(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().splitlines()[1:-1]
    )
    dkim_keys = {"dkim_domain": "example.org", "dkim_selector": "s1", "dkim_key": pem}
    section = {"backend": "folder", "folder": tmp_path, "sender": "Jürgen <shop@example.org>", **dkim_keys}
    context = attempt.context()
    payload = {
        "to": ["Ädä <ada@example.net>"],
        "subject": "Grüße " * 30,
        "text": "x " * 200,
        "list_unsubscribe": ["https://example.org/u"],
        "one_click": True,
    }
    EmailProcessor(EmailSettings.model_validate(section)).run(EmailPayload.model_validate(payload), context)
    written = (tmp_path / f"{context.task_id}.eml").read_bytes()
    content = written[written.index(b"DKIM-Signature") :]

    def dns(name: bytes, timeout: float = 5) -> bytes:
        assert name == b"s1._domainkey.example.org."
        return f"v=DKIM1; k=rsa; p={public}".encode()

    def verified(message: bytes) -> bool:
        return bool(dkim.verify(message, dnsfunc=dns))

    assert verified(content)
    assert all(
        f"{name} :".encode() in content.partition(b"\r\n\r\n")[0]
        for name in ("from", "list-unsubscribe", "list-unsubscribe-post")
    )
    assert not verified(content.replace(b"x x", b"x y", 1))
    assert not verified(content.replace(b"ada@", b"eve@", 1))
    assert not verified(b"Subject: Another\r\n" + content)
    assert not verified(b"From: eve@example.com\r\n" + content)


def test_a_second_attempt_replaces_the_file_of_the_first(attempt: Attempt, tmp_path: Path) -> None:
    processor = EmailProcessor(
        EmailSettings.model_validate({"backend": "folder", "folder": tmp_path / "mails", "sender": "a@b.c"})
    )
    context = attempt.context()
    for text in ("first", "second"):
        processor.run(EmailPayload.model_validate({"to": ["a@b.c"], "subject": "s", "text": text}), context)
    assert [path.name for path in (tmp_path / "mails").iterdir()] == [f"{context.task_id}.eml"]
    assert body(MailFolder(tmp_path / "mails").read(context.task_id)) == "second\n"


def test_each_recipient_domain_takes_a_turn(attempt: Attempt, tmp_path: Path) -> None:
    section = {
        "backend": "folder",
        "folder": tmp_path,
        "sender": "a@b.c",
        "per_domain_per_second": 2,
        "per_domain_burst": 5,
    }
    payload = {"to": ["a@x.org", "b@x.org"], "cc": ["c@Y.org"], "subject": "s", "text": "t"}
    EmailProcessor(EmailSettings.model_validate(section)).run(EmailPayload.model_validate(payload), attempt.context())
    assert attempt.reports.turns == [Turn("email:x.org", 2.0, 5), Turn("email:y.org", 2.0, 5)]


def test_an_email_whose_turn_has_not_come_reads_no_attachment(
    attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def later(_: object) -> None:
        raise Postponed(5, "x.org is full")

    (tmp_path / "sources").mkdir()
    source = tmp_path / "sources" / "letter.txt"
    section = {"backend": "folder", "folder": tmp_path / "mails", "sender": "a@b.c", "per_domain_per_second": 2}
    processor = EmailProcessor(EmailSettings.model_validate(section))
    payload = EmailPayload.model_validate(
        {"to": ["a@x.org"], "subject": "s", "text": "t", "attachments": [{"source": source.as_uri()}]}
    )
    monkeypatch.setattr(attempt.reports, "take", later)
    with pytest.raises(Postponed):
        processor.run(
            payload, attempt.context()
        )  # the file does not exist: an attempt to open it would raise InputRefused
    monkeypatch.undo()
    with pytest.raises(InputRefused):
        processor.run(payload, attempt.context())


LONG = {
    "ascii": "x" * 990,
    "words": "word " * 150,
    "cjk": "漢" * 990,
    "spaces": "a" + " " * 980 + "b",
    "combining": "e\u0301" * 450,
    "backslashes": "\\" * 450,
}


@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize("local", ["ada", "ädä"])
def test_no_line_is_longer_than_an_email_may_have(kind: str, local: str) -> None:
    value = LONG[kind]
    name = value.strip()[:450].replace('"', "")
    fields: dict[str, Any] = {
        "subject": value[:1000], "text": value * 3, "html": value, "from": f"{name} <{local}@example.org>",
        "cc": [f"{name} <b@example.org>"] * 3,
        "headers": {"X-" + "N" * 74: value[:4000], "References": value[:4000]},
        "list_unsubscribe": ["https://example.org/" + "x" * 930, "mailto:" + "y" * 943],
    }  # fmt: skip
    payload = EmailPayload.model_validate({"to": ["c@example.org"], **fields})
    files = [
        File(b"\0" * 2000, "application/pdf", value[:200], None),
        File(b"x" * 2000, "image/png", value[:200], "c" * 200),
    ]
    content = compose(payload, Body(value[:1000], value * 3, value, files), parse(fields["from"]), uuid7()).content
    assert max(map(len, content.split(b"\r\n"))) <= 998
    mail = message_from_bytes(content, policy=default)
    assert str(mail["Subject"]).split() == value[:1000].split()


def test_an_unsubscribe_uri_too_long_for_a_line_is_refused() -> None:
    with pytest.raises(ValidationError, match="list_unsubscribe"):
        EmailPayload.model_validate(
            {"to": ["a@b.c"], "subject": "x", "text": "x", "list_unsubscribe": ["https://example.org/" + "x" * 950]}
        )


def test_an_attachment_keeps_a_filename_with_joiners(attempt: Attempt, tmp_path: Path) -> None:
    name = "\u0645\u06cc\u200c\u0631\u0648\u0645\u00a0👩\u200d👧.png"
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / name).write_bytes(b"x")
    [file] = read_files([Attachment(source=f"file:{folder}/{name}")], attempt.context(), 100)
    assert file.filename == name


@pytest.mark.usefixtures("as_nobody")
@pytest.mark.parametrize("part", ["a\0b", "\ud800", "../closed/x", "{outside}", "", "x" * 300])
def test_a_value_that_names_no_template_fails_the_task_and_is_not_looked_for_outside(part: str) -> None:
    with TemporaryDirectory() as place:
        folder, outside = Path(place) / "templates", Path(place) / "closed"
        folder.mkdir()
        outside.mkdir(0)
        (folder / "uses.txt").write_text("{% include part %}")
        with pytest.raises(TemplateFault, match="which does not exist"):
            Templates(folder).render("uses", {"part": part.format(outside=outside / "x")})


@pytest.mark.parametrize(
    ("source", "name", "kind"),
    [
        ("s3://bucket/a/invoice%20%231.pdf", "invoice%20%231.pdf", "application/pdf"),
        ("s3://bucket/what?.pdf", "what?.pdf", "application/pdf"),
        ("s3://bucket/a#1.docx", "a#1.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("s3://bucket/folder/", "attachment-1.png", "image/png"),
        ("file:/a/caf%C3%A9%3F%23.csv", "café?#.csv", "text/csv"),
        ("file:///a/100%2525.csv", "100%25.csv", "text/csv"),
        ("https://example.org/a/b%20c.csv?x=/d.pdf#e", "b c.csv", "text/csv"),
        ("https://example.org/a%3Fb.csv", "a?b.csv", "text/csv"),
        ("https://example.org", "attachment-1.png", "image/png"),
        ("https://example.org/%E2%80%AEa.csv", "attachment-1.png", "image/png"),
        ("upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42", "attachment-1.png", "image/png"),
    ],
)
def test_the_name_is_the_last_part_of_the_source(source: str, name: str, kind: str) -> None:
    file = _file(Attachment(source=source), 1, PNG)
    assert (file.filename, file.media_type) == (name, kind)


def part_of(data: bytes, kind: str) -> EmailMessage:
    """Return the attachment of an e-mail, read back from its bytes."""
    payload = EmailPayload.model_validate({"to": ["a@example.org"], "subject": "a", "text": "a"})
    content = compose(
        payload, Body("a", "a", None, [File(data, kind, "a", None)]), parse("s@example.com"), "id"
    ).content
    message = message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage)
    (part,) = message.iter_attachments()
    assert part.get_payload(decode=True) == data
    assert len(message.keys()) == len(set(message.keys()))
    assert "Bcc" not in message
    return part


@pytest.mark.parametrize(
    ("data", "kind", "charset"),
    [
        ("Grüße".encode(), "text/plain", "utf-8"),
        ("é".encode() * 1_000_000 + b"a", "text/plain", "utf-8"),
        (b"a" + "é".encode() * 1_000_000, "text/plain", "utf-8"),
        (b"hello", "text/csv", "us-ascii"),
        (b"", "Text/CSV", "us-ascii"),
        ("Grüße".encode("latin-1"), "text/plain", None),
        ("Grüße".encode()[:-3], "text/plain", "utf-8"),
        ("Grü".encode()[:-1], "text/plain", None),
        ("日本".encode("iso-2022-jp"), "text/plain", None),
        ("Grüße".encode("latin-1"), "text/plain; charset=ISO-8859-1", "ISO-8859-1"),
        (b"hello", "application/json", None),
    ],
)
def test_a_text_names_its_encoding_if_that_is_certain(data: bytes, kind: str, charset: str | None) -> None:
    assert part_of(data, kind).get_param("charset") == charset


def test_the_parameters_of_a_media_type_are_written() -> None:
    part = part_of(b"BEGIN:VCALENDAR", "Text/Calendar; METHOD=REQUEST; charset=utf-8")
    assert part.get_content_type() == "text/calendar"
    assert dict(part["Content-Type"].params) == {"method": "REQUEST", "charset": "utf-8"}
    name = "a long name, " * 7
    assert part_of(b"x", f'application/pdf; name="{name}"')["Content-Type"].params["name"] == name
    assert part_of(b"x", "message/rfc822; name=a").get_content_type() == "application/octet-stream"


def test_related_parts_name_the_type_of_their_root(made: Any, tmp_path: Path) -> None:
    source = {"source": f"file:{tmp_path}/sources/logo.png", "filename": "logo.png", "inline": True}
    for body, place in (({"html": "<p>x"}, 0), ({"html": "<p>x", "text": "x"}, 2)):
        related = list(made({**body, "attachments": [source, {**source, "inline": "b"}]}).walk())[place]
        assert (related.get_content_type(), related.get_param("type")) == ("multipart/related", "text/html")
    assert made({"html": "<p>x", "attachments": [{**source, "inline": False}]}).get_param("type") is None


@pytest.mark.parametrize(
    ("keys", "payload", "why"),
    [
        ({"allowed_domains": ["example.com"]}, {}, r"payload.to\[0\]: e-mails to example.net are not allowed"),
        ({"max_recipients": 1}, {"cc": ["b@example.net"]}, "2 recipients in to, cc and bcc; at most 1"),
        ({"allowed_headers": []}, {"headers": {"X-Campaign": "a"}}, "payload.headers.X-Campaign: not allowed"),
        ({"allowed_senders": ["example.com"]}, {"from": "a@example.org"}, "not allowed as a sender"),
    ],
)
def test_settings_that_became_narrower_hold_for_emails_that_wait(
    made: Any, tmp_path: Path, keys: dict[str, Any], payload: dict[str, Any], why: str
) -> None:
    """Such as a database of production that was restored in staging."""
    with pytest.raises(PermanentError, match=why):
        made({"text": "x", **payload}, **keys)
    assert not (tmp_path / "mails").exists()


def test_a_template_in_a_folder_that_is_away_is_worth_a_retry(made: Any, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    with pytest.raises(TransientError, match="is empty"):
        made({"template": "welcome"}, templates=tmp_path / "templates")
