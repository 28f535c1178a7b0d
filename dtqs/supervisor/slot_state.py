"""One slot of a node as the supervisor keeps it; pure. The roster holds all of them."""

from dataclasses import dataclass, field

from dtqs.scoreboard import Death
from dtqs.supervisor.child import Child
from dtqs.supervisor.restart import Restart
from dtqs.supervisor.spawn import ChildSpec


@dataclass(slots=True, eq=False)
class SlotState:
    """A slot, or a child that leaves. `index` is its record of the scoreboard."""

    index: int
    spec: ChildSpec
    child: Child | None = None
    deaths: tuple[Death, ...] = ()
    restart: Restart = field(default_factory=Restart)
    settlers: int = 0
    leaves: bool = False
    """Nobody follows in it. Its record is freed when its child has ended and its deaths are settled."""
    successor: "SlotState | None" = None
    """A leaving child works on until the child of this slot is ready."""
    reason: str = ""
    """Why its last child ended: its last words, or the cause."""
    proved_at: float = float("-inf")
    """When the youngest of its dead children that were ready had started."""
    by_task: bool = False
    """A task killed its last child."""

    def works_since(self, since: float) -> bool:
        """Tell whether a child that was started at this time or later has become ready here."""
        child = self.child
        return self.proved_at >= since or bool(child and child.seen_ready and child.started_at >= since)

    def is_well(self, since: float) -> bool:
        """Tell whether it has a ready child, or lost one that worked to a task: then its next one starts as well."""
        return bool(self.child and self.child.seen_ready) or (self.by_task and self.works_since(since))
