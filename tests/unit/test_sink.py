"""Output never waits for its reader: it is buffered up to a limit, and dropped lines are counted and reported."""

import logging
import os
import signal
import socket
import stat
import sys
import threading
from pathlib import Path

import pytest

from dtqs import sink as sinks
from dtqs.log import _Json, _SinkHandler
from dtqs.sink import MOST_BYTES, LineSink

LINE = b"x" * 999 + b"\n"


def read_all(reader: int, sink: LineSink) -> bytes:
    """Read until the pipe stays empty, with the flushes of a process's loop."""
    os.set_blocking(reader, False)
    parts = []
    while True:
        try:
            parts.append(os.read(reader, 1 << 20))
        except BlockingIOError:
            if not sink.behind:
                return b"".join(parts)
        sink.flush()


@pytest.mark.parametrize("way", ["opened again", "spliced"])
def test_a_pipe_that_nobody_reads_drops_and_counts_lines(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    if way == "spliced":
        monkeypatch.setattr("os.open", refuse)
    sink = LineSink(writer)
    monkeypatch.undo()
    for number in range(2 * (MOST_BYTES + 65536) // len(LINE)):
        sink.put(f"{number:8d} ".encode() + LINE)
    assert os.get_blocking(writer), "the shared open file still blocks for other processes"
    told = read_all(reader, sink).splitlines()
    numbers = [int(line.split()[0]) for line in told[:-1]]
    assert numbers == list(range(len(numbers)))
    dropped = 2 * (MOST_BYTES + 65536) // len(LINE) - len(numbers)
    assert dropped > 100
    assert told[-1] == f"[{dropped} lines dropped: nobody read them]".encode()
    sink.put(b"again\n")
    assert os.read(reader, 100) == b"again\n"


def refuse(*_: object) -> int:
    raise PermissionError


def test_a_socket_that_nobody_reads_drops_and_counts_lines() -> None:
    ours, theirs = socket.socketpair()
    sink = LineSink(ours.fileno())
    for _ in range(5 * MOST_BYTES // len(LINE)):
        sink.put(LINE)
    assert os.get_blocking(ours.fileno())
    assert b"lines dropped" in read_all(theirs.fileno(), sink).splitlines()[-1]
    for end in (sink, ours, theirs):
        end.close()


def test_a_file_is_written_even_if_others_write_it_too(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    sink = LineSink(descriptor)
    sink.put(b"ours\n")
    os.write(descriptor, b"theirs\n")
    sink.put(b"ours\n")
    assert (tmp_path / "log").read_bytes() == b"ours\ntheirs\nours\n"


def test_a_closed_reader_costs_nothing() -> None:
    reader, writer = os.pipe()
    sink = LineSink(writer)
    os.close(reader)
    for _ in range(3):
        sink.put(LINE)
    assert sink.behind
    sink.finish(0.0)


def test_only_the_parent_writes_the_lines_buffered_at_a_fork() -> None:
    reader, writer = os.pipe()
    sink = LineSink(writer)
    count = 0
    while not sink.behind:
        sink.put(LINE)
        count += 1
    pid = os.fork()
    if pid == 0:
        sink.flush()
        os._exit(3 if sink.behind else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert read_all(reader, sink).count(b"\n") == count


def test_the_log_reports_in_its_own_format_how_much_was_dropped() -> None:
    reader, writer = os.pipe()
    sink = LineSink(writer)
    handler = _SinkHandler(sink, _Json("worker"))
    handler.setFormatter(_Json("worker"))
    for _ in range(500):
        handler.emit(logging.LogRecord("x", logging.INFO, __file__, 1, "y" * 999, None, None))
    last = read_all(reader, sink).splitlines()[-1]
    assert b'"role": "worker", "message": "log lines dropped: nobody read them", "lines": ' in last


def test_printed_lines_are_buffered_and_dropped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="utf-8") as out:
        monkeypatch.setattr("sys.stdout", out)
        sinks.guard()
        for _ in range(500):
            print("z" * 999)
        printed = sinks.sink_of(sys.stdout)
        assert printed
        assert printed.behind
        assert stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)
        assert b"lines dropped" in read_all(reader, printed)
        monkeypatch.undo()


def test_a_child_forked_while_another_thread_prints_may_print(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        sink = LineSink(file.fileno())
        held, ends = threading.Event(), threading.Event()

        def hold() -> None:
            with sink._lock:
                held.set()
                ends.wait(30)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(30)
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)
            sink.put(b"from the child\n")
            os._exit(0)
        try:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        finally:
            ends.set()
            thread.join()
    assert (tmp_path / "out").read_bytes() == b"from the child\n"
