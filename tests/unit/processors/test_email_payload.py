"""The payload of an e-mail: addresses, headers, bodies, settings. All faults are reported at once, by field."""

import re
import smtplib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtqs.config import load
from dtqs.errors import ConfigError, Invalid
from dtqs.processors.catalog import Catalog
from dtqs.processors.email import media_type
from dtqs.processors.email.addresses import Address, parse, unique
from dtqs.processors.email.settings import EmailSettings

HELLO: dict[str, Any] = {"to": ["ada@example.net"], "subject": "Hello", "text": "x"}
SENDER = {"DTQS_PROCESSOR_EMAIL_SENDER": "Shop <shop@example.org>"}


def problems(payload: dict[str, Any], **environ: str) -> dict[str, str]:
    catalog = Catalog.load(
        load(None, {**SENDER, **{f"DTQS_PROCESSOR_EMAIL_{key.upper()}": value for key, value in environ.items()}})
    )
    try:
        catalog.validate("email", payload)
    except Invalid as error:
        return {problem.field: problem.message for problem in error.problems}
    return {}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ada@example.org", Address("", "ada", "example.org")),
        ("Ada Lovelace <ada@Example.ORG>", Address("Ada Lovelace", "ada", "example.org")),
        ('"Lovelace, Ada" <ada@example.org>', Address("Lovelace, Ada", "ada", "example.org")),
        (r'"Ada \"the first\" \\" <ada@example.org>', Address('Ada "the first" \\', "ada", "example.org")),
        ("<ada@example.org>", Address("", "ada", "example.org")),
        ("  Ada < ada+tag@example.org > ", Address("Ada", "ada+tag", "example.org")),
        ("Jürgen <jürgen@BÜCHER.example>", Address("Jürgen", "jürgen", "xn--bcher-kva.example")),
        ("root@localhost", Address("", "root", "localhost")),
    ],
)
def test_an_address_is_read_as_people_write_it(text: str, address: Address) -> None:
    assert parse(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "ada", "@example.org", "ada@", "ada@-x.org", "ada@a..b", "a b@example.org", ".ada@example.org",
        "a..b@example.org", "ada@[127.0.0.1]",
        "a@b@c <x>", "ada@example.org, bob@example.org", "ada@example.org, Bob <bob@example.org>",
        "Ada <ada@example.org> <x@y.z>", "Ada; <a@b.c>",
        'A"da <a@b.c>', "Ada\r\nBcc: eve@example.org <a@b.c>", "a@b.c\n", "A\0 <a@b.c>", "A\x7f <a@b.c>",
        "A\u2028 <a@b.c>", f"{'a' * 65}@b.c",
        "ada.\u00a0@example.org", "a\u3000da@example.org", "ada\u200b@example.org", "\u202eada@example.org",
        f"a@{'b' * 64}.c", "x" * 501, "=?utf-8?q?eve=40b.c=3e?=@example.org",
    ],
)  # fmt: skip
def test_text_that_is_not_exactly_one_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"allowed|no domain"):
        parse(text)


@settings(deadline=None, derandomize=True, database=None)
@given(st.text(max_size=80))
def test_reading_an_address_raises_no_other_error(text: str) -> None:
    try:
        address = parse(text)
    except ValueError:
        return
    assert "\n" not in address.name + address.spec
    assert smtplib.quoteaddr(address.spec) == f"<{address.spec}>", "the server gets the mailbox that readers see"


@pytest.mark.parametrize("character", "\u00a0\u2003\u200b\u3000\ufeff")
def test_an_invisible_character_before_the_at_is_named(character: str) -> None:
    with pytest.raises(ValueError, match=rf"U\+{ord(character):04X} is not allowed before the @: it is invisible"):
        parse(f"Ada <a{character}da@example.org>")


def test_a_mailbox_counts_once_in_all_its_spellings() -> None:
    assert [each.name for each in unique(map(parse, ["Ada <a@x.org>", "b@x.org", "a@X.org"]))] == ["Ada", ""]


def test_every_fault_is_reported_at_its_field() -> None:
    wrong = {
        "to": ["ada@example.org", "x"],
        "subject": "a\r\nBcc: eve@example.org",
        "headers": {"Subject": "x", "X-A": "b\nc", "Content-Type": "x", "x y": "z"},
        "list_unsubscribe": ["javascript:x"],
        "attachments": [{"source": "upload:x", "filename": "../x", "inline": 1}],
        "context": {},
        "reply_too": [],
    }
    assert set(problems(wrong)) == {
        "payload.to[1]", "payload.subject", "payload.headers.Subject", "payload.headers.X-A",
        "payload.headers.Content-Type", "payload.headers.x y",
        "payload.list_unsubscribe[0]", "payload.attachments[0].source", "payload.attachments[0].filename",
        "payload.attachments[0].inline",
        "payload.context", "payload.text", "payload.reply_too",
    }  # fmt: skip


@pytest.mark.parametrize("field", ["subject", "from", "to", "cc", "bcc", "reply_to", "headers", "filename"])
@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_a_line_end_in_a_future_header_is_refused_with_its_field(field: str, end: str) -> None:
    text = f"a{end}Bcc: eve@example.org"
    given: dict[str, Any] = {
        "subject": text, "from": f"{text} <a@b.c>", "headers": {"X-A": text},
        "filename": [{"source": "file:/x", "filename": text}],
    }  # fmt: skip
    key = "attachments" if field == "filename" else field
    found = problems({**HELLO, key: given.get(field, [f"{text} <a@b.c>"])})
    place = {"subject": "", "from": "", "headers": ".X-A", "filename": "[0].filename"}.get(field, "[0]")
    assert found == {f"payload.{key}{place}": "a line end (CR or LF) is not allowed in a header"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text": None}, "payload.text"),
        ({"subject": None}, "payload.subject"),
        ({"to": []}, "payload.to"),
        ({"to": "ada@example.org"}, "payload.to"),
        ({"from": "Shop <shop@example.com>"}, "payload.from"),
        ({"headers": {"Foo": "x"}}, "payload.headers.Foo"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "payload.headers"),
        ({"headers": {"X-A": ""}}, "payload.headers.X-A"),
        ({"template": "welcome"}, "payload.template"),
        ({"template": "../etc/passwd"}, "payload.template"),
        ({"template": "a/../b"}, "payload.template"),
        (
            {"list_unsubscribe": ["mailto:x@y.z"], "headers": {"List-Unsubscribe": "<https://x>"}},
            "payload.list_unsubscribe",
        ),
        ({"one_click": True}, "payload.one_click"),
        ({"one_click": True, "list_unsubscribe": ["mailto:x@y.z"]}, "payload.one_click"),
        ({"one_click": True, "list_unsubscribe": ["https://x/1", "https://x/2"]}, "payload.one_click"),
        ({"one_click": True, "list_unsubscribe": ["https://x/1", "HTTP://x/2"]}, "payload.one_click"),
        *(
            ({"attachments": [{"source": "file:/a", "content_type": kind}]}, "payload.attachments[0].content_type")
            for kind in (
                "",
                "text",
                "text/",
                "/plain",
                "text/plain;",
                "text/plain; charset",
                "text/plain; charset=",
                "text/plain; charset=utf-8; CHARSET=ascii",
                "text/plain; boundary=x",
                "text/plain; charset=ü",
                'text/plain; charset="a b"',
                "text/plain\r\nBcc: eve@example.org",
                'text/plain; name="a\r\nBcc: b"',
                'text/plain; name="a\0"',
                'text/plain; name="a"b"',
                'text/plain; name="=?utf-8?q?x=0D=0AB:c?="',
                "text/calendar; method=A;B=C",
                'text/calendar; method="A"; x=y',
                "text/plain; name=a=?b",
                f"text/plain; name={'x' * 101}",
                f"text/plain; charset={'x' * 41}",
                "x" * 301,
            )
        ),
        *(
            (
                {"attachments": [{"source": "file:/a", "filename": f"fdp{turn}cod.exe"}]},
                "payload.attachments[0].filename",
            )
            for turn in "\u202a\u202e\u2066\u2069\u2028"
        ),
        ({"cc": ["Bank \u202eabc <a@example.org>"]}, "payload.cc[0]"),
        (
            {"attachments": [{"source": "file:/a", "filename": "a.png", "inline": True}]},
            "payload.attachments[0].inline",
        ),
        (
            {"html": "x", "attachments": [{"source": "file:/a", "filename": "a b.png", "inline": True}]},
            "payload.attachments[0].inline",
        ),
        ({"html": "x", "attachments": [{"source": "file:/a", "inline": ">x"}]}, "payload.attachments[0].inline"),
        ({"html": "x", "attachments": [{"source": "file:/a", "inline": "x"}] * 2}, "payload.attachments"),
        ({"to": [f"u{n}@example.org" for n in range(101)]}, "payload.to"),
    ],
)
def test_a_value_that_is_not_allowed_is_reported_at_its_field(change: dict[str, Any], field: str) -> None:
    assert list(problems({**HELLO, **change})) == [field]


@pytest.mark.parametrize(
    "kind",
    [
        "Text/Plain", "APPLICATION/pdf", "text/calendar; method=REQUEST",
        'text/calendar;METHOD="REQUEST"; charset=UTF-8',
        'text/plain; name="my file (1).txt"', "application/vnd.ms-excel.sheet.macroEnabled.12",
    ],
)  # fmt: skip
def test_a_media_type_may_have_parameters(kind: str) -> None:
    assert problems({**HELLO, "attachments": [{"source": "https://x/a", "content_type": kind}]}) == {}
    assert re.search(media_type.PATTERN, kind), "the OpenAPI document allows it"


def test_one_click_may_have_an_address_beside_its_uri() -> None:
    uris = ["mailto:u@example.org", "HTTPS://example.org/u", "mailto:v@example.org"]
    assert problems({**HELLO, "one_click": True, "list_unsubscribe": uris}) == {}


def test_text_that_turns_its_direction_may_stand_in_a_subject() -> None:
    assert problems({**HELLO, "subject": "\u2068Ada\u2069 writes"}) == {}


def test_settings_limit_recipients_and_senders() -> None:
    assert problems({**HELLO, "from": "Other <other@example.org>"}) == {}
    assert problems({**HELLO, "from": "shop@example.com"}, allowed_senders="boss@example.org, example.com") == {}
    assert problems({**HELLO, "from": "anybody@anywhere.example"}, allowed_senders="*") == {}
    assert (
        "boss@example.org"
        in problems({**HELLO, "from": "shop@example.org"}, allowed_senders="boss@example.org")["payload.from"]
    )
    assert problems(
        {**HELLO, "to": ["a@mail.example.net"], "cc": ["b@example.com"]}, allowed_domains="example.net"
    ) == {"payload.cc[0]": "e-mails to example.com are not allowed; allowed: example.net"}
    assert problems({**HELLO, "headers": {"Foo": "x", "x-campaign": "y"}}, allowed_headers="Foo, X-*") == {}


def test_without_settings_an_email_is_refused_with_a_remedy() -> None:
    nothing = Catalog.load(load(None, {}))
    with pytest.raises(
        Invalid, match=r"payload.from: must be given: no sender is configured \(\[processor:email\] sender\)"
    ):
        nothing.validate("email", HELLO)
    with pytest.raises(
        Invalid, match=r"payload.from: not allowed as a sender; allowed: none: set \[processor:email\] sender"
    ):
        nothing.validate("email", {**HELLO, "from": "a@b.c"})


def test_a_missing_template_is_refused_if_the_folder_is_readable_here(tmp_path: Path) -> None:
    (tmp_path / "welcome.txt").write_text("Hello {{ name }}")
    mail = {"to": ["a@b.c"], "template": "welcome", "context": {"name": "Ada"}}
    assert problems(mail, templates=str(tmp_path)) == {}
    assert problems({**mail, "template": "wellcome"}, templates=str(tmp_path)) == {
        "payload.template": "no such template"
    }
    assert problems({**mail, "template": "wellcome"}, templates=str(tmp_path / "elsewhere")) == {}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"username": "x"}, "username and password go together"),
        (
            {"username": "x", "password": "sesame", "security": "none", "host": "mx.example.org"},
            "would send the password unencrypted",
        ),
        ({"dkim_domain": "example.org"}, "dkim_domain, dkim_selector and dkim_key go together"),
        ({"dkim_domain": "a.b", "dkim_selector": "s", "dkim_key": "nonsense sesame"}, "not an RSA key"),
        ({"sender": "Shop"}, "not an e-mail address"),
        ({"allowed_senders": "a b"}, "is not a domain"),
        ({"password": "sésame", "username": "x"}, "must be ASCII"),
        ({"password": "sesame", "username": "müller"}, "must be ASCII: the login"),
        ({"hello_name": "büro pc"}, "is not a domain"),
        ({"hello_name": "[192.0.2.1.1]"}, r"allowed: \[192\.0\.2\.1\] or \[IPv6:2001:db8::1\]"),
        ({"dkim_selector": "key 1"}, "is not a domain"),
        ({"on_ambiguous": "maybe"}, "allowed: retry or fail"),
    ],
)
def test_contradictory_settings_stop_every_command(keys: dict[str, str], words: str) -> None:
    environ = {f"DTQS_PROCESSOR_EMAIL_{key.upper()}": value for key, value in keys.items()}
    with pytest.raises(ConfigError, match=words) as caught:
        Catalog.load(load(None, environ))
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("mx.Example.org", "mx.example.org"),
        ("büro.example", "xn--bro-hoa.example"),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("[2001:db8::1]", "[IPv6:2001:db8::1]"),
        ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
    ],
)
def test_the_name_of_this_host_is_a_domain_or_an_address(given: str, sent: str) -> None:
    assert EmailSettings.model_validate({"hello_name": given}).hello_name == sent


def test_a_nul_in_a_password_stops_every_command(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"ses\0ame")
    with pytest.raises(ConfigError, match="ASCII without NUL"):
        load_email(username="x", password_file=str(tmp_path / "password"))


def test_an_attempt_has_the_time_for_all_its_waits() -> None:
    assert load_email().get("email").timeout_seconds == 600
    assert load_email(data_timeout_seconds="3600").get("email").timeout_seconds == 3750
    assert load_email(data_timeout_seconds="3600", timeout_seconds="30").get("email").timeout_seconds == 30


def load_email(**keys: str) -> Catalog:
    return Catalog.load(load(None, {f"DTQS_PROCESSOR_EMAIL_{key.upper()}": value for key, value in keys.items()}))


def test_the_port_follows_from_the_encryption() -> None:
    assert [
        EmailSettings.model_validate({"security": security}).server_port for security in ("starttls", "tls", "none")
    ] == [587, 465, 25]
