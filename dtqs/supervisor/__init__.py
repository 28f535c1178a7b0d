"""The parent of all processes of a node. It imports the kernel only: the code of its children arrives as functions."""

from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.spawn import ChildSpec, ChildStart
from dtqs.supervisor.supervisor import Supervisor

__all__ = ["ChildSpec", "ChildStart", "NodeLock", "Supervisor"]
