"""The keeper's page for Prometheus: answers, refusals, and clients that send nothing."""

import socket
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.core import Metric

from dtqs.deadline import Stop
from dtqs.keeper import metrics_server
from dtqs.keeper.metrics_server import MetricsServer
from dtqs.metrics.families import gauge
from dtqs.sandbox.ports import free_ports
from tests.support.helpers import eventually


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Serve one metric on a free port; clients get a short time."""
    monkeypatch.setattr(metrics_server, "CLIENT_SECONDS", 0.2)
    monkeypatch.setattr(metrics_server, "_AGAIN_SECONDS", 0.05)
    stop, (number,) = Stop(), free_ports(1)

    def families() -> Iterator[Metric]:
        yield gauge("dtqs_node_build", "The version", ("version",), {("1",): 1.0})

    # the place is taken at first, as by a keeper that still ends
    with socket.create_server(("127.0.0.1", number)):
        server = MetricsServer(("127.0.0.1", number), families, stop)
        server.start()
    eventually(lambda: is_open(number), 10, "the server listens")
    yield number
    stop.set()
    server._thread.join(5)
    assert not server._thread.is_alive()


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_it_serves_metrics_and_nothing_else_beside_silent_clients(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    with socket.create_connection(("127.0.0.1", port)) as silent:
        silent.sendall(b"GET /met")
        answer = httpx.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert silent.recv(10) == b"", "a client that sends no head is cut off"
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert 'dtqs_node_build{version="1"} 1.0\n' in answer.text
    assert answer.text.endswith("# EOF\n")
    assert httpx.get(f"{url}/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")
    odd = httpx.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text; version=x"})
    assert odd.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert [httpx.get(f"{url}/").status_code, httpx.post(f"{url}/metrics").status_code] == [404, 405]


def test_a_name_that_no_look_up_takes_is_told_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(metrics_server, "_AGAIN_SECONDS", 0.01)
    stop = Stop()
    server = MetricsServer(("node-1..example.org", 9105), lambda: (), stop)
    server.start()
    eventually(lambda: "cannot serve [metrics] listen: trying again" in caplog.text, 10, "the fault is told")
    assert server._thread.is_alive()
    stop.set()
    server._thread.join(5)


def test_it_listens_at_the_first_address_of_a_name_that_this_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` may be ::1 first, and the kernel may have no IPv6."""
    kinds = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        places = [(*kinds, ("192.0.2.1", 0)), (*kinds, ("127.0.0.1", 0)), (*kinds, taken.getsockname())]
        monkeypatch.setattr("dtqs.keeper.metrics_server.socket.getaddrinfo", lambda *_, **__: places)
        with metrics_server._listener(("localhost", 0)) as listener:
            assert listener.getsockname()[0] == "127.0.0.1"
        places.insert(0, places.pop())
        with pytest.raises(OSError, match="in use"):
            metrics_server._listener(("localhost", 0))
