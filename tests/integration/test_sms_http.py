"""SMS over HTTP: Twilio's API and a configurable gateway, each a real server on loopback, and every kind of answer."""

import base64
import html
import json
import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import orjson
import pytest
import trustme
from pydantic import SecretStr

from dtqs.errors import EffectUnknown, PermanentError, TransientError
from dtqs.processors.base import Context
from dtqs.processors.sms import SmsProcessor
from dtqs.processors.sms.payload import SmsPayload
from dtqs.processors.sms.settings import SmsSettings
from dtqs.processors.sms.template import in_json
from dtqs.task import Effect
from tests.support.fix_processors import Attempt
from tests.support.helpers import free_port
from tests.support.interrupts import interrupted, stopped_at
from tests.support.sms_servers import Answer, Gateway, accepted, refused

TO, TOKEN = "+4915112345678", "0123456789abcdef0123456789abcdef"
SID = "AC" + "f" * 32
Send = Callable[..., Any]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway()
    yield server
    server.stop()


@pytest.fixture
def twilio(gateway: Gateway, attempt: Attempt) -> Iterator[Send]:
    """Yield a function that sends by the Twilio of `gateway`: `twilio({"text": …}, setting=…)`."""
    yield from _sender(
        attempt,
        {
            "provider": "twilio",
            "account_sid": SID,
            "auth_token": SecretStr(TOKEN),
            "base_url": gateway.url,
            "sender": "+15005550006",
        },
    )


@pytest.fixture
def http(gateway: Gateway, attempt: Attempt) -> Iterator[Send]:
    yield from _sender(
        attempt,
        {"provider": "http", "url": f"{gateway.url}/send?ref=${{id}}", "token": SecretStr(TOKEN), "sender": "DTQS"},
    )


def _sender(attempt: Attempt, settings: dict[str, Any]) -> Iterator[Send]:
    made: list[SmsProcessor] = []

    def send(payload: dict[str, Any] | None = None, *, context: Context | None = None, **more: Any) -> Any:
        if not made or more:
            made.append(SmsProcessor(SmsSettings(**{**settings, **more})))
        valid = SmsPayload.model_validate({"to": TO, "text": "hello", **(payload or {})})
        assert made[-1].problems(valid) == []
        return made[-1].run(valid, context or attempt.context())

    yield send
    for processor in made:
        processor.close()


# --- twilio


def test_the_request_follows_twilios_api_and_its_answer_is_the_result(
    twilio: Send, gateway: Gateway, attempt: Attempt
) -> None:
    context = attempt.context()
    result = twilio({"text": "Grüße, 5 € & more", "status_callback": "https://example.org/status?a=1"}, context=context)
    (asked,) = gateway.asked
    assert (asked.method, asked.path) == ("POST", f"/2010-04-01/Accounts/{SID}/Messages.json")
    assert base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode() == f"{SID}:{TOKEN}"
    assert asked.form == {
        "To": TO,
        "From": "+15005550006",
        "Body": "Grüße, 5 € & more",
        "StatusCallback": "https://example.org/status?a=1",
    }
    assert result == {
        "message_id": f"SM{1:032d}", "status": "queued", "to": TO, "sender": "+15005550006", "segments": 1,
        "encoding": "GSM-7", "provider": "twilio",
    }  # fmt: skip
    assert attempt.reports.effects == [Effect.FAIL]


def test_twilio_chooses_the_sender_if_a_service_is_configured_and_the_task_names_none(
    twilio: Send, gateway: Gateway, attempt: Attempt
) -> None:
    context = attempt.context()
    callback = "https://example.org/sms/${id}"
    twilio(context=context, sender="", messaging_service_sid="MG1", api_key_sid="SK1", status_callback=callback)
    twilio({"sender": "Parcels"})
    assert gateway.asked[0].form == {
        "To": TO,
        "MessagingServiceSid": "MG1",
        "Body": "hello",
        "StatusCallback": f"https://example.org/sms/{context.task_id}",
    }
    assert base64.b64decode(gateway.asked[0].headers["authorization"].removeprefix("Basic ")).decode() == f"SK1:{TOKEN}"
    assert gateway.asked[1].form["From"] == "Parcels"


def test_twilios_service_chooses_the_sender_although_one_is_configured(twilio: Send, gateway: Gateway) -> None:
    """The documented configuration has both keys."""
    assert twilio(sender="+15005550006", messaging_service_sid="MG1")["sender"] is None
    twilio({"sender": "Parcels"})
    assert gateway.asked[0].form == {"To": TO, "MessagingServiceSid": "MG1", "Body": "hello"}
    assert gateway.asked[1].form == {"To": TO, "From": "Parcels", "Body": "hello"}


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (
            refused(400, 21211, f"The 'To' number {TO} is not a valid phone number."),
            PermanentError,
            "error 21211: The 'To' number +4915…78 is not a valid",
        ),
        (refused(400, 21610, "Attempt to send to unsubscribed recipient"), PermanentError, "error 21610"),
        (refused(401, 20003, f"Authenticate {TOKEN}"), PermanentError, "credentials were rejected"),
        (Answer(301, {}, {"Location": "/elsewhere"}), PermanentError, "HTTP 301"),
        (
            Answer(201, {"sid": "SM1", "status": "failed", "error_code": 30007, "error_message": "filtered"}),
            PermanentError,
            "error 30007: filtered",
        ),
        (
            refused(400, 21611, "This 'From' number has exceeded the maximum number of queued messages"),
            TransientError,
            "error 21611",
        ),
        (refused(500, 20500, "Internal Server Error"), TransientError, "HTTP 500"),
        (Answer(503, b"<html>away</html>"), TransientError, "HTTP 503"),
        (Answer(504, b"<html>lost</html>"), EffectUnknown, "HTTP 504"),
        (Answer(524, b"<html>lost</html>"), EffectUnknown, "HTTP 524"),
    ],
    ids=lambda value: str(getattr(value, "code", "")),
)
def test_each_answer_is_transient_permanent_or_unknown(
    twilio: Send, gateway: Gateway, answer: Answer, error: type[Exception], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    gateway.answers = [answer]
    with pytest.raises(error) as caught:
        twilio()
    assert isinstance(caught.value, EffectUnknown) == (error is EffectUnknown)
    assert words in str(caught.value)
    assert len(gateway.asked) == 1
    assert TOKEN not in str(caught.value) + caplog.text
    assert TO not in str(caught.value) + caplog.text


def test_a_failing_server_is_left_for_a_new_connection(twilio: Send, gateway: Gateway) -> None:
    gateway.answers = [accepted(1), accepted(2), Answer(503, b"away"), accepted(4)]
    for _ in range(2):
        twilio()
    with pytest.raises(TransientError):
        twilio()
    twilio()
    first, second, third, fourth = (asked.port for asked in gateway.asked)
    assert first == second == third != fourth


def test_too_many_requests_are_retried_at_twilios_time(twilio: Send, gateway: Gateway) -> None:
    gateway.answers = [refused(429, 20429, "Too Many Requests", Retry_After="17")]
    with pytest.raises(TransientError, match="20429") as caught:
        twilio()
    assert caught.value.retry_after_seconds == 17


@pytest.mark.parametrize(("on_ambiguous", "error"), [("fail", EffectUnknown), ("retry", TransientError)])
def test_a_lost_reply_obeys_the_setting_and_is_logged(
    twilio: Send, gateway: Gateway, attempt: Attempt, on_ambiguous: str, error: type[Exception]
) -> None:
    gateway.answers = [Answer(lost=True)]
    with pytest.raises(error, match="twilio did not reply"):
        twilio(on_ambiguous=on_ambiguous)
    assert attempt.reports.effects == [Effect(on_ambiguous)]
    assert attempt.reports.logs == [("warning", "nobody knows whether the message was sent")]


def test_the_wait_for_a_reply_ends_at_its_limit(twilio: Send, gateway: Gateway) -> None:
    never = threading.Event()
    gateway.answers = [Answer(until=never)]
    with pytest.raises(EffectUnknown, match="timed out"):
        twilio(request_timeout_seconds=0.2)
    never.set()


def test_a_reply_cut_after_its_status_counts_by_the_status(twilio: Send, http: Send, gateway: Gateway) -> None:
    gateway.answers = [
        Answer(201, {"sid": "SM1"}, cut=True),
        Answer(400, {"code": 21211}, cut=True),
        Answer(200, b"OK, but to whom", cut=True),
    ]
    assert twilio()["message_id"] is None
    with pytest.raises(PermanentError, match="HTTP 400"):
        twilio()
    with pytest.raises(EffectUnknown, match="http sent an incomplete answer: HTTP 200: OK, but"):
        http(success_pattern="whom$")


def test_the_next_message_after_an_interrupt_is_sent_normally(twilio: Send, gateway: Gateway, attempt: Attempt) -> None:
    never = threading.Event()
    gateway.answers = [accepted(1), Answer(until=never)]
    twilio()
    with interrupted(lambda: len(gateway.asked) == 2):
        twilio()
    never.set()
    assert twilio()["status"] == "queued"


@pytest.mark.parametrize("provider", ["twilio", "http"])
def test_an_accepted_message_is_known_before_anything_else_can_fail(
    twilio: Send, http: Send, gateway: Gateway, attempt: Attempt, provider: str
) -> None:
    context, send = attempt.context(), {"twilio": twilio, "http": http}[provider]
    with stopped_at("dtqs.processors.sms.processor", "message handed over"):
        send(context=context, on_ambiguous="retry")
    assert len(gateway.asked) == 1
    assert orjson.loads(context.known_result or "null")["to"] == TO
    assert attempt.reports.effects == [Effect.RETRY, Effect.FAIL]


def test_without_a_connection_no_effect_begins_and_the_task_is_retried(twilio: Send, attempt: Attempt) -> None:
    with pytest.raises(TransientError, match=r"no connection to 127\.0\.0\.1"):
        twilio(base_url=f"http://127.0.0.1:{free_port()}")
    assert attempt.reports.effects == []


def test_an_untrusted_certificate_is_refused_before_anything_is_sent(
    twilio: Send, attempt: Attempt, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = Gateway(context)
    try:
        with pytest.raises(TransientError, match=r"(?i)certificate"):
            twilio(base_url=server.url)
        assert attempt.reports.effects == []
        assert twilio(base_url=server.url, ca_file=tmp_path / "ca.pem")["status"] == "queued"
        assert len(server.asked) == 1
    finally:
        server.stop()


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_missing_file_of_authorities_is_worth_a_retry(
    twilio: Send, http: Send, attempt: Attempt, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    for send in (twilio, http):
        with pytest.raises(TransientError, match=f"ca_file = {file}: "):
            send(ca_file=file)
    assert attempt.reports.effects == []


def test_proxies_of_the_environment_are_ignored(
    twilio: Send, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert twilio()["status"] == "queued"


# --- http


def test_a_gateway_gets_the_configured_request_with_each_value_escaped_for_its_place(
    http: Send, gateway: Gateway, attempt: Attempt
) -> None:
    context = attempt.context()
    gateway.answers = [Answer(200, {"messages": [{"id": 4711}]})]
    text = 'say "hi" ${token} \\ & <b>\nand more'
    result = http(
        {"text": text},
        context=context,
        headers='{"Authorization": "Bearer ${token}", "Idempotency-Key": "${id}", "accept-encoding": "gzip"}',
        id_path="messages.0.id",
    )
    (asked,) = gateway.asked
    assert (asked.method, asked.path) == ("POST", f"/send?ref={context.task_id}")
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["idempotency-key"] == context.task_id
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["accept-encoding"] == "identity", "a compressed reply could not be read"
    assert asked.body.decode().count(TOKEN) == 0
    assert result["message_id"] == "4711"
    assert orjson.loads(asked.body) == {"to": TO, "from": "DTQS", "text": text, "reference": context.task_id}


def test_a_gateway_behind_a_shared_address_gets_its_own_host_and_content_type(http: Send, gateway: Gateway) -> None:
    gateway.answers = [Answer(200, {"messages": [{"id": 4711}]})]
    http({"text": "hi"}, headers='{"host": "sms.example", "content-type": "application/json; charset=utf-8"}')
    (asked,) = gateway.asked
    assert asked.headers["host"] == "sms.example"
    assert asked.headers["content-type"] == "application/json; charset=utf-8"


def test_forms_xml_and_urls_carry_any_text(http: Send, gateway: Gateway) -> None:
    gateway.answers = [Answer(200, b"OK: 1")] * 3
    text = 'a&b=c <"ü€'
    http({"text": text}, content_type="application/x-www-form-urlencoded", body="to=${to}&text=${text}&user=a")
    http({"text": text}, content_type="text/xml", body='<sms to="${to}">${text}</sms>')
    http(
        {"text": text},
        method="GET",
        url=f"{gateway.url}/send/${{to}}?text=${{text}}&key=${{token}}",
        success_pattern="^OK",
    )
    assert gateway.asked[0].form == {"to": TO, "text": text, "user": "a"}
    assert gateway.asked[1].body.decode() == f'<sms to="{TO}">a&amp;b=c &lt;&quot;ü€</sms>'
    assert gateway.asked[2].path == f"/send/%2B4915112345678?text=a%26b%3Dc%20%3C%22%C3%BC%E2%82%AC&key={TOKEN}"
    assert gateway.asked[2].body == b""


def test_the_token_of_a_request_is_in_no_log(http: Send, gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    gateway.answers = [Answer(200, b"OK"), Answer(403, f"who is {TOKEN}?".encode())]
    http(method="GET", url=f"{gateway.url}/?to=${{to}}&text=${{text}}&key=${{token}}")
    with pytest.raises(PermanentError) as caught:
        http()
    assert "who is ********?" in str(caught.value)
    assert TOKEN not in caplog.text
    assert TO not in caplog.text
    assert "hello" not in caplog.text


SPOKEN = """Ihr "Code": 482913 für Ä & Ö's / A"""


def in_php(text: str) -> str:
    return json.dumps(text)[1:-1].replace("/", "\\/")


def in_lower_case(text: str) -> str:
    return re.sub("%..", lambda match: match[0].lower(), quote(text))


@pytest.mark.parametrize(
    "write",
    [
        str,
        quote,
        quote_plus,
        in_json,
        escape,
        html.escape,
        in_php,
        in_lower_case,
        lambda text: json.dumps({"text": text}),
    ],
)
def test_a_text_repeated_by_a_provider_is_in_no_error(
    http: Send, twilio: Send, gateway: Gateway, write: Callable[[str], str]
) -> None:
    gateway.answers = [
        Answer(400, f"bad text {write(SPOKEN)} for you".encode()),
        refused(400, 21617, f"bad text {write(SPOKEN)}"),
    ]
    for send in (http, twilio):
        with pytest.raises(PermanentError, match=r"bad text .*\*{8}") as caught:
            send({"text": SPOKEN})
        assert "482913" not in str(caught.value)


@pytest.mark.parametrize("charset", ["ISO-8859-1", "windows-1252", "unknown", None])
def test_a_text_repeated_in_another_encoding_is_in_no_error(http: Send, gateway: Gateway, charset: str | None) -> None:
    kind = {"Content-Type": f"text/html; charset={charset}"} if charset else {}
    gateway.answers = [Answer(400, f"bad text {SPOKEN}".encode("cp1252"), kind)]
    with pytest.raises(PermanentError, match=r"bad text \*{8}$"):
        http({"text": SPOKEN})
    assert gateway.asked[0].headers["accept-encoding"] == "identity"


def test_a_server_that_repeats_the_request_as_its_reply_shows_no_secret(attempt: Attempt) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def repeat() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(f"X-Token: {TOKEN} {TO}\r\n\r\n".encode())

        threading.Thread(target=repeat, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        settings = SmsSettings(provider="http", url=url, token=SecretStr(TOKEN))
        processor = SmsProcessor(settings)
        with pytest.raises(EffectUnknown, match="http did not reply") as caught:
            processor.run(SmsPayload(to=TO, text="hello"), attempt.context())
        processor.close()
    assert "********" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert TO not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(200, b"ERR 7"), PermanentError),
        (Answer(400, {"why": "no"}), PermanentError),
        (Answer(429, b""), TransientError),
        (Answer(500, b""), TransientError),
        (Answer(502, b""), EffectUnknown),
        (Answer(520, b""), EffectUnknown),
        (Answer(207, b"OK"), EffectUnknown),
        (Answer(lost=True), EffectUnknown),
    ],
    ids=lambda value: str(getattr(value, "code", "")),
)
def test_status_and_pattern_decide_about_success(
    http: Send, gateway: Gateway, answer: Answer, error: type[Exception]
) -> None:
    gateway.answers = [answer]
    with pytest.raises(error) as caught:
        http(success_pattern="^OK")
    assert isinstance(caught.value, EffectUnknown) == (error is EffectUnknown)


def test_the_status_of_the_answer_decides_even_without_an_id(http: Send, gateway: Gateway) -> None:
    gateway.answers = [
        Answer(200, b"not json"),
        Answer(204, b""),
        accepted(1),
        Answer(200, {"messages": [{"id": "a\0b\u200e"}]}),
    ]
    assert [http(id_path="messages.0.id")["message_id"] for _ in range(4)] == [None, None, None, "ab"]
