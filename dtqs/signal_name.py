"""The name of a signal, for any number. Python has no names for most real-time signals and raises ValueError."""

import signal


def signal_name(number: int) -> str:
    """Return `SIGKILL`, `SIGRTMIN+6`, or `signal 99` for a number that has no name here."""
    try:
        return signal.Signals(number).name
    except ValueError:
        real_time = signal.SIGRTMIN < number < signal.SIGRTMAX
        return f"SIGRTMIN+{number - signal.SIGRTMIN}" if real_time else f"signal {number}"
