"""The families of one node, for `[metrics] listen`: its workers' slots, the keeper's servers, its disks."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client.core import Metric

from dtqs import __version__
from dtqs.metrics.families import Samples, gauge
from dtqs.scoreboard import SlotRecord
from dtqs.tally import Tally

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def node_families(
    records: Sequence[SlotRecord], given_up: int, heartbeat_at: float, broker_state: str, tally: Tally
) -> Iterator[Metric]:
    """Yield the families. `heartbeat_at` is the keeper's last successful one, on the monotonic clock."""
    now = time.monotonic()
    states: Samples = {(state.lower(),): 0.0 for state in ("STARTING", "READY", "DRAINING", "WAITING")}
    for state, count in Counter(record.state.name.lower() for record in records).items():
        states[state,] = count
    states["given_up",] = given_up
    yield gauge("dtqs_node_build", "The version of the keeper", ("version",), {(__version__,): 1.0})
    yield gauge("dtqs_node_children", "Children of the supervisor by state", ("state",), states)
    yield gauge(
        "dtqs_node_running_tasks", "Workers that run a task", (), {(): sum(bool(record.task_id) for record in records)}
    )
    yield gauge(
        "dtqs_node_silent_seconds", "Longest time since a child gave a sign of life", (),
        {(): max((now - record.beat for record in records), default=0.0)},
    )  # fmt: skip
    memory = sum(resident_bytes(record.pid) for record in records)
    yield gauge("dtqs_node_memory_bytes", "Resident memory of the children", (), {(): memory})
    yield gauge(
        "dtqs_node_heartbeat_age_seconds",
        "Time since the keeper last wrote to PostgreSQL",
        (),
        {(): now - heartbeat_at},
    )
    yield gauge("dtqs_node_broker_connected", "RabbitMQ takes messages", (), {(): float(broker_state == "connected")})
    values = tally.values()
    for kind, text in (("free", "Free bytes of a folder's file system"), ("size", "Size of that file system")):
        found: Samples = {
            (name.partition("|")[2],): value for name, value in values.items() if name.startswith(f"^disk_{kind}|")
        }
        yield gauge(f"dtqs_node_disk_{kind}_bytes", text, ("folder",), found)


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process, or 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0
