"""The phases of a node's life."""

from enum import IntEnum


class Phase(IntEnum):
    """How far the node's end has come."""

    RUNNING = 0
    DRAINING = 1
    STOPPING = 2
    KILLING = 3
