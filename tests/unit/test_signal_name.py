"""Every signal number has a name, because an exit status may carry any."""

import signal

import pytest

from dtqs.processors import deaths
from dtqs.signal_name import signal_name


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (9, "SIGKILL"),
        (signal.SIGRTMIN, "SIGRTMIN"),
        (signal.SIGRTMIN + 6, "SIGRTMIN+6"),
        (signal.SIGRTMAX, "SIGRTMAX"),
        (32, "signal 32"),
        (0, "signal 0"),
    ],
)
def test_a_signal_has_a_name(number: int, name: str) -> None:
    assert signal_name(number) == name


def test_a_death_by_a_real_time_signal_has_a_name() -> None:
    assert deaths.outside_cause(-(signal.SIGRTMIN + 6)) == "was killed from outside (SIGRTMIN+6)"
