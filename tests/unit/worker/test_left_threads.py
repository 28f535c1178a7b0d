"""Threads that attempts leave behind are logged once each."""

import threading
from collections.abc import Iterator

import pytest

from dtqs.worker.left_threads import LeftThreads


@pytest.fixture
def ended() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("light", [False, True])
def test_a_thread_that_an_attempt_leaves_behind_is_logged_once(
    ended: threading.Event, caplog: pytest.LogCaptureFixture, light: bool
) -> None:
    threads = LeftThreads()
    threads.look(light)
    for name in ("pump", "resolver", "dtqs submits", "dtqs: worker default/0-worker-1"):
        threading.Thread(target=ended.wait, args=(20,), name=name, daemon=True).start()
    threads.look(light)
    threads.look(light)
    (record,) = caplog.records
    assert (record.getMessage(), vars(record)["threads"]) == ("a task left threads behind", ["pump"])
