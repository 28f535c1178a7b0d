"""The API while its files on disk are wrong: it goes on with the configuration that it has checked."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from dtqs.api.access.secret import FILE_NAME
from tests.support.fix_system import Factory, System
from tests.support.helpers import eventually

PACKAGE = "theirs"
RIGHT = """
from dtqs import Context, Json, Payload, processor

class Text(Payload):
    text: str

@processor("shout", payload=Text, light=True)
def shout(payload: Text, context: Context) -> Json:
    return payload.text.upper()
"""


def children(pid: int) -> list[int]:
    """Return the worker processes of the API's master."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def served(one: System) -> bool:
    with suppress(httpx.TransportError):
        return one.client.get("/healthz").status_code == 200
    return False


def kill_process(one: System) -> int:
    """Kill the one worker process of the API, and return the id of its master."""
    assert one.api
    (process,) = children(one.api.pid)
    os.kill(process, signal.SIGKILL)
    eventually(lambda: process not in children(one.api.pid) if one.api else False, 10, "the process has ended")
    return one.api.pid


@pytest.fixture
def one(system: Factory) -> Iterator[System]:
    made = system({"api": {"max_body_bytes": 5000}, "log": {"file": "api.log"}}, supervisor=False)
    yield made
    made.stop()


def test_processes_keep_their_signing_secret_until_a_reload(one: System) -> None:
    later = {"task_type": "echo", "payload": {}, "delay_seconds": 3600}
    before = one.client.post("/submit", json=later).json()["links"]["sse"]
    (one.config.supervisor.state_dir / FILE_NAME).unlink()
    master = kill_process(one)
    eventually(lambda: served(one), 30, "another process serves")
    assert status_of_stream(one, before) == 200
    os.kill(master, signal.SIGHUP)
    eventually(
        lambda: served(one) and status_of_stream(one, before) == 401, 30, "after a reload the file is read or made anew"
    )

    def signed_and_opened() -> bool:
        with suppress(httpx.TransportError):
            return status_of_stream(one, one.client.post("/submit", json=later).json()["links"]["sse"]) == 200
        return False

    # an old process may answer a moment longer, and signs as before
    eventually(signed_and_opened, 10, "the new secret signs and opens")


def status_of_stream(one: System, link: str) -> int:
    """Return the status of a stream that only a ticket opens; 0 if nothing serves at the moment."""
    with (
        suppress(httpx.TransportError),
        httpx.stream("GET", f"{one.url}{link}" if link.startswith("/") else link) as response,
    ):
        return response.status_code
    return 0


def status_of_body(one: System) -> int:
    """Return the status of a submit with a body of 4 KiB."""
    return one.client.post("/submit", json={"task_type": "echo", "payload": {"text": "x" * 4096}}).status_code


def test_a_wrong_configuration_is_ignored_and_a_right_one_is_loaded(one: System) -> None:
    assert one.api
    right = one.config_path.read_text()
    one.config_path.write_text(right.replace("max_body_bytes = 5000", "max_body_bytes = many"))
    master = kill_process(one)
    eventually(lambda: served(one), 20, "another process serves with the master's configuration")
    assert status_of_body(one) == 202
    log = one.folder / "api.log"
    log.rename(one.folder / "rotated")
    one.api.send_signal(signal.SIGUSR1)
    eventually(lambda: log.exists() and "log file opened again" in one.log("api"), 20, "the log file is made anew")
    one.api.send_signal(signal.SIGHUP)
    words = "not reloaded, the running configuration stays"
    eventually(lambda: words in one.log("api"), 20, "the fault is logged")
    assert "[api] max_body_bytes = 'many'" in one.log("api")
    assert (served(one), status_of_body(one)) == (True, 202)
    one.config_path.write_text(right.replace("max_body_bytes = 5000", "max_body_bytes = 2000"))
    one.api.send_signal(signal.SIGHUP)
    eventually(lambda: served(one) and status_of_body(one) == 413, 20, "the right file is in force")
    assert (one.api.poll(), one.api.pid) == (None, master)
    # a start, unlike a reload, has no earlier configuration
    one.api.send_signal(signal.SIGTERM)
    assert one.api.wait(20) == 0
    one.config_path.write_text("[api]\nport = none\n")
    done = one.run("api")
    assert (done.returncode, "[api] port = 'none'" in done.stderr) == (os.EX_CONFIG, True), done.stderr


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """Install a package with a processor, and return its module."""
    info = tmp_path / f"{PACKAGE}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[dtqs.processors]\nshout = {PACKAGE}:shout\n")
    module = tmp_path / f"{PACKAGE}.py"
    module.write_text(RIGHT)
    return module


def with_package(system: Factory, module: Path) -> System:
    """Return a system whose API has the package."""
    one = system({}, api=False, supervisor=False)
    one.start_api(PYTHONPATH=f"{module.parent}:{Path(__file__).parents[2]}", PYTHONDONTWRITEBYTECODE="1")
    return one


def shout(one: System, **payload: str) -> int:
    """Return the status of a submit of the package's type; 0 if nothing serves at the moment."""
    with suppress(httpx.TransportError):
        return one.client.post("/submit", json={"task_type": "shout", "payload": payload}).status_code
    return 0


def test_a_processor_that_breaks_later_does_not_end_the_api(system: Factory, module: Path) -> None:
    one = with_package(system, module)
    assert one.api
    module.write_text("raise RuntimeError('broken')")
    kill_process(one)
    eventually(lambda: served(one), 20, "another process serves with the loaded code")
    one.api.send_signal(signal.SIGHUP)
    eventually(lambda: "not reloaded" in one.log("api"), 20, "the reload is refused")
    assert "cannot be loaded: RuntimeError: broken" in one.log("api")
    assert shout(one, text="hello") == 202
    module.write_text(RIGHT.replace("text:", "words:").replace("payload.text", "payload.words"))
    one.api.send_signal(signal.SIGHUP)
    eventually(lambda: served(one) and shout(one, words="hello") == 202, 30, "the repaired code is in force")
    assert one.api.poll() is None


def test_a_reload_to_an_address_that_is_taken_is_refused(one: System) -> None:
    assert one.api
    port = one.config.api.port
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        one.change({"api": {"port": taken}})
        one.api.send_signal(signal.SIGHUP)
        words = f"not reloaded, the running configuration stays: port {taken} of 127.0.0.1 is in use by another program"
        eventually(lambda: words in one.log("api"), 20, "the reload is refused")
    one.change({"api": {"host": "0.0.0.0", "port": port}})
    one.api.send_signal(signal.SIGHUP)
    words = f"[api] host = 0.0.0.0: port {port} is in use there, perhaps by this API itself (host = 127.0.0.1)"
    eventually(lambda: words in one.log("api"), 20, "the reload is refused")
    assert served(one)


def test_a_signal_during_a_reload_is_obeyed_after_it(one: System) -> None:
    assert one.api
    one.api.send_signal(signal.SIGHUP)
    eventually(lambda: "executing the code on disk" in one.log("api"), 20, "the reload begins")
    one.api.send_signal(signal.SIGTERM)
    assert one.api.wait(20) == 0
    assert "Handling signal: term" in one.log("api")


def test_code_that_breaks_between_check_and_execution_ends_the_server(system: Factory, module: Path) -> None:
    one = with_package(system, module)
    assert one.api
    (process,) = children(one.api.pid)
    module.write_text(f"import sys\nassert '--adopt' not in sys.argv, 'too late'\n{RIGHT}")
    one.api.send_signal(signal.SIGHUP)
    assert one.api.wait(30) == os.EX_TEMPFAIL
    assert "became wrong during the reload" in one.log("api")
    assert "too late" in one.log("api")
    eventually(lambda: not Path(f"/proc/{process}").exists(), 10, "the old process ends")


def test_a_reload_whose_processes_cannot_start_keeps_the_old_ones(system: Factory, module: Path) -> None:
    one = with_package(system, module)
    assert one.api
    (process,) = children(one.api.pid)
    boot_error = "os.register_at_fork(after_in_child=lambda: os._exit(3))"
    module.write_text(f"import os, sys\nif '--adopt' in sys.argv:\n    {boot_error}\n{RIGHT}")
    one.api.send_signal(signal.SIGHUP)
    eventually(lambda: one.log("api").count("a process could not start") > 1, 30, "the new processes are tried again")
    assert process in children(one.api.pid)
    assert shout(one, text="hello") == 202
    module.write_text(RIGHT)
    one.api.send_signal(signal.SIGHUP)
    eventually(lambda: process not in children(one.api.pid) if one.api else False, 30, "a new process is ready")
    assert shout(one, text="hello") == 202


def test_the_processes_share_what_they_have_loaded(system: Factory) -> None:
    one = system({"api": {"workers": 3}}, supervisor=False)
    assert one.api
    pids = children(one.api.pid)
    assert len(pids) == 3
    own = sorted(own_bytes(pid) for pid in pids)
    assert own[0] < 25 << 20, own


def own_bytes(pid: int) -> int:
    """Return the written memory that only this process has."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_Dirty:"))
