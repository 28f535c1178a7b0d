"""Several hosts in the URL of RabbitMQ, one of them dead; and TLS with an authority and certificates of one's own."""

import contextlib
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dtqs.broker.checkup import look_once
from dtqs.broker.loop.connection import BrokerConnection
from dtqs.broker.loop.threads import ThreadLoop
from dtqs.cli.checks.servers import rabbitmq as check_rabbitmq
from dtqs.config import RabbitmqSection, load
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable
from dtqs.sandbox.ports import free_ports
from dtqs.sandbox.rabbitmq import PrivateRabbitmq
from tests.support.certificates import two_authorities, write_certificate
from tests.support.helpers import eventually


@contextlib.contextmanager
def line(section: RabbitmqSection) -> Iterator[BrokerConnection]:
    """Keep a connection that has not begun to open."""
    loop = ThreadLoop("broker")
    kept = BrokerConnection(loop, section, "test")
    loop.start()
    loop.call(kept.start)
    try:
        yield kept
    finally:
        loop.call(kept.stop)
        eventually(lambda: kept.closed, 5)
        loop.stop(Deadline(2))


@pytest.fixture
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try the hosts as written."""
    monkeypatch.setattr(random, "shuffle", lambda _: None)


def test_a_dead_host_and_a_silent_one_are_passed_over(amqp_url: str, in_order: None) -> None:
    (dead,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent, contextlib.closing(socket.socket()) as filler:
        port = silent.getsockname()[1]
        filler.connect(("127.0.0.1", port))  # its queue is full now: it answers nobody
        hosts = f"@127.0.0.1:{dead},127.0.0.1:{port},127.0.0.1:"
        section = RabbitmqSection.model_validate(
            {"url": amqp_url.replace("@127.0.0.1:", hosts), "connect_timeout_seconds": 0.5}
        )
        with line(section) as kept:
            eventually(lambda: kept.channel is not None, 10)
            assert kept.state == "connected"
        assert look_once(section, "doctor") is None


def test_a_host_that_accepts_and_stays_silent_costs_one_timeout(amqp_url: str, in_order: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"@127.0.0.1:{silent.getsockname()[1]},127.0.0.1:"
        section = RabbitmqSection.model_validate(
            {"url": amqp_url.replace("@127.0.0.1:", hosts), "connect_timeout_seconds": 3}
        )
        with line(section) as kept:
            began = time.monotonic()
            eventually(lambda: kept.channel is not None, 10)
            assert 2.9 < time.monotonic() - began < 5.8


def test_the_doctor_waits_for_each_silent_host_and_finds_the_good_one(
    amqp_url: str, in_order: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dtqs.broker.checkup._CONNECT_SECONDS", 0.7)
    monkeypatch.setattr("dtqs.cli.checks.servers._LOOK_SECONDS", 1.0)
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(3)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        told = load(None, {"DTQS_RABBITMQ_URL": amqp_url.replace("@127.0.0.1:", f"@{hosts},127.0.0.1:")})
        found = {check.part: (check.state, check.found) for check in check_rabbitmq(told)}
        assert found["RabbitMQ"] == ("ok", "reachable, and accepts messages")
        assert found["queue"][1] == "task_queue is missing"
        alone = load(None, {"DTQS_RABBITMQ_URL": f"amqp://u:p@{hosts}/v"})
        assert next(iter(check_rabbitmq(alone))).found == "no answer within 2.1 s"


@pytest.fixture(scope="module")
def certificates(servers_dir: Path) -> Path:
    """A folder with ca.pem, server.pem, client.pem and their keys, and other.pem of another authority."""
    folder = servers_dir / "certificates"
    folder.mkdir()
    authority = two_authorities(folder)
    for name, issued in (("server", authority.issue_cert("127.0.0.1")), ("client", authority.issue_cert("client"))):
        write_certificate(folder, name, issued).chmod(0o644)
    return folder


@pytest.fixture(scope="module")
def tls_port(rabbitmq: PrivateRabbitmq, certificates: Path) -> int:
    """A port of the session's broker that asks for a client's certificate."""
    (port,) = free_ports(1)
    files = ", ".join(
        f'{{{key}, "{certificates / name}"}}'
        for key, name in (("cacertfile", "ca.pem"), ("certfile", "server.pem"), ("keyfile", "server.key"))
    )
    options = f"[{files}, {{verify, verify_peer}}, {{fail_if_no_peer_cert, true}}]"
    rabbitmq.ctl(
        "eval",
        "{ok, _} = application:ensure_all_started(ssl), "
        f'ok = rabbit_networking:start_ssl_listener({{"127.0.0.1", {port}}}, {options}, 1).',
    )
    return port


def test_tls_with_a_certificate_on_either_side(
    amqp_url: str, tls_port: int, certificates: Path, in_order: None
) -> None:
    parts = urlsplit(amqp_url)
    place = f"amqps://{parts.username}:{parts.password}@127.0.0.1:{free_ports(1)[0]},127.0.0.1:{tls_port}{parts.path}"
    client = f"&certfile={certificates}/client.pem&keyfile={certificates}/client.key"

    def section(query: str, place: str = place) -> RabbitmqSection:
        return RabbitmqSection.model_validate({"url": f"{place}?{query}"})

    both = section(f"cacertfile={certificates}/ca.pem{client}")
    with line(both) as kept:
        eventually(lambda: kept.channel is not None, 10)
    assert look_once(both, "doctor") is None
    with pytest.raises(BrokerUnavailable, match="certificate"):
        look_once(section(f"cacertfile={certificates}/other.pem{client}"), "doctor")
    with pytest.raises(BrokerUnavailable):
        look_once(section(f"cacertfile={certificates}/ca.pem"), "doctor")
    other_name = section(f"cacertfile={certificates}/ca.pem{client}", place.replace(",127.0.0.1", ",localhost"))
    with pytest.raises(BrokerUnavailable, match="Hostname mismatch"):
        look_once(other_name, "doctor")
