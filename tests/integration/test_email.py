"""E-mails through a real SMTP server with STARTTLS and AUTH: delivery, kept connections, answers and faults."""

import io
import os
import smtplib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from dtqs.errors import EffectUnknown, PermanentError, TransientError
from dtqs.processors.base import Context
from dtqs.processors.email import EmailProcessor
from dtqs.processors.email.addresses import Address
from dtqs.processors.email.faults import (
    AllDeferred,
    AllRefused,
    AnswerLost,
    MailDeferred,
    MailRefused,
    ServerUnreachable,
    TooManyRecipients,
)
from dtqs.processors.email.message import Mail
from dtqs.processors.email.payload import EmailPayload
from dtqs.processors.email.settings import EmailSettings
from dtqs.processors.email.smtp import MailServer
from dtqs.task import Effect
from tests.support.certificates import two_authorities
from tests.support.fix_mail import Serve
from tests.support.fix_processors import Attempt
from tests.support.interrupts import interrupted
from tests.support.mail_server import MailServerUnderTest, Received

Make = Callable[..., EmailProcessor]
HELLO: dict[str, Any] = {"to": ["Ada <ada@example.net>"], "subject": "Hello", "text": "How are you?\n"}


@pytest.fixture
def server(serve: Serve) -> MailServerUnderTest:
    return serve()


@pytest.fixture
def processor() -> Iterator[Make]:
    made: list[EmailProcessor] = []

    def make(server: MailServerUnderTest, **settings: Any) -> EmailProcessor:
        made.append(EmailProcessor(EmailSettings.model_validate(server.settings(**settings))))
        return made[-1]

    yield make
    for each in made:
        each.close()


def content(mail: Received) -> str:
    return str(mail.message.get_content()).replace("\r\n", "\n")


def send(
    sender: EmailProcessor, attempt: Attempt, payload: dict[str, Any] = HELLO, context: Context | None = None
) -> Any:
    return sender.run(EmailPayload.model_validate(payload), context or attempt.context())


def test_an_email_arrives_encrypted_and_after_a_login(
    server: MailServerUnderTest, processor: Make, attempt: Attempt
) -> None:
    context = attempt.context()
    result = send(
        processor(server),
        attempt,
        {**HELLO, "cc": ["Grace <grace@example.net>"], "bcc": ["eve@example.com", "ada@example.net"]},
        context,
    )
    (mail,) = server.mails
    assert mail.login
    assert mail.sender == "shop@example.org"
    assert mail.recipients == ["ada@example.net", "grace@example.net", "eve@example.com"], "each recipient once"
    message = mail.message
    assert {name: message[name] for name in ("From", "To", "Cc", "Bcc", "Subject")} == {
        "From": "Shop <shop@example.org>", "To": "Ada <ada@example.net>", "Cc": "Grace <grace@example.net>",
        "Bcc": None, "Subject": "Hello",
    }  # fmt: skip
    assert message["Message-ID"] == f"<{context.task_id}@example.org>"
    assert content(mail) == "How are you?\n"
    assert result == {
        "message_id": f"<{context.task_id}@example.org>",
        "accepted": ["ada@example.net", "grace@example.net", "eve@example.com"],
        "refused": [],
        "answer": "250 2.0.0 queued as 4711",
        "size_bytes": len(mail.content),
    }
    assert attempt.reports.effects == [Effect.FAIL]
    assert attempt.reports.logs == [("info", "handing the mail over")]


def test_a_connection_is_kept_for_the_next_emails_and_checked_after_an_idle_time(
    server: MailServerUnderTest, processor: Make, attempt: Attempt
) -> None:
    sender = processor(server, mails_per_connection=3)
    for _ in range(2):
        send(sender, attempt)
    assert "NOOP" not in server.commands
    sender._server._used_at -= 30
    send(sender, attempt)
    assert server.commands.count("NOOP") == 1
    assert len({id(mail.connection) for mail in server.mails}) == 1
    send(sender, attempt)
    assert len({id(mail.connection) for mail in server.mails}) == 2, "after three e-mails comes a new connection"
    sender._server._used_at -= 61
    send(sender, attempt)
    assert len({id(mail.connection) for mail in server.mails}) == 3, (
        "a connection that was idle for too long is replaced"
    )


def test_a_worker_that_ends_sends_quit(server: MailServerUnderTest, processor: Make, attempt: Attempt) -> None:
    sender = processor(server)
    send(sender, attempt)
    assert "QUIT" not in server.commands
    sender.close()
    sender.close()
    assert server.commands.count("QUIT") == 1


def test_an_accepted_email_is_known_before_quit(serve: Serve, processor: Make, attempt: Attempt) -> None:
    server, context = serve(quit_stalls=True), attempt.context()
    with interrupted(lambda: "QUIT" in server.commands):
        send(processor(server, idle_seconds=0, on_ambiguous="retry"), attempt, context=context)
    assert orjson.loads(context.known_result or "null")["answer"] == "250 2.0.0 queued as 4711"
    assert attempt.reports.effects == [Effect.RETRY, Effect.FAIL]
    assert len(server.mails) == 1


def test_a_restarted_server_gets_the_next_email_over_a_new_connection(
    server: MailServerUnderTest, processor: Make, attempt: Attempt
) -> None:
    sender = processor(server)
    send(sender, attempt)
    server.hang_up()
    send(sender, attempt)
    sender._server._used_at -= 30
    server.hang_up()
    send(sender, attempt)
    server.stop()
    with pytest.raises(ServerUnreachable, match=r"broke off|cannot be used") as caught:
        send(sender, attempt)
    assert isinstance(caught.value, TransientError)
    assert len(attempt.reports.effects) == 3, "no effect began"
    server.start()
    send(sender, attempt)
    assert len(server.mails) == 4


def test_a_kept_connection_that_the_server_ends_with_421_is_replaced(
    server: MailServerUnderTest, processor: Make, attempt: Attempt
) -> None:
    sender = processor(server)
    send(sender, attempt)
    server.sender_answers = ["421 4.4.2 idle for too long"]
    send(sender, attempt)
    assert [server.connections.index(mail.connection) for mail in server.mails] == [0, 1]
    server.sender_answers = ["421 4.4.2 go away", "421 4.4.2 go away"]
    with pytest.raises(MailDeferred, match=r"421 4\.4\.2 go away"):
        send(sender, attempt)


@pytest.mark.parametrize("answer", ["452 4.3.1 no room", "451 4.7.1 enough on this connection", "530 5.7.0 log in"])
def test_a_kept_connection_that_takes_no_further_email_is_replaced_at_once(
    server: MailServerUnderTest, processor: Make, attempt: Attempt, answer: str
) -> None:
    server.later_senders_answer = answer
    sender = processor(server)
    for _ in range(3):
        send(sender, attempt)
    assert [server.connections.index(mail.connection) for mail in server.mails] == [0, 1, 2]
    assert server.commands.count("QUIT") == 2


@pytest.mark.parametrize("step", ["recipients", "command", "data"])
def test_a_kept_connection_on_which_emails_are_deferred_is_not_used_again(
    server: MailServerUnderTest, processor: Make, attempt: Attempt, step: str
) -> None:
    """One backend of a relay is full, and each connection stays with its backend."""
    sender, answer = processor(server), "452 4.3.1 no room"
    for _ in range(2):
        if step == "recipients":
            server.recipient_answers = {"ada@example.net": answer}
        else:
            (server.data_answers if step == "data" else server.data_command_answers).append(answer)
        with pytest.raises((MailDeferred, AllDeferred), match="no room"):
            send(sender, attempt)
    server.recipient_answers = {}
    send(sender, attempt)
    assert [server.connections.index(mail.connection) for mail in server.mails] == [1]


def test_rejected_emails_count_for_mails_per_connection(
    server: MailServerUnderTest, processor: Make, attempt: Attempt
) -> None:
    server.data_answers = ["554 5.7.1 spam"] * 3
    sender = processor(server, mails_per_connection=2)
    for _ in range(3):
        with pytest.raises(MailRefused):
            send(sender, attempt)
    assert len(server.connections) == 2


@pytest.mark.parametrize(
    ("step", "answer"),
    [("recipients", "550 5.1.1 no such user"), ("recipients", "452 4.3.1 no room"), ("data", "554 5.7.1 spam")],
)
def test_a_rejected_email_leaves_no_connection_open_if_none_is_kept(
    server: MailServerUnderTest, processor: Make, attempt: Attempt, step: str, answer: str
) -> None:
    sender = processor(server, idle_seconds=0)
    if step == "recipients":
        server.recipient_answers = {"ada@example.net": answer}
    else:
        server.data_answers = [answer]
    with pytest.raises((MailRefused, AllDeferred, AllRefused)):
        send(sender, attempt)
    assert server.commands.count("QUIT") == 1


@pytest.mark.parametrize("answer", ["452 4.5.3 Error: too many recipients", "552 Too many recipients", "550 5.5.3 no"])
def test_an_email_with_more_recipients_than_the_server_takes_goes_to_nobody(
    server: MailServerUnderTest, processor: Make, attempt: Attempt, answer: str
) -> None:
    sender, most = processor(server), 3
    to = [f"u{number}@example.net" for number in range(5)]
    server.recipient_answers = {"u0@example.net": "550 5.1.1 no such user", **dict.fromkeys(to[most + 1 :], answer)}
    with pytest.raises(TooManyRecipients, match=r"takes 3 recipients in one e-mail.*set .* max_recipients = 3, or"):
        send(sender, attempt, {**HELLO, "to": to})
    assert (server.mails, attempt.reports.effects) == ([], [])
    server.recipient_answers = {}
    send(sender, attempt)
    assert len(server.connections) == 1, "RSET keeps the connection"
    assert server.mails[0].recipients == ["ada@example.net"]


def test_a_recipient_rejected_alone_for_that_reason_is_deferred(
    server: MailServerUnderTest, processor: Make, attempt: Attempt
) -> None:
    server.recipient_answers = {"ada@example.net": "452 4.5.3 too many recipients this hour"}
    with pytest.raises(AllDeferred):
        send(processor(server), attempt)


def test_implicit_tls_works(serve: Serve, processor: Make, attempt: Attempt) -> None:
    server = serve(tls_first=True)
    send(processor(server), attempt)
    assert server.mails[0].login


def test_a_renewed_ca_file_is_read_before_the_next_connection(
    server: MailServerUnderTest, processor: Make, attempt: Attempt, tmp_path: Path
) -> None:
    genuine, used = server.ca_file.read_bytes(), tmp_path / "used.pem"
    two_authorities(tmp_path)
    used.write_bytes((tmp_path / "other.pem").read_bytes())
    sender = processor(server, ca_file=str(used))
    with pytest.raises(ServerUnreachable, match="its certificate is not valid"):
        send(sender, attempt)
    used.write_bytes(genuine)
    send(sender, attempt)
    sender.close()
    used.unlink()
    send(sender, attempt)
    assert len(server.mails) == 2, "without the file, for a while, the last one counts"


@pytest.mark.parametrize(
    ("options", "settings", "reason"),
    [
        ({"names": ("mail.example.org",)}, {}, "its certificate is not valid: Hostname mismatch"),
        ({"names": ("mail.example.org",), "tls_first": True}, {}, "its certificate is not valid: Hostname mismatch"),
        ({}, {"ca_file": None}, "its certificate is not valid: unable to get local issuer"),
        ({}, {"ca_file": "/missing.pem"}, r"ca_file = /missing\.pem: No such file or directory"),
        ({"tls_first": True}, {"ca_file": "/missing.pem"}, r"ca_file = /missing\.pem: No such file or directory"),
        ({"starttls": False}, {"security": "starttls"}, "STARTTLS extension not supported"),
    ],
)
def test_an_untrusted_server_gets_nothing(
    serve: Serve, processor: Make, attempt: Attempt, options: Any, settings: Any, reason: str
) -> None:
    server = serve(**options)
    with pytest.raises(ServerUnreachable, match=reason):
        send(processor(server, **settings), attempt)
    assert server.mails == []


def test_a_wrong_password_is_a_permanent_error_that_does_not_show_it(
    server: MailServerUnderTest, processor: Make, attempt: Attempt
) -> None:
    with pytest.raises(MailRefused, match="refused the login: 535") as caught:
        send(processor(server, password="open"), attempt)
    assert "open" not in str(caught.value)


def test_refused_recipients_are_in_the_result_and_the_others_get_the_email(
    server: MailServerUnderTest, processor: Make, attempt: Attempt
) -> None:
    server.recipient_answers = {
        "nobody@example.net": "550 5.1.1 no such user",
        "full@example.net": "452 4.2.2 mailbox full",
    }
    result = send(
        processor(server), attempt, {**HELLO, "to": ["nobody@example.net", "ada@example.net", "full@example.net"]}
    )
    assert result["accepted"] == ["ada@example.net"]
    assert result["refused"] == [
        {"address": "nobody@example.net", "code": 550, "message": "5.1.1 no such user"},
        {"address": "full@example.net", "code": 452, "message": "4.2.2 mailbox full"},
    ]
    assert server.mails[0].recipients == ["ada@example.net"]
    assert [level for level, _ in attempt.reports.logs] == ["warning", "warning", "info"]


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"a@example.net": "550 no such user", "b@example.net": "551 neither"}, AllRefused),
        ({"a@example.net": "550 no such user", "b@example.net": "450 greylisted"}, AllDeferred),
    ],
)
def test_an_email_without_an_accepted_recipient_is_an_error_before_any_effect(
    server: MailServerUnderTest, processor: Make, attempt: Attempt, answers: Any, error: Any
) -> None:
    server.recipient_answers = answers
    sender = processor(server)
    with pytest.raises(error, match=r"accepted: a@example\.net: 550 no such user; b@example\.net: [45]5"):
        send(sender, attempt, {**HELLO, "to": list(answers)})
    assert attempt.reports.effects == []
    send(sender, attempt)
    assert len(server.connections) == 1, "an answer keeps the connection"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("451 4.3.0 try later", MailDeferred),
        ("554 5.7.1 that is spam", MailRefused),
        ("421 4.3.2 shutting down", MailDeferred),
    ],
)
@pytest.mark.parametrize("on_ambiguous", ["fail", "retry"])
def test_the_servers_answer_decides_with_every_setting(
    server: MailServerUnderTest,
    processor: Make,
    attempt: Attempt,
    answer: str,
    error: type[Exception],
    on_ambiguous: str,
) -> None:
    server.data_answers = [answer]
    sender = processor(server, on_ambiguous=on_ambiguous)
    with pytest.raises(error, match=answer):
        send(sender, attempt)
    send(sender, attempt)
    assert len(server.mails) == 1
    assert len(server.connections) == (2 if answer.startswith("421") else 1), "421 says that the server closes it"


@pytest.mark.parametrize(("answer", "error"), [("452 4.3.1 full", MailDeferred), ("550 5.7.1 not you", MailRefused)])
def test_a_sender_may_be_refused(
    server: MailServerUnderTest, processor: Make, attempt: Attempt, answer: str, error: type[Exception]
) -> None:
    server.sender_answers = [answer]
    with pytest.raises(error, match=f"the sender shop@example.org: {answer}"):
        send(processor(server), attempt)


@pytest.mark.parametrize(
    ("answer", "error"), [("drop", ServerUnreachable), ("451 4.3.0 later", MailDeferred), ("554 5.5.1 no", MailRefused)]
)
def test_a_failure_before_the_handover_leaves_no_doubt(
    server: MailServerUnderTest, processor: Make, attempt: Attempt, answer: str, error: type[Exception]
) -> None:
    server.data_command_answers = [answer]
    sender = processor(server, on_ambiguous="fail")
    with pytest.raises(error):
        send(sender, attempt)
    assert server.mails == []
    send(sender, attempt)
    assert len(server.mails) == 1


def test_a_final_line_that_cannot_be_written_leaves_no_doubt(
    server: MailServerUnderTest, processor: Make, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_bytes = smtplib.SMTP.send

    def lose(smtp: smtplib.SMTP, data: Any) -> None:
        if data == b".\r\n":
            smtp.close()
        send_bytes(smtp, data)

    sender = processor(server, on_ambiguous="fail")
    monkeypatch.setattr(smtplib.SMTP, "send", lose)
    with pytest.raises(ServerUnreachable, match="before the e-mail was complete"):
        send(sender, attempt)
    monkeypatch.undo()
    send(sender, attempt)
    assert len(server.mails) == 1


def test_an_accepted_email_completes_its_task_also_with_a_nul_in_each_answer(
    server: MailServerUnderTest, processor: Make, attempt: Attempt
) -> None:
    server.recipient_answers = {"nobody@example.net": "550 no\0 user"}
    server.data_answers = ["250 2.0.0 queued \0as 7"]
    context = attempt.context()
    result = send(processor(server), attempt, {**HELLO, "to": ["nobody@example.net", "ada@example.net"]}, context)
    context.effect_happened(result)
    assert result["answer"] == "250 2.0.0 queued as 7"
    assert result["refused"] == [{"address": "nobody@example.net", "code": 550, "message": "no user"}]


def test_an_invalid_answer_with_a_nul_obeys_the_setting(
    server: MailServerUnderTest, processor: Make, attempt: Attempt
) -> None:
    server.data_answers = ["354 \0"]
    with pytest.raises(AnswerLost):
        send(processor(server, on_ambiguous="retry"), attempt)


def test_an_invalid_answer_leaves_the_delivery_unknown(
    server: MailServerUnderTest, processor: Make, attempt: Attempt
) -> None:
    server.data_answers = ["hello?"]
    with pytest.raises(EffectUnknown):
        send(processor(server), attempt)


@pytest.mark.parametrize("fault", ["drop", "stall"])
@pytest.mark.parametrize(("on_ambiguous", "error"), [("fail", EffectUnknown), ("retry", AnswerLost)])
def test_a_lost_answer_obeys_the_setting(
    server: MailServerUnderTest,
    processor: Make,
    attempt: Attempt,
    fault: str,
    on_ambiguous: str,
    error: type[Exception],
) -> None:
    server.data_answers = [fault]
    sender = processor(server, on_ambiguous=on_ambiguous, data_timeout_seconds=0.2)
    context, began = attempt.context(), time.monotonic()
    with pytest.raises(error, match=r"timed out|unexpectedly closed"):
        send(sender, attempt, HELLO, context)
    assert time.monotonic() - began < 4, "the wait for the final answer has a limit of its own"
    assert issubclass(error, PermanentError) == (on_ambiguous == "fail")
    assert attempt.reports.effects == [Effect(on_ambiguous)]
    assert attempt.reports.logs[-1] == ("warning", "nobody knows whether the server took the mail")
    send(sender, attempt, HELLO, Context(context.task_id, 2, attempt.reports, attempt.space))
    first, second = server.mails
    assert first.message["Message-ID"] == second.message["Message-ID"], (
        "the receiver can recognise the second copy by the id"
    )


def test_an_address_beyond_ascii_needs_smtputf8(serve: Serve, processor: Make, attempt: Attempt) -> None:
    payload = {**HELLO, "to": ["Jürgen <jürgen@bücher.example>"], "subject": "Grüße 🎉"}
    able, unable = serve(), serve(smtputf8=False)
    send(processor(able), attempt, payload)
    assert able.mails[0].recipients == ["jürgen@xn--bcher-kva.example"]
    assert able.mails[0].message["To"] == "Jürgen <jürgen@xn--bcher-kva.example>"
    assert able.mails[0].message["Subject"] == "Grüße 🎉"
    with pytest.raises(PermanentError, match="does not offer SMTPUTF8"):
        send(processor(unable), attempt, payload)
    send(processor(unable), attempt, {**payload, "to": ["Jürgen <juergen@bücher.example>"]})
    assert unable.mails[0].message["To"] == "Jürgen <juergen@xn--bcher-kva.example>"
    assert unable.mails[0].content.isascii()


def test_an_email_over_the_servers_size_limit_is_not_sent(serve: Serve, processor: Make, attempt: Attempt) -> None:
    server = serve(size_limit=2000)
    with pytest.raises(PermanentError, match="takes 2000 at most"):
        send(processor(server), attempt, {**HELLO, "text": "x" * 3000})
    assert (server.mails, attempt.reports.effects) == ([], [])


def test_lines_that_begin_with_a_dot_and_long_ones_arrive_unchanged(
    server: MailServerUnderTest, processor: Make, attempt: Attempt
) -> None:
    text = ".\n..x\n.\r\nFrom here\n" + "y" * 5000 + "\nü\n"
    send(processor(server), attempt, {**HELLO, "text": text})
    assert content(server.mails[0]) == text.replace("\r\n", "\n")
    assert max(map(len, server.mails[0].content.split(b"\r\n"))) <= 998


def test_the_transfer_of_a_large_email_may_take_longer_than_an_answer() -> None:
    content = (b"x" * 76 + b"\r\n") * 160_000  # more than the network buffers
    with slow_server() as (port, taken):
        keys = {
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "reply_timeout_seconds": 1,
            "data_timeout_seconds": 20,
        }
        server = MailServer(EmailSettings.model_validate(keys))
        began = time.monotonic()
        sent = server.deliver(
            Mail(
                "<1@example.org>",
                Address("", "shop", "example.org"),
                [Address("", "ada", "example.net")],
                content,
                False,
            ),
            lambda _: None,
        )
        assert time.monotonic() - began > 1, "the server must read slowly"
        server.close()
    assert sent.answer == "250 OK"
    assert taken == [len(content)]


@contextmanager
def slow_server() -> Iterator[tuple[int, list[int]]]:
    """Start a server without encryption that reads a few megabytes a second; yield its port and the sizes received."""
    taken: list[int] = []
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)

    def converse() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            connection.sendall(b"220 hello\r\n")
            for line in stream:
                connection.sendall(b"354 go on\r\n" if line == b"DATA\r\n" else b"250 OK\r\n")
                if line == b"DATA\r\n":
                    taken.append(_read_slowly(stream))
                    connection.sendall(b"250 OK\r\n")

    thread = threading.Thread(target=converse)
    thread.start()
    yield listener.getsockname()[1], taken
    thread.join(10)
    listener.close()


def _read_slowly(stream: io.BufferedReader) -> int:
    """Read an e-mail, and return its number of bytes."""
    pace, count, end = threading.Event(), 0, b""
    while not end.endswith(b"\r\n.\r\n"):
        data = stream.read1(1 << 16)
        count, end = count + len(data), (end + data)[-5:]
        pace.wait(0.02 * len(data) / (1 << 16))
    return count - len(b".\r\n")


def test_a_forked_process_does_not_use_the_kept_connection(
    server: MailServerUnderTest, processor: Make, attempt: Attempt
) -> None:
    sender = processor(server)
    send(sender, attempt)
    if (pid := os.fork()) == 0:
        status = 1
        try:
            send(sender, attempt)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    send(sender, attempt)
    assert [server.connections.index(mail.connection) for mail in server.mails] == [0, 1, 0]


def test_an_interrupted_conversation_is_not_continued(
    server: MailServerUnderTest, processor: Make, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = processor(server)
    send(sender, attempt)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(attempt.reports, "effect_begins", interrupted)
    with pytest.raises(KeyboardInterrupt):
        send(sender, attempt)
    monkeypatch.undo()
    send(sender, attempt)
    assert len(server.connections) == 2
    assert len(server.mails) == 2
