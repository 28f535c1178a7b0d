"""The provider smpp: a bound transceiver that the worker keeps, long messages in parts, and delivery receipts."""

import logging
import socket
import ssl
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from smpplib import consts

from dtqs.deadline import Deadline
from dtqs.processors.sms.link import Link, LinkLost, RequestUnsent
from dtqs.processors.sms.message import AcceptedText, SmsNotTaken, SmsRefused, SmsUnsure, TextMessage, plain
from dtqs.processors.sms.numbers import is_alphanumeric
from dtqs.processors.sms.pdu import DeliverSm
from dtqs.processors.sms.receipts import Receipts, receipt_in
from dtqs.processors.sms.segments import TextSegments, encode
from dtqs.processors.sms.settings import AGAIN_SECONDS, SmsSettings

NOT_TAKEN = frozenset(
    {
        consts.SMPP_ESME_RSYSERR,
        consts.SMPP_ESME_RMSGQFUL,
        consts.SMPP_ESME_RTHROTTLED,
        consts.SMPP_ESME_RX_T_APPN,
        consts.SMPP_ESME_RINVBNDSTS,
    }
)
"""Statuses that mean: the message was not accepted, but may be later."""
_CREDENTIALS = frozenset({consts.SMPP_ESME_RINVPASWD, consts.SMPP_ESME_RINVSYSID, consts.SMPP_ESME_RINVSYSTYP})
_TRUSTED_SECONDS = 5.0
"""A connection quiet for longer is checked before a message uses it: on a dead one, the message's fate is unknown."""
logger = logging.getLogger(__name__)


class Smpp:
    def __init__(self, settings: SmsSettings) -> None:
        self._settings = settings
        self._where = f"{settings.host}:{settings.port}"
        self._link: Link | None = None
        self._is_failing = False
        self._receipts = Receipts()

    def send(self, message: TextMessage, begins: Callable[[], None]) -> AcceptedText:
        link = self._bound()
        fields = _addresses(message) | {
            "registered_delivery": int(self._settings.receipts or self._settings.wait_receipt_seconds > 0)
        }
        segments = message.segments
        begins()
        ids: list[str] = []
        for part in _parts(segments, message.task_id):
            ids.append(
                self._submit(link, {**fields, **part}, f"{len(ids)} of {segments.count} segments were taken", bool(ids))
            )
        return AcceptedText(ids[0] or None, "accepted", tuple(ids) if len(ids) > 1 else ())

    def wait_receipts(self, sent: AcceptedText) -> AcceptedText:
        """Wait for a message's receipts, as long as configured, and return it with those that came. Never raises."""
        ids = sent.part_ids or ((sent.message_id,) if sent.message_id else ())
        if self._link is not None:
            self._serve(
                self._link, lambda: len(self._receipts.of(ids)) == len(ids), self._settings.wait_receipt_seconds
            )
        return replace(sent, receipts=self._receipts.of(ids))

    def look(self) -> str:
        # no bind: it could exceed the account's limit of binds, or take receipts that workers wait for
        self._connect().close()
        return self._where

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _bound(self) -> Link:
        """Return the kept connection if it answers, or a new one. Raises SmsNotTaken, SmsRefused."""
        if self._link is not None and self._link.usable and self._link.quiet_seconds > _TRUSTED_SECONDS:
            try:
                self._link.ask("enquire_link")
            except LinkLost as error:
                logger.debug("the kept connection is dead", extra={"reason": str(error)})
        if self._link is None or not self._link.usable:
            self._link = self._bind()
            self._link.start()
        return self._link

    def _bind(self) -> Link:
        settings = self._settings
        link = Link(self._connect(), settings.request_timeout_seconds, settings.enquire_link_seconds, self._on_message)
        password = settings.password.get_secret_value() if settings.password else ""
        try:
            reply = link.ask(
                "bind_transceiver", system_id=settings.system_id, password=password, system_type=settings.system_type
            )
        except LinkLost as error:
            raise SmsNotTaken("smpp", f"{self._where}: not bound: {error}") from error
        if reply.status != consts.SMPP_ESME_ROK:
            link.end()
            why = f"{self._where}: not bound: {_status(reply.status)}"
            raise SmsRefused("smpp", why) if reply.status in _CREDENTIALS else SmsNotTaken("smpp", why)
        logger.info("bound to the SMPP server", extra={"server": self._where})
        return link

    def _connect(self) -> socket.socket:
        settings = self._settings
        try:
            context = ssl.create_default_context(cafile=settings.ca_file) if settings.tls else None
        except OSError as error:
            raise SmsNotTaken("smpp", f"ca_file = {settings.ca_file}: {error.strerror or error}") from error
        try:
            connection = socket.create_connection((settings.host, settings.port), settings.connect_timeout_seconds)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return context.wrap_socket(connection, server_hostname=settings.host) if context else connection
        except (OSError, UnicodeError) as error:  # UnicodeError: no name that can be looked up
            raise SmsNotTaken("smpp", f"no connection to {self._where}: {error}") from error

    def _submit(self, link: Link, fields: dict[str, Any], before: str, some_taken: bool) -> str:
        """Submit one segment and return its id.

        After the first accepted segment the others are retried here, since another attempt would send all again.
        """
        deadline = Deadline(self._settings.request_timeout_seconds)
        while True:
            try:
                reply = link.ask("submit_sm", **fields)
            except RequestUnsent as error:
                if not some_taken:
                    raise SmsNotTaken("smpp", str(error)) from error
                raise SmsUnsure(f"smpp can take no further segments: {error}; before that {before}") from error
            except LinkLost as error:
                raise SmsUnsure(f"smpp did not reply: {error}; before that {before}") from error
            if reply.status == consts.SMPP_ESME_ROK:
                self._is_failing = False
                return reply.message_id.decode("latin-1")
            why = _status(reply.status)
            if reply.status not in NOT_TAKEN:
                raise SmsRefused("smpp", f"{why}; before that {before}" if some_taken else why)
            if not some_taken:
                self._close_if_useless(reply.status)
                raise SmsNotTaken("smpp", why)
            if deadline.passed:
                raise SmsUnsure(f"smpp accepts no further segments: {why}; before that {before}")
            self._serve(link, lambda: False, AGAIN_SECONDS)

    def _close_if_useless(self, status: int) -> None:
        """Close the connection if the next attempt should bind anew.

        The server thinks that we are not bound, or it fails for the second time: another one may serve the same name.
        """
        is_failing = status == consts.SMPP_ESME_RSYSERR
        if status == consts.SMPP_ESME_RINVBNDSTS or (is_failing and self._is_failing):
            self.close()
        self._is_failing = is_failing

    def _serve(self, link: Link, until: Callable[[], bool], seconds: float) -> None:
        try:
            link.serve(until, Deadline(seconds))
        except LinkLost as error:
            # accepted segments stay accepted, and the next submit sees the loss
            logger.warning("connection to the SMPP server lost", extra={"reason": str(error)})

    def _on_message(self, received: DeliverSm) -> int:
        """Keep and log a receipt; refuse an incoming message, since DTQS reads none."""
        receipt = receipt_in(received)
        if receipt is None:
            logger.warning("incoming message refused: SMS are only sent here")
            return int(consts.SMPP_ESME_RX_R_APPN)
        self._receipts.add(receipt)
        logger.info(
            "delivery receipt",
            extra={"message_id": plain(receipt.message_id), "state": receipt.state, "network_error": receipt.error},
        )
        return int(consts.SMPP_ESME_ROK)


def _addresses(message: TextMessage) -> dict[str, Any]:
    """Return sender and recipient with type and numbering plan, which differ for numbers, short codes and names."""
    source = message.sender or ""
    types = {"source_addr_ton": consts.SMPP_TON_UNK, "source_addr_npi": consts.SMPP_NPI_UNK}
    if source.startswith("+"):
        types = {"source_addr_ton": consts.SMPP_TON_INTL, "source_addr_npi": consts.SMPP_NPI_ISDN}
    elif source:
        types["source_addr_ton"] = consts.SMPP_TON_ALNUM if is_alphanumeric(source) else consts.SMPP_TON_NWSPEC
    destination = {
        "dest_addr_ton": consts.SMPP_TON_INTL,
        "dest_addr_npi": consts.SMPP_NPI_ISDN,
        "destination_addr": message.to.lstrip("+"),
    }
    return types | {"source_addr": source.lstrip("+")} | destination


def _parts(segments: TextSegments, task_id: str) -> list[dict[str, Any]]:
    """Return the fields of each segment. Parts of a long message get a header: message number, count, index."""
    coding = consts.SMPP_ENCODING_DEFAULT if segments.encoding == "GSM-7" else consts.SMPP_ENCODING_ISO10646
    octets = [encode(part, segments.encoding) for part in segments.parts]
    if len(octets) == 1:
        return [{"short_message": octets[0], "data_coding": coding, "esm_class": consts.SMPP_MSGMODE_DEFAULT}]
    # derived from the task's id, so that a phone can recognize a part that a retry repeats
    number = zlib.crc32(task_id.encode()) & 0xFF
    headers = [bytes((5, 0, 3, number, len(octets), index)) for index in range(1, len(octets) + 1)]
    esm_class = consts.SMPP_GSMFEAT_UDHI
    return [
        {"short_message": header + part, "data_coding": coding, "esm_class": esm_class}
        for header, part in zip(headers, octets, strict=True)
    ]


def _status(status: int) -> str:
    return f"{consts.DESCRIPTIONS.get(status, 'an unknown status')} (0x{status:08x})"
