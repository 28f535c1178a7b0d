"""The verdict of `dtqs health`, and the settings that it reads without the configuration's modules."""

import errno
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from dtqs import health
from dtqs.health import Settings, check
from dtqs.pulse import PAUSED, Pulse, PulseMemory, judge, read_pulses

SINCE = "last heartbeat 1.0 s ago"
BOOT = "01929f3a-0000-4000-8000-000000000001"


def pulse(heartbeat: float = 99.0, phase: int = 0, ready: int = 3, waiting: int = 0) -> Pulse:
    return Pulse(100.0, heartbeat, 30.0, phase, 3, ready, waiting)


@pytest.mark.parametrize(
    ("found", "only_life", "now", "verdict"),
    [
        (pulse(), False, 100.5, (True, "ready: 3 of 3 children ready, last heartbeat 1.5 s ago")),
        (pulse(), True, 100.5, (True, "alive: the supervisor (pid 0) took its last turn 0.5 s ago")),
        (pulse(), True, 90.0, (True, "alive: the supervisor (pid 0) loads its program again")),
        (pulse(), True, 111.0, (False, "dead: the supervisor (pid 0) has stood still for 11 s; restart it")),
        (pulse(ready=2), False, 100.0, (False, f"not ready: 2 of 3 children ready, {SINCE}; the log tells why")),
        (pulse(phase=1), False, 100.0, (False, "not ready: the node ends, and takes no more tasks")),
        (pulse(phase=PAUSED), False, 100.0, (False, "not ready: paused by an operator; to go on: dtqs ctl resume")),
        (pulse(phase=1), True, 100.0, (True, "alive: the supervisor (pid 0) took its last turn 0.0 s ago")),
    ],
)  # fmt: skip
def test_the_verdict_names_the_reason(found: Pulse, only_life: bool, now: float, verdict: tuple[bool, str]) -> None:
    assert judge(found, only_life, now) == verdict


def test_a_dead_database_is_no_dead_process() -> None:
    old = pulse(heartbeat=60.0)
    well, sentence = judge(old, False, 100.0)
    assert not well
    assert "no heartbeat has reached PostgreSQL for 40 s (lease: 30 s)" in sentence
    assert judge(old, True, 100.0)[0]
    assert "2 wait for PostgreSQL" in judge(pulse(heartbeat=0.0, ready=1, waiting=2), False, 100.0)[1]


def test_a_pulse_of_another_process_is_not_taken_for_this_one(tmp_path: Path) -> None:
    """Containers may share the state folder, and each of them has its own process 1."""
    node = tmp_path / "node-0"
    node.mkdir()
    memory = PulseMemory(BOOT)
    memory.announce(str(node))
    memory.write(pulse())
    (found,) = read_pulses(str(tmp_path))
    assert (found.pid, found.ready, found.heartbeat_at) == (os.getpid(), 3, 99.0)
    place = node / "pulse"
    place.write_text(place.read_text().replace("01929f3a", "ffffffff"))
    assert list(read_pulses(str(tmp_path))) == []
    place.write_text(f"{os.getpid()} 0 {BOOT}\n")
    assert list(read_pulses(str(tmp_path))) == []
    memory.close()


def test_a_stale_folder_hides_no_node_if_another_user_has_its_pid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [tmp_path / f"node-{number}" for number in range(3)]
    for node in nodes:
        node.mkdir()
    for stale in (nodes[0], nodes[2]):
        (stale / "pulse").write_text(f"1 7 {BOOT}\n")
    readlink = os.readlink

    def forbidden(place: str) -> str:
        if place == "/proc/1/fd/7":
            raise PermissionError(13, "Permission denied", place)
        return readlink(place)

    monkeypatch.setattr(os, "readlink", forbidden)
    with pytest.raises(PermissionError):
        list(read_pulses(str(tmp_path)))
    memory = PulseMemory(BOOT)
    memory.announce(str(nodes[1]))
    memory.write(pulse())
    assert [found.pid for found in read_pulses(str(tmp_path))] == [os.getpid()]
    memory.close()


def test_a_node_whose_folder_others_may_write_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = tmp_path / "node-0"
    node.mkdir()
    memory = PulseMemory(BOOT)
    memory.announce(str(node))
    memory.write(pulse(heartbeat=time.monotonic()))
    node.chmod(0o777)
    monkeypatch.setenv("DTQS_SUPERVISOR_STATE_DIR", str(tmp_path))
    well, sentence = check("supervisor", False)
    why = f"{node}: not trusted, since it can be written by others (mode 0777)"
    assert (well, sentence.startswith(f"dead: no supervisor ({why})")) == (False, True), sentence
    memory.close()


def test_a_configuration_that_others_may_have_written_is_ignored_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("DTQS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(health, "_PLACES", ("var/dtqs.ini",))
    Path("var").mkdir()
    Path("var/dtqs.ini").write_text("[supervisor]\nstate_dir = /nowhere/foreign\n", encoding="utf-8")
    assert "/nowhere/foreign" in check("supervisor", False)[1]
    Path("var").chmod(0o777)
    said = check("supervisor", False)[1]
    assert "/nowhere/foreign" not in said
    assert "var/dtqs.ini is ignored: var can be written by others (mode 0777); name it with --config" in said


@pytest.mark.parametrize("place", ["torn", "1 2", "x y z", ""])
def test_a_damaged_place_is_no_pulse(tmp_path: Path, place: str) -> None:
    (tmp_path / "node-0").mkdir()
    (tmp_path / "node-0" / "pulse").write_text(place)
    assert list(read_pulses(str(tmp_path))) == []


def test_the_settings_come_from_the_environment_else_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("DTQS_")]:
        monkeypatch.delenv(name)
    file = tmp_path / "dtqs.ini"
    file.write_text("[api]\nport = 2\n# [supervisor]\n[supervisor]\n# state_dir = /a\nState_Dir = /nowhere/b\n")
    assert "/nowhere/b" in check("supervisor", False, str(file))[1]
    assert "port 2:" in check("api", False, str(file))[1]
    monkeypatch.setenv("DTQS_SUPERVISOR_STATE_DIR", "/nowhere/c")
    assert "/nowhere/c" in check("supervisor", False, str(file))[1]


def test_a_variable_loses_the_line_break_at_its_end() -> None:
    assert Settings(None, {"DTQS_API_PORT": "2\n"}).get("api", "port", "8080") == "2"


def test_an_indented_line_is_read_as_the_services_read_it(tmp_path: Path) -> None:
    """It goes on with the value above it, unless the whole section is indented."""
    file = tmp_path / "dtqs.ini"
    file.write_text("[api]\nhost = 127.0.0.1\n\n  port = 2\n")
    assert Settings(str(file), {}).get("api", "port", "8080") == "8080"
    file.write_text("[log]\nlevel = info\n  [api]\n  port = 2\n")
    assert Settings(str(file), {}).get("api", "port", "8080") == "8080"
    file.write_text("[log]\n  level = info\n[api]\n  host = 127.0.0.1\n\n  # a comment\n  port = 2\n")
    assert Settings(str(file), {}).get("api", "port", "8080") == "2"


def test_a_file_that_cannot_be_read_and_a_wrong_value_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("DTQS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DTQS_SUPERVISOR_STATE_DIR", "/nowhere/state")
    file = tmp_path / "dtqs.ini"
    said = check("supervisor", False, str(file))[1]
    assert said.endswith(f"; the configuration file {file} cannot be read: No such file or directory")
    file.write_bytes(b"[api]\nhost = \xff\n")
    monkeypatch.setenv("DTQS_API_PORT", "2")  # an API may run on this machine's 8080
    assert check("api", False, str(file))[1].endswith(f"{file} cannot be read: it is not UTF-8")
    monkeypatch.delenv("DTQS_API_PORT")
    for port in ("x", "0", "65536", "9" * 5000):
        file.write_text(f"[api]\nport = {port}\n", encoding="utf-8")
        well, said = check("api", False, str(file))
        assert (well, said.startswith(f"not asked: [api] port in {file} = '{port[:80]}' is no port")) == (False, True)
    monkeypatch.setenv("DTQS_API_PORT", "y")
    assert check("any", True, str(file))[1].startswith("not asked: DTQS_API_PORT = 'y' is no port from 1 to 65535")


@pytest.mark.parametrize(
    "arguments",
    [["up"], ["logs", "health"], ["health", "all"], ["health", "any", "api"], ["--live", "health"], ["health", "-h"],
     ["api", "health"], ["health", "--config"], ["--config", "health", "up"]],
)  # fmt: skip
def test_other_arguments_are_left_to_the_command_line(arguments: list[str]) -> None:
    assert health.quick(arguments) is False


def test_json_has_no_invisible_character() -> None:
    said = '\x1b[2J\x7f\u202e \U0001f600 "\n'
    text = health.written(False, said, True)
    assert json.loads(text) == {"healthy": False, "reason": said}
    assert text.replace("\n", "").isprintable()


def test_an_api_that_never_ends_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_SECONDS", 0.3)
    over = threading.Event()

    def trickle(server: socket.socket) -> None:
        line, _ = server.accept()
        with line:
            while not over.wait(0.05):
                line.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("DTQS_API_PORT", str(server.getsockname()[1]))
        thread = threading.Thread(target=trickle, args=(server,), daemon=True)
        thread.start()
        try:
            began = time.monotonic()
            well, sentence = check("api", False)
            assert (well, sentence.rpartition(": ")[2]) == (False, "timed out")
            assert time.monotonic() - began < 2
        finally:
            over.set()
            thread.join(5)


def test_an_api_that_tells_of_no_answer_has_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTQS_SUPERVISOR_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(health, "_ask", lambda *_: b"HTTP/1.1 503 \r\n\r\nRabbitMQ gives no answer")
    assert check("any", False) == (
        False,
        "not ready: the API answers /readyz with 503: RabbitMQ gives no answer",
    )


@contextmanager
def answering() -> Iterator[int]:
    """Answer one request on 127.0.0.1, and yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def answer() -> None:
            line, _ = server.accept()
            with line:
                line.recv(1000)
                line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def of_address(address: str, port: int, family: int = socket.AF_INET) -> tuple[object, ...]:
    return family, socket.SOCK_STREAM, 0, "", (address, port)


def test_a_probe_tries_each_address_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` may be ::1 first, while the API listens on 127.0.0.1."""
    closed = of_address("127.0.0.1", 1)
    with answering() as port:
        monkeypatch.setattr("dtqs.health._socket.getaddrinfo", lambda *_: [closed, of_address("127.0.0.1", port)])
        assert health._ask("localhost", port, "/healthz").startswith(b"HTTP/1.1 200 ")
    monkeypatch.setattr("dtqs.health._socket.getaddrinfo", lambda *_: [closed] * 2)
    with pytest.raises(ConnectionRefusedError):
        health._ask("localhost", port, "/healthz")


class Swallowed:
    """Stand in for a socket whose packets are dropped on their way."""

    def __init__(self) -> None:
        self.limits = list[float]()

    def settimeout(self, seconds: float) -> None:
        self.limits.append(seconds)

    def connect(self, address: object) -> None:
        raise TimeoutError("timed out")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("knows_family", [False, True])
def test_an_address_out_of_reach_hides_no_other_one(knows_family: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may not know IPv6, or a firewall may drop the packets to an address."""
    make, swallowed = socket.socket, Swallowed()

    def socket_of(family: int, *kinds: int) -> object:
        if family != socket.AF_INET6:
            return make(family, *kinds)
        if knows_family:
            return swallowed
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    with answering() as port:
        places = [of_address("::1", port, socket.AF_INET6), of_address("127.0.0.1", port)]
        module = SimpleNamespace(getaddrinfo=lambda *_: [*places], socket=socket_of, SOCK_STREAM=socket.SOCK_STREAM)
        monkeypatch.setattr(health, "_socket", module)
        assert health._ask("localhost", port, "/healthz").startswith(b"HTTP/1.1 200 ")
    assert all(limit < health._SECONDS / 2 for limit in swallowed.limits)
    assert len(swallowed.limits) == knows_family
