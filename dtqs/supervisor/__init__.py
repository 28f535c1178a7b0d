"""The parent of all worker processes of a node. It knows the kernel only; what its children run arrives as functions."""

from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.spawn import ChildSpec, ChildStart
from dtqs.supervisor.supervisor import Supervisor

__all__ = ["ChildSpec", "ChildStart", "NodeLock", "Supervisor"]
