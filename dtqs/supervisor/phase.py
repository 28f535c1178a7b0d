"""The phases of a node's life."""

from enum import IntEnum


class Phase(IntEnum):
    """One phase; the numbers rise towards the end."""

    RUNNING = 0
    DRAINING = 1
    STOPPING = 2
    KILLING = 3
