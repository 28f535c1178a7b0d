"""SMS by SMPP: a real server on loopback, the PDUs that it receives, and its refusals, throttling and outages."""

import logging
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme
from pydantic import SecretStr
from smpplib import consts

from dtqs.errors import EffectUnknown, PermanentError, TransientError
from dtqs.processors.base import Context
from dtqs.processors.sms import SmsProcessor
from dtqs.processors.sms.payload import SmsPayload
from dtqs.processors.sms.settings import SmsSettings
from dtqs.task import Effect
from tests.support.fix_processors import Attempt
from tests.support.helpers import eventually, free_port
from tests.support.interrupts import interrupted, stopped_at
from tests.support.sms_servers import ASK_AND_RESET, LOSE, SILENCE, SmppServer

TO = "+4915112345678"
Send = Callable[..., Any]


@pytest.fixture
def server() -> Iterator[SmppServer]:
    server = SmppServer()
    yield server
    server.stop()


@pytest.fixture
def processors() -> Iterator[list[SmsProcessor]]:
    made: list[SmsProcessor] = []
    yield made
    for processor in made:
        processor.close()


@pytest.fixture
def smpp(server: SmppServer, attempt: Attempt, processors: list[SmsProcessor]) -> Send:
    """Yield a function that sends through `server`: `smpp({"text": …}, setting=…)`.

    It keeps its processor until a call names settings.
    """
    common = {
        "provider": "smpp",
        "host": "127.0.0.1",
        "port": server.port,
        "system_id": "dtqs",
        "password": SecretStr("sesame"),
    }

    def send(payload: dict[str, Any] | None = None, *, context: Context | None = None, **more: Any) -> Any:
        if not processors or more:
            processors.append(SmsProcessor(SmsSettings(**{**common, **more})))
        valid = SmsPayload.model_validate({"to": TO, "text": "hello", **(payload or {})})
        assert processors[-1].problems(valid) == []
        return processors[-1].run(valid, context or attempt.context())

    return send


def test_a_message_is_one_submit_on_a_kept_connection(smpp: Send, server: SmppServer, attempt: Attempt) -> None:
    assert smpp({"text": "5 € @ {x}", "sender": "Parcels"})["message_id"] == "00000001"
    assert smpp({"sender": "+15005550006"})["message_id"] == "00000002"
    assert smpp({"sender": "12345"})["status"] == "accepted"
    assert server.commands() == ["bind_transceiver", "submit_sm", "submit_sm", "submit_sm"]
    first, second, third = server.submitted()
    assert (first.dest_addr_ton, first.dest_addr_npi, first.destination_addr) == (1, 1, b"4915112345678")
    assert (first.source_addr_ton, first.source_addr_npi, first.source_addr) == (5, 0, b"Parcels")
    assert (second.source_addr_ton, second.source_addr_npi, second.source_addr) == (1, 1, b"15005550006")
    assert (third.source_addr_ton, third.source_addr_npi, third.source_addr) == (3, 0, b"12345")
    assert (first.short_message, first.data_coding, first.esm_class) == (b"5 \x1b\x65 \x00 \x1b\x28x\x1b\x29", 0, 0)
    assert first.registered_delivery == 1
    assert attempt.reports.effects == [Effect.FAIL] * 3


def test_a_long_message_is_sent_in_parts_that_a_phone_joins(smpp: Send, server: SmppServer) -> None:
    result = smpp({"text": "x" * 152 + "€" + "y" * 20})
    assert (result["segments"], result["encoding"], result["part_ids"]) == (2, "GSM-7", ["00000001", "00000002"])
    one, two = server.submitted()
    assert one.esm_class == two.esm_class == consts.SMPP_GSMFEAT_UDHI
    assert (one.short_message[:3], two.short_message[:3]) == (b"\x05\x00\x03", b"\x05\x00\x03")
    assert one.short_message[3] == two.short_message[3]
    assert (one.short_message[4:6], two.short_message[4:6]) == (b"\x02\x01", b"\x02\x02")
    # an escape and its character stay together
    assert one.short_message[6:] == b"x" * 152
    assert two.short_message[6:] == b"\x1b\x65" + b"y" * 20


def test_text_outside_gsm_7_is_sent_as_ucs_2(smpp: Send, server: SmppServer) -> None:
    text = "ж" * 66 + "😀" + "!!"
    result = smpp({"text": text})
    assert (result["segments"], result["encoding"]) == (1, "UCS-2")
    assert smpp({"text": text + "ж"})["segments"] == 2
    whole, one, two = server.submitted()
    assert (whole.short_message.decode("utf-16-be"), whole.data_coding) == (text, 8)
    assert one.short_message[6:].decode("utf-16-be") == "ж" * 66
    assert two.short_message[6:].decode("utf-16-be") == "😀!!ж"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (consts.SMPP_ESME_RTHROTTLED, TransientError),
        (consts.SMPP_ESME_RMSGQFUL, TransientError),
        (consts.SMPP_ESME_RSYSERR, TransientError),
        (consts.SMPP_ESME_RINVDSTADR, PermanentError),
        (0x0400, PermanentError),
    ],
)
def test_a_status_is_transient_or_permanent_and_keeps_the_connection(
    smpp: Send, server: SmppServer, status: int, error: type[Exception]
) -> None:
    server.statuses = [status]
    with pytest.raises(error, match=f"0x{status:08x}") as caught:
        smpp()
    assert not isinstance(caught.value, EffectUnknown)
    assert smpp()["status"] == "accepted"
    assert server.commands().count("bind_transceiver") == 1


def test_a_client_that_the_server_holds_unbound_binds_again(smpp: Send, server: SmppServer) -> None:
    server.statuses = [consts.SMPP_ESME_RINVBNDSTS]
    with pytest.raises(TransientError):
        smpp()
    assert smpp()["status"] == "accepted"
    assert server.commands() == ["bind_transceiver", "submit_sm", "unbind", "bind_transceiver", "submit_sm"]


def test_a_server_that_fails_twice_is_left_for_a_new_connection(smpp: Send, server: SmppServer) -> None:
    failing = [consts.SMPP_ESME_RSYSERR]
    server.statuses = [*failing, 0, *failing, consts.SMPP_ESME_RTHROTTLED, *failing, *failing]
    for status in list(server.statuses):
        assert len(server.connections) <= 1
        if status:
            with pytest.raises(TransientError):
                smpp()
        else:
            smpp()
    assert smpp()["status"] == "accepted"
    assert len(server.connections) == 2


def test_a_throttled_part_is_retried_and_the_first_is_not_sent_twice(smpp: Send, server: SmppServer) -> None:
    server.statuses = [0, consts.SMPP_ESME_RTHROTTLED, 0]
    assert smpp({"text": "x" * 200})["segments"] == 2
    assert [pdu.short_message[5] for pdu in server.submitted()] == [1, 2, 2]


@pytest.mark.parametrize(("on_ambiguous", "error"), [("fail", EffectUnknown), ("retry", TransientError)])
@pytest.mark.parametrize("how", [LOSE, SILENCE])
def test_a_lost_response_obeys_the_setting(
    smpp: Send, server: SmppServer, attempt: Attempt, how: str, on_ambiguous: str, error: type[Exception]
) -> None:
    server.statuses = [how]
    with pytest.raises(error, match="smpp did not reply"):
        smpp(on_ambiguous=on_ambiguous, request_timeout_seconds=0.3)
    assert attempt.reports.effects == [Effect(on_ambiguous)]
    assert attempt.reports.logs == [("warning", "nobody knows whether the message was sent")]
    assert smpp()["status"] == "accepted"
    assert server.commands().count("bind_transceiver") == 2


@pytest.mark.parametrize(("on_ambiguous", "error"), [("fail", EffectUnknown), ("retry", TransientError)])
def test_a_server_that_takes_a_message_asks_and_resets_may_have_sent_it(
    smpp: Send, server: SmppServer, attempt: Attempt, on_ambiguous: str, error: type[Exception]
) -> None:
    server.statuses = [ASK_AND_RESET]
    with pytest.raises(error, match="smpp did not reply"):
        smpp(on_ambiguous=on_ambiguous)
    assert len(server.submitted()) == 1
    assert attempt.reports.logs == [("warning", "nobody knows whether the message was sent")]


def test_after_an_interrupt_the_connection_is_not_used_again(smpp: Send, server: SmppServer) -> None:
    server.statuses = [SILENCE]
    with interrupted(lambda: len(server.submitted()) == 1):
        smpp()
    assert smpp()["status"] == "accepted"
    assert server.commands().count("bind_transceiver") == 2


def test_a_refusal_in_the_middle_of_a_message_tells_how_much_was_accepted(smpp: Send, server: SmppServer) -> None:
    server.statuses = [0, consts.SMPP_ESME_RINVDSTADR]
    with pytest.raises(PermanentError, match="before that 1 of 2 segments were taken"):
        smpp({"text": "x" * 200})


def test_without_a_server_or_with_a_wrong_password_no_effect_begins(
    smpp: Send, server: SmppServer, attempt: Attempt
) -> None:
    with pytest.raises(TransientError, match="no connection"):
        smpp(port=free_port())
    with pytest.raises(PermanentError, match="not bound: Invalid Password"):
        smpp(password=SecretStr("wrong"))
    server.bind_statuses = [consts.SMPP_ESME_RBINDFAIL]
    with pytest.raises(TransientError, match="not bound: Bind Failed"):
        smpp(password=SecretStr("sesame"))
    assert attempt.reports.effects == []
    assert server.submitted() == []


def test_a_missing_file_of_authorities_is_worth_a_retry(smpp: Send, attempt: Attempt, tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=r"ca_file = .*: No such file"):
        smpp(tls=True, ca_file=tmp_path / "none.pem")
    assert attempt.reports.effects == []


def test_an_idle_connection_answers_the_server_and_asks_for_signs_of_life(smpp: Send, server: SmppServer) -> None:
    smpp(enquire_link_seconds=0.2)
    server.wait_for("enquire_link", 2)
    server.request("enquire_link")
    server.wait_for("enquire_link_resp")
    server.send_raw(struct.pack(">LLLL", 16, 0x0000DEAD, 0, 77))
    assert server.wait_for("generic_nack").sequence == 77
    server.request("unbind")
    server.wait_for("unbind_resp")
    assert smpp()["status"] == "accepted"
    assert server.commands().count("bind_transceiver") == 2


def test_an_idle_connection_without_a_sign_of_life_is_given_up(smpp: Send, server: SmppServer) -> None:
    smpp(enquire_link_seconds=0.2, request_timeout_seconds=0.2)
    server.is_mute = True
    eventually(lambda: not _threads(), 5, "the connection is given up")
    server.is_mute = False
    assert smpp()["status"] == "accepted"
    assert server.commands().count("bind_transceiver") == 2


def test_a_connection_that_died_unnoticed_loses_no_message(smpp: Send, server: SmppServer) -> None:
    smpp()
    server.lose()
    eventually(lambda: not _threads(), 5, "the thread of the lost connection has ended")
    assert smpp()["status"] == "accepted"
    assert server.commands().count("bind_transceiver") == 2


def test_a_quiet_connection_is_checked_before_the_next_message(
    smpp: Send, server: SmppServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dtqs.processors.sms.smpp._TRUSTED_SECONDS", 0.0)
    smpp()
    smpp()
    assert server.commands() == ["bind_transceiver", "submit_sm", "enquire_link", "submit_sm"]


def test_a_connection_to_a_server_of_another_protocol_is_closed(smpp: Send, server: SmppServer) -> None:
    smpp()
    server.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    eventually(lambda: not _threads(), 5, "the connection is given up")
    assert smpp()["status"] == "accepted"


def test_a_receipt_is_acknowledged_and_logged_at_any_time(
    smpp: Send, server: SmppServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    smpp()
    server.request("deliver_sm", esm_class=4, short_message=_receipt("00000001", "DELIVRD"))
    assert server.wait_for("deliver_sm_resp").status == 0
    (record,) = [record for record in caplog.records if record.message == "delivery receipt"]
    assert (record.__dict__["message_id"], record.__dict__["state"], record.__dict__["network_error"]) == (
        "00000001",
        "DELIVRD",
        "000",
    )
    server.request("deliver_sm", short_message=b"STOP", source_addr="4915112345678")
    server.wait_for("deliver_sm_resp", 2)
    assert server.wait_for("deliver_sm_resp").status == consts.SMPP_ESME_RX_R_APPN
    assert "STOP" not in caplog.text


def test_a_message_that_cannot_be_read_is_refused_and_keeps_the_connection(smpp: Send, server: SmppServer) -> None:
    smpp()
    server.send_raw(struct.pack(">LLLL", 19, 5, 0, 77) + b"abc")
    assert server.wait_for("deliver_sm_resp").status == consts.SMPP_ESME_RX_P_APPN
    assert smpp()["status"] == "accepted"
    assert server.commands().count("bind_transceiver") == 1


def test_awaited_receipts_are_in_the_result(smpp: Send, server: SmppServer) -> None:
    def deliver() -> None:
        server.wait_for("submit_sm", 2)
        server.request("deliver_sm", esm_class=4, short_message=_receipt("00000002", "UNDELIV", "001"))
        server.request("deliver_sm", esm_class=4, short_message=b"", receipted_message_id="1", message_state=2)

    network = threading.Thread(target=deliver)
    network.start()
    result = smpp({"text": "x" * 200}, wait_receipt_seconds=10)
    network.join(10)
    assert result["receipts"] == [
        {"message_id": "1", "state": "DELIVRD", "error": None},
        {"message_id": "00000002", "state": "UNDELIV", "error": "001"},
    ]


def test_a_missing_receipt_or_a_lost_connection_changes_nothing_for_an_accepted_message(
    smpp: Send, server: SmppServer
) -> None:
    assert smpp(wait_receipt_seconds=0.2)["receipts"] == []

    def lose() -> None:
        server.wait_for("submit_sm", 2)
        server.lose()

    network = threading.Thread(target=lose)
    network.start()
    assert smpp(wait_receipt_seconds=10)["receipts"] == []
    network.join(10)


def test_an_accepted_message_is_known_before_the_wait_for_receipts(
    smpp: Send, server: SmppServer, attempt: Attempt
) -> None:
    context = attempt.context()
    with interrupted(lambda: attempt.reports.effects == [Effect.RETRY, Effect.FAIL]):
        smpp(context=context, on_ambiguous="retry", wait_receipt_seconds=20)
    known = orjson.loads(context.known_result or "null")
    assert (known["message_id"], known["receipts"]) == ("00000001", [])


def test_an_accepted_message_is_known_before_anything_else_can_fail(smpp: Send, attempt: Attempt) -> None:
    context = attempt.context()
    with stopped_at("dtqs.processors.sms.processor", "message handed over"):
        smpp(context=context, on_ambiguous="retry")
    assert orjson.loads(context.known_result or "null")["message_id"] == "00000001"
    assert attempt.reports.effects == [Effect.RETRY, Effect.FAIL]


@pytest.mark.parametrize("keys", [{"request_timeout_seconds": 0.5}, {"wait_receipt_seconds": 0.5}])
def test_a_server_that_never_stops_sending_delays_no_task_without_end(
    smpp: Send, server: SmppServer, keys: dict[str, float]
) -> None:
    began = time.monotonic()
    with flooded(server, lambda: len(server.submitted()) == 1):
        if "request_timeout_seconds" in keys:
            server.statuses = [SILENCE]
            with pytest.raises(EffectUnknown, match="no response to submit_sm within"):
                smpp(**keys)
        else:
            assert smpp(**keys)["receipts"] == []
    assert time.monotonic() - began < _FLOOD_SECONDS / 2


def test_a_flooded_connection_is_free_for_the_next_message(smpp: Send, server: SmppServer) -> None:
    smpp(request_timeout_seconds=_FLOOD_SECONDS - 5)
    # the flood in the network arrives before its response
    with flooded(server, lambda: True, lambda: len(server.submitted()) == 2) as begun:
        begun.wait(10)
        assert smpp()["status"] == "accepted"
    assert server.commands().count("bind_transceiver") == 1


def test_close_unbinds_from_the_server(smpp: Send, server: SmppServer, processors: list[SmsProcessor]) -> None:
    smpp()
    processors[-1].close()
    processors[-1].close()
    assert server.commands() == ["bind_transceiver", "submit_sm", "unbind"]
    assert not _threads()


def test_the_certificate_is_checked_against_the_host(smpp: Send, attempt: Attempt, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = SmppServer(tls=context)
    try:
        with pytest.raises(TransientError, match="certificate verify failed"):
            smpp(port=server.port, tls=True)
        assert (
            smpp(port=server.port, tls=True, ca_file=tmp_path / "ca.pem", enquire_link_seconds=0.2)["status"]
            == "accepted"
        )
        server.wait_for("enquire_link")
        assert smpp()["status"] == "accepted"
    finally:
        server.stop()


_FLOOD_SECONDS = 30.0


@contextmanager
def flooded(
    server: SmppServer, after: Callable[[], bool], end: Callable[[], bool] = lambda: False
) -> Iterator[threading.Event]:
    """Let the server send PDUs that need no answer, without a pause, from one condition to the other.

    The event is set as soon as it sends.
    """
    many, begun, ended, until = (
        struct.pack(">LLLL", 16, 0x80000015, 0, 0) * 4000,
        threading.Event(),
        threading.Event(),
        time.monotonic() + _FLOOD_SECONDS,
    )

    def flood() -> None:
        eventually(after, 10)
        with suppress(OSError):
            while time.monotonic() < until and not ended.is_set() and not end():
                server.send_raw(many)
                begun.set()

    network = threading.Thread(target=flood)
    network.start()
    yield begun
    ended.set()
    network.join(10)


def _receipt(message_id: str, state: str, error: str = "000") -> bytes:
    return (
        f"id:{message_id} sub:001 dlvrd:001 submit date:2611242000 done date:2611242001 "
        f"stat:{state} err:{error} text:hello"
    ).encode()


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "smpp"]
