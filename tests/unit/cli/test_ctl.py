"""`dtqs ctl` finds the running supervisor, also under a wrong configuration, or says why it finds nothing."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from dtqs.cli import ctl_node, main, running
from dtqs.cli.running import is_supervisor
from dtqs.operator_socket import SOCKET, ask
from dtqs.reload_record import ENDS, PAUSED, REFUSED, RESTART, ReloadRecord


def run(tmp_path: Path, *arguments: str, command: str = "reload") -> tuple[int, str]:
    ini = tmp_path / "dtqs.ini"
    ini.write_text(f"[supervisor]\nstate_dir = {tmp_path}\n[pool:default]\nworkers = many\n")
    result = CliRunner().invoke(main, ["ctl", command, "--config", str(ini), *arguments])
    return result.exit_code, result.output


def leave_record(tmp_path: Path, node: str, pid: int) -> None:
    (tmp_path / node).mkdir()
    ReloadRecord(pid).write(tmp_path / node)


@contextmanager
def supervisor(program: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python program whose arguments are those of a supervisor that executes its program."""
    command = [sys.executable, "-c", f"{program}; print(1, flush=True); import time; time.sleep(60)"]
    with subprocess.Popen([*command, "supervisor", "--adopt", "7"], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()


def test_a_record_of_another_or_an_ended_process_is_no_supervisor(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait(10)
    leave_record(tmp_path, "node-0", ended.pid)
    (tmp_path / "node-2").mkdir()
    (tmp_path / "node-2" / "reload").write_text("[]")
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            leave_record(tmp_path, "node-1", other.pid)
            nothing = "no supervisor runs on this machine under this configuration\n"
            assert run(tmp_path) == (os.EX_UNAVAILABLE, nothing)
            assert other.poll() is None
        finally:
            other.kill()
    status, output = run(tmp_path, "--pid", str(ended.pid))
    assert status == os.EX_UNAVAILABLE
    assert "restart the service instead" in output


def test_a_hidden_process_of_another_user_is_no_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under ProtectProc=invisible a stale record may name the pid of a process that cannot be seen or signalled."""

    def kill(_: int, __: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    hidden = 1 << 30
    leave_record(tmp_path, "node-0", hidden)
    monkeypatch.setattr(os, "kill", kill)
    assert run(tmp_path) == (os.EX_UNAVAILABLE, "no supervisor runs on this machine under this configuration\n")
    status, output = run(tmp_path, "--pid", str(hidden))
    assert (status, "restart the service instead" in output) == (os.EX_UNAVAILABLE, True)


def test_with_a_pid_only_its_newest_record_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid, other = 1 << 30, (1 << 30) + 1  # no process has these numbers
    for number, named in enumerate((pid, pid, pid, other)):
        leave_record(tmp_path, f"node-{number}", named)
        os.utime(tmp_path / f"node-{number}" / "reload", (0, 200 if number == 1 else 100))
    asked = list[int]()

    def is_supervisor(pid: int, known: object) -> bool:
        asked.append(pid)
        return True

    monkeypatch.setattr(running, "is_supervisor", is_supervisor)
    monkeypatch.setattr(running, "_state_folders", lambda _: [tmp_path])
    monkeypatch.setattr(running, "named_path", lambda: None)
    assert running.find(pid)[0] == tmp_path / "node-1"
    assert asked == [pid, pid, pid]


def test_a_node_in_a_folder_of_others_is_named_and_not_asked(tmp_path: Path) -> None:
    with supervisor("pass") as process:
        leave_record(tmp_path, "node-0", process.pid)
        (tmp_path / "node-0").chmod(0o777)
        for arguments in ((), ("--pid", str(process.pid))):
            status, output = run(tmp_path, *arguments)
            why = f"{tmp_path / 'node-0'} is not trusted, since it can be written by others (mode 0777)"
            assert (status, why in output) == (os.EX_UNAVAILABLE, True), output


def test_a_node_is_found_after_an_edit_of_its_state_folder(tmp_path: Path) -> None:
    ini, old = tmp_path / "dtqs.ini", tmp_path / "old"
    old.mkdir()
    leave_record(old, "node-0", 1)
    program = (
        "from dtqs.pulse import PulseMemory; memory = PulseMemory('0' * 36, "
        f"{str(ini)!r}); identity = open({str(old / 'node-0' / 'id')!r}, 'w')"
    )
    with supervisor(program) as process:
        ReloadRecord(process.pid).write(old / "node-0")
        for arguments in ((), ("--pid", str(process.pid))):
            status, output = run(tmp_path, *arguments, command="status")
            assert (status, str(old / "node-0" / SOCKET) in output) == (os.EX_UNAVAILABLE, True), output


def test_a_folder_that_this_user_may_not_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(folder: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", forbidden)
    status, output = run(tmp_path)
    assert (status, f"{tmp_path}: Permission denied: run this as root" in output) == (os.EX_UNAVAILABLE, True)


def test_one_of_several_supervisors_must_be_named_and_one_that_ignores_the_signal_is_told(tmp_path: Path) -> None:
    program = "import signal, time; signal.signal(signal.SIGHUP, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    both = [
        subprocess.Popen([sys.executable, "-c", program, "supervisor"], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for number, process in enumerate(both):
            assert process.stdout
            assert process.stdout.readline()
            leave_record(tmp_path, f"node-{number}", process.pid)
        status, output = run(tmp_path)
        assert (status, "name one with --pid" in output) == (os.EX_UNAVAILABLE, True)
        told = "the supervisor does not reload: it ends, or it ignores SIGHUP\n"
        assert run(tmp_path, "--pid", str(both[0].pid), "--wait-seconds", "0.2") == (os.EX_TEMPFAIL, told)
    finally:
        for process in both:
            with process:
                process.kill()


def test_only_a_fault_of_configuration_or_code_ends_with_78(tmp_path: Path) -> None:
    later = tmp_path / "later"
    later.mkdir()
    program = (
        f"import os, signal; signal.signal(signal.SIGHUP, lambda *_: os.replace('{later}/reload',"
        f" '{tmp_path}/node-0/reload'))"
    )
    with supervisor(program) as process:
        leave_record(tmp_path, "node-0", process.pid)
        reasons = {
            PAUSED: os.EX_TEMPFAIL,
            ENDS: os.EX_TEMPFAIL,
            "[api] port = many": os.EX_CONFIG,
            f"this version cannot take over the running children: {RESTART}": os.EX_UNAVAILABLE,
        }
        for number, (reason, wanted) in enumerate(reasons.items(), 1):
            ReloadRecord(process.pid, number, REFUSED, reason).write(later)
            status, output = run(tmp_path)
            assert (status, reason in output) == (wanted, True)


def test_a_supervisor_that_executes_its_program_is_asked_again(tmp_path: Path) -> None:
    program = "print(1, flush=True); import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program, "supervisor"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        leave_record(tmp_path, "node-0", process.pid)
        place = tmp_path / "node-0" / SOCKET
        with socket.socket(socket.AF_UNIX) as closed:
            closed.bind(str(place))
            with pytest.raises(ConnectionRefusedError):
                ask(tmp_path / "node-0", {}, 1.0)

        def listen() -> None:
            """Answer once, as the new program does, after the command was refused."""
            asked.wait(30)
            place.unlink()
            with socket.create_server(str(place), family=socket.AF_UNIX) as listener:
                listener.settimeout(30)
                client, _ = listener.accept()
                with client:
                    client.recv(4096)
                    client.sendall(b'{"paused": false}')

        def executes(_: int) -> bool:
            """Stand for the check between two questions: the first was refused by now."""
            asked.set()
            return True

        asked = threading.Event()
        new_program = threading.Thread(target=listen)
        new_program.start()
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(ctl_node, "is_supervisor", executes)
                status, output = run(tmp_path, command="resume")
        finally:
            process.kill()
            asked.set()
            new_program.join(60)
    assert (status, output) == (os.EX_OK, "resumed\n")


def test_a_check_says_why_it_refuses_although_the_log_goes_to_a_file(tmp_path: Path) -> None:
    ini = tmp_path / "dtqs.ini"
    ini.write_text(f"[supervisor]\nstate_dir = {tmp_path}\n[log]\nfile = {tmp_path / 'own'}\n")
    ini.chmod(0o600)
    command = [sys.executable, "-m", "dtqs", "supervisor", "--check", "0:1", "--config", str(ini)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, "restart the service" in ended.stderr) == (os.EX_CONFIG, True)


@pytest.mark.parametrize(("line", "is_node"), [(b"sleep\x0060\0", False), (b"python\0-m\0dtqs\0supervisor\0", True)])
def test_a_process_is_no_supervisor_before_its_command_line_says_so(
    monkeypatch: pytest.MonkeyPatch, line: bytes, is_node: bool
) -> None:
    """The kernel shows an empty line from the beginning of an execution on, and subprocess.Popen returns earlier."""
    lines = iter([b"", b"", line])
    monkeypatch.setattr(Path, "read_bytes", lambda _: next(lines))
    assert is_supervisor(os.getpid(), known=False) is is_node
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"")
    monkeypatch.setattr(running, "_EXECUTES_SECONDS", 0.02)
    assert not is_supervisor(os.getpid(), known=False), "a kernel thread"
    assert is_supervisor(os.getpid()), "it has been one before"


def test_the_record_of_a_node_whose_number_another_supervisor_has_is_stale(tmp_path: Path) -> None:
    program = (
        "from dtqs.pulse import PulseMemory; memory = PulseMemory('0' * 36); "
        f"memory.announce({str(tmp_path / 'node-1')!r})"
    )
    for number in range(2):
        leave_record(tmp_path, f"node-{number}", 1)
    with supervisor(program) as process:
        for number in range(2):
            ReloadRecord(process.pid).write(tmp_path / f"node-{number}")
        mine = (tmp_path / "node-1" / "pulse").read_text(encoding="ascii")
        (tmp_path / "node-0" / "pulse").write_text(mine.replace("0" * 36, "1" * 36), encoding="ascii")
        os.utime(tmp_path / "node-1" / "reload", (0, 0))
        status, output = run(tmp_path, command="status")
        assert (status, str(tmp_path / "node-1" / SOCKET) in output) == (os.EX_UNAVAILABLE, True), output


def test_a_node_that_executes_its_program_still_runs() -> None:
    # until the program has set its title, the command line says what it is
    program = "print(1, flush=True); import time; time.sleep(60)"
    for command, runs in (("supervisor", True), ("keeper", True), ("api", False)):
        arguments = [sys.executable, "-c", program, command, "--adopt", "7"]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stdout.readline()
            found = is_supervisor(process.pid)
            process.kill()
        assert found is runs, command
