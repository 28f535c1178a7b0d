"""A loop that fails at each turn fills no log."""

import logging

import pytest

from dtqs.repeated_fault import RepeatedFaults


def test_a_fault_that_comes_again_has_one_traceback_and_a_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    faults = RepeatedFaults(logging.getLogger("dtqs.test"), lambda: now)
    for number in range(1200):  # ten minutes of two turns a second
        faults.tell("chore failed", ValueError(f"row {number}"), chore="relay")
        now += 0.5
    assert [record.exc_info is not None for record in caplog.records] == [True] + [False] * 9
    last = caplog.records[-1]
    assert (last.getMessage(), last.__dict__["chore"], last.__dict__["times"]) == ("chore failed", "relay", 120)
    assert last.__dict__["reason"].startswith("ValueError: row ")


def test_each_kind_has_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    faults = RepeatedFaults(logging.getLogger("dtqs.test"), lambda: 0.0)
    for error in (ValueError("a"), KeyError("a"), ValueError("b")):
        faults.tell("chore failed", error)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError, KeyError]
    assert len(caplog.records) == 2
