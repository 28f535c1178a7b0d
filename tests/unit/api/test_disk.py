"""Threads for calls on files: errors reach the caller, and nobody else."""

import logging

import gevent
import pytest

from dtqs.api.http.disk import FileThreads
from dtqs.errors import NotFound


def missing() -> None:
    raise NotFound("file", "x")


def test_an_error_of_a_call_reaches_its_caller_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    undone: list[object] = []
    with pytest.raises(NotFound, match="there is no file x"):
        FileThreads(1).run(missing, undo=undone.append)
    assert (capsys.readouterr().err, undone) == ("", [])


def test_an_error_of_a_call_for_which_nobody_waits_is_one_line_of_the_log(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    threads = FileThreads(1)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            threads.later(missing)
        with gevent.Timeout(20):
            while len(caplog.records) < 2:
                gevent.sleep(0.001)
    assert [record.__dict__["reason"] for record in caplog.records] == ["there is no file x"] * 2
    assert capsys.readouterr().err == ""
    assert threads.run(lambda: 1) == 1, "the thread is free again"
