"""A signal's name, for any number: Python knows none for most real-time signals, and what we say of a death must not fail over that."""

import signal


def signal_name(number: int) -> str:
    """Return `SIGKILL`, `SIGRTMIN+6`, or `signal 99` for a number that has no name here."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return (
            f"SIGRTMIN+{number - signal.SIGRTMIN}" if signal.SIGRTMIN < number < signal.SIGRTMAX else f"signal {number}"
        )
