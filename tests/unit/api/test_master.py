"""The methods of gunicorn that dtqs/api/server/master.py overrides. A changed one fails here first."""

import contextlib
import errno
import inspect
import logging
import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn import util
from gunicorn.app.base import Application
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from dtqs.api.server.checking import API_VARIABLE, ConfigCheck
from dtqs.api.server.master import Master, Served
from dtqs.api.server.service import ServiceReports
from dtqs.config import FilesSection
from dtqs.systemd import Notifier
from tests.support.helpers import eventually


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (Arbiter.handle_hup, ["self"]),
        (Arbiter.handle_usr1, ["self"]),
        (Arbiter.handle_usr2, ["self"]),
        (Arbiter.reap_workers, ["self"]),
        (Arbiter.manage_workers, ["self"]),
        (Arbiter.spawn_workers, ["self"]),
        (Arbiter.start, ["self"]),
        (Arbiter.setup, ["self", "app"]),
        (Arbiter.stop, ["self", "graceful"]),
        (Application.load_config_from_file, ["self", "filename"]),
        (util._setproctitle, ["title"]),
    ],
)
def test_a_replaced_method_takes_the_same_arguments(function: object, parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters) == parameters  # type: ignore[arg-type]


def test_an_arbiter_restarts_from_its_context_and_ends_with_an_exception() -> None:
    assert isinstance(Arbiter.START_CTX, dict)
    assert HaltServer("why", 4).reason == "why"
    source = inspect.getsource(Arbiter.reap_workers)
    assert "raise HaltServer(reason, self.APP_LOAD_ERROR)" in source
    assert "self.WORKERS.pop(wpid, None)" in source, "gunicorn forgets a process that could not boot before it raises"


class Failing(Master):
    """A master whose processes cannot boot; it has no sockets, forks or log of its own."""

    def __init__(self, served: Served) -> None:
        self.app = SimpleNamespace(served=served, handover=None)  # type: ignore[assignment]
        self.log = logging.getLogger("tests")
        self._service = ServiceReports(Notifier(None))
        self._check, self._faults, self._fault_at, self._spawn_at = None, 0, 0.0, 0.0
        self._is_approved, self._old = False, frozenset[int]()
        self.managed, self.boots, self.forks_fail = 0, 1, False
        self._num_workers = 2
        self.WORKERS: dict[int, Any] = {}

    def adopt(self, *pids: int) -> None:
        """Be the program after a reload, with these old processes."""
        self.app.handover = SimpleNamespace(served_at=self.app.served.at)  # type: ignore[assignment]
        self._old = frozenset(pids)
        self.WORKERS |= dict.fromkeys(pids)

    def spawn_worker(self) -> None:
        if self.forks_fail:
            os.umask(0)  # as gunicorn leaves it
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        self.WORKERS[100 + len(self.WORKERS)] = None


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Served], Failing]:
    def boot_fails(master: Failing) -> None:
        if master.boots:
            master.boots -= 1
            raise HaltServer("App failed to load.", 4)

    def managed(master: Failing) -> None:
        master.managed += 1

    monkeypatch.setattr(Arbiter, "reap_workers", boot_fails)
    monkeypatch.setattr(Arbiter, "manage_workers", managed)
    return Failing


def test_the_uploads_of_a_killed_process_are_deleted(
    failing: Callable[[Served], Failing], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = failing(Served())
    section = FilesSection(directory=tmp_path, store="s3", s3_bucket="bucket")
    master.app.config = SimpleNamespace(files=section)  # type: ignore[assignment]
    left = tmp_path / "tmp" / "01929f3a-0000-7000-8000-000000000001.part"
    left.parent.mkdir()
    left.touch()
    master.WORKERS = {1: None, 2: None}
    monkeypatch.setattr(Arbiter, "reap_workers", lambda _: None)
    master.reap_workers()
    assert left.exists(), "no process has ended"
    monkeypatch.setattr(Arbiter, "reap_workers", lambda arbiter: arbiter.WORKERS.pop(1))
    master.reap_workers()
    assert not left.exists()


def test_a_failed_boot_ends_a_server_that_has_never_served(failing: Callable[[Served], Failing]) -> None:
    with pytest.raises(HaltServer):
        failing(Served()).reap_workers()


def test_each_further_failed_boot_is_delayed_longer(failing: Callable[[Served], Failing]) -> None:
    served = Served()
    served.ready()
    master = failing(served)
    waits = []
    for _ in range(8):
        master.boots = 1
        master.reap_workers()
        waits.append(master._spawn_at - master._fault_at)
        master.manage_workers()
    assert master.managed == 0, "no process starts before its delay is over"
    assert 0.5 <= waits[0] <= 1.0
    assert waits[1] <= 2.0 < waits[4]
    assert 15.0 <= waits[-1] <= 30.0
    served.ready()
    master.boots = 1
    master.reap_workers()
    assert master._spawn_at - master._fault_at <= 1.0, "a process that was ready resets the delay"


def test_a_reload_keeps_the_old_processes_until_a_new_one_is_ready(failing: Callable[[Served], Failing]) -> None:
    served = Served()
    served.ready()
    master = failing(served)
    master.adopt(1, 2)
    master.manage_workers()
    master.manage_workers()
    assert (len(master.WORKERS), master.managed) == (4, 0), "two new ones start once, and gunicorn ends no old one"
    master.WORKERS.popitem()  # a new one has failed
    master._spawn_at = 0.0
    master.manage_workers()
    assert (len(master.WORKERS), master.managed) == (4, 0), "it is started again"
    served.ready()
    master.manage_workers()
    assert master.managed == 1, "gunicorn ends the old ones"


def test_a_fork_that_fails_is_tried_again_after_a_pause(failing: Callable[[Served], Failing]) -> None:
    served = Served()
    served.ready()
    master = failing(served)
    master.forks_fail = True
    mask = os.umask(0o027)
    try:
        master.spawn_workers()
        assert os.umask(0o027) == 0o027, "later files of the master are not open to all"
    finally:
        os.umask(mask)
    assert not master.WORKERS
    assert master._faults == 1, "the second process is not tried at once"
    master.manage_workers()
    assert master.managed == 0, "the pause goes on"
    master.forks_fail = False
    master.spawn_workers()
    assert len(master.WORKERS) == 2


def test_a_fork_that_fails_at_the_start_ends_it(failing: Callable[[Served], Failing]) -> None:
    master = failing(Served())
    master.forks_fail = True
    mask = os.umask(0o027)
    try:
        with pytest.raises(BlockingIOError):
            master.spawn_workers()
    finally:
        os.umask(mask)


def test_a_reload_without_a_process_or_a_descriptor_left_is_refused(
    failing: Callable[[Served], Failing], caplog: pytest.LogCaptureFixture
) -> None:
    master = failing(Served())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        while len(descriptors) < 64:
            with contextlib.suppress(OSError):
                descriptors.append(os.open(os.devnull, os.O_RDONLY))
                continue
            break
        master.handle_hup()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in descriptors:
            os.close(each)
    assert "not reloaded, the running configuration stays: the check" in caplog.text
    assert "Too many open files" in caplog.text


def test_a_second_master_that_cannot_start_leaves_the_first(
    failing: Callable[[Served], Failing], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fork_fails(_: Arbiter) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(Arbiter, "reexec", fork_fails)
    failing(Served()).handle_usr2()
    assert "a second master cannot start" in caplog.text


def test_a_stop_asks_for_more_time_at_each_look_for_ended_processes(
    failing: Callable[[Served], Failing], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served()
    served.ready()
    master, asked = failing(served), list[float]()
    monkeypatch.setattr(Notifier, "extend", lambda _, now: asked.append(now))
    master.reap_workers()
    assert asked == []
    assert "self.reap_workers()" in inspect.getsource(Arbiter.stop).partition("while")[2], "in the loop that waits"
    monkeypatch.setattr(Arbiter, "stop", lambda master, graceful: [master.reap_workers() for _ in range(3)])
    master.stop()
    assert len(asked) == 3


def test_a_processor_that_prints_at_its_import_refuses_no_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "talkative.py").write_text(
        "from dtqs import Context, Payload, processor\nprint(900 * 'a model is loaded\\n')\n"
        "@processor('talk', payload=Payload)\ndef talk(payload: Payload, context: Context) -> None:\n    return None\n"
    )
    about = tmp_path / "talkative-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: talkative\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[dtqs.processors]\ntalk = talkative:talk\n")
    # a database that does not answer makes a warning
    (tmp_path / "dtqs.ini").write_text("[postgresql]\ndsn = postgresql://127.0.0.1:1/dtqs\n[processor:talk]\n")
    monkeypatch.setenv("DTQS_CONFIG", str(tmp_path / "dtqs.ini"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    check = ConfigCheck()
    eventually(lambda: check.is_over, 30)
    assert check.problem() is None
    assert check.warnings


def test_a_check_asks_the_program_on_disk_for_nothing_that_an_earlier_version_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The way back may be a reload, too."""
    started: list[list[str]] = []

    def popen(command: list[str], *, env: dict[str, str], **_: Any) -> Any:
        assert env[API_VARIABLE]
        started.append(command)
        return SimpleNamespace(poll=lambda: 0)

    monkeypatch.setattr(subprocess, "Popen", popen)
    ConfigCheck().abandon()
    (command,) = started
    assert command[3:] == ["dtqs", "config", "check", "--schema", "--json"]


def test_a_wrong_file_is_reported_and_a_check_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dtqs.ini").write_text("[api]\nport = none\n")
    monkeypatch.setenv("DTQS_CONFIG", str(tmp_path / "dtqs.ini"))
    check = ConfigCheck()
    eventually(lambda: check.is_over, 30)
    assert "[api] port = 'none'" in (check.problem() or "")
    hanging = ConfigCheck()
    hanging.end()
    assert hanging.is_over
    assert "did not end" in (hanging.problem() or "")
