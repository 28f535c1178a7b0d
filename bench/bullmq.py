"""Measure the time from submit to outcome in turns with BullMQ, which needs Node.js, its package and redis-server.

    npm install --prefix FOLDER bullmq ioredis
    python bench/bullmq.py FOLDER [--seconds 20] [--rate 20] [--json]

Redis writes each change to the disk before it answers (`appendfsync always`). README.md describes the measured time.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from latency import WAYS, at_rate
from product import running
from report import Compared, show
from rig import Rig, say, wait_until

from dtqs.sandbox.ports import free_ports

_BLOCKS, _WORKERS, _WARM_SECONDS = 4, 2, 1.0
_PEER = "BullMQ, fsync always"
_READY_SECONDS, _LONGEST_SECONDS = 30.0, 120.0
_REDIS = ("--save", "", "--appendonly", "yes", "--appendfsync", "always", "--bind", "127.0.0.1")
_AT_MOST = {"one request, Prefer: wait": 1.0}


class Peer:
    """A Redis with worker processes of BullMQ. Its client is a process for each block."""

    def __init__(self, folder: Path, port: int) -> None:
        """`folder` has node_modules."""
        self._port = str(port)
        self._environment = {"PATH": os.environ["PATH"], "NODE_PATH": str(folder / "node_modules")}

    def start(self, stack: ExitStack, place: Path) -> None:
        """Start the server and the workers. The stack ends them; `place` is a folder for their files."""
        server = ["redis-server", "--port", self._port, "--dir", str(place), *_REDIS]
        _started(stack, server, self._environment, place / "redis.log", "Ready to accept connections")
        for number in range(_WORKERS):
            _started(stack, self._node("worker"), self._environment, place / f"{number}.log", "waits for jobs")

    def block(self, rate: float, seconds: float) -> list[float]:
        """Return the milliseconds of each job of one block."""
        command = self._node("client", f"{rate:g}", f"{seconds:g}", f"{_WARM_SECONDS:g}")
        limit = seconds + _LONGEST_SECONDS
        done = subprocess.run(command, env=self._environment, stdout=subprocess.PIPE, check=True, timeout=limit)
        durations: list[float] = json.loads(done.stdout)
        if len(durations) < int(rate * seconds):
            raise RuntimeError(f"{_PEER} answered {len(durations)} of {int(rate * seconds)} jobs")
        return durations

    def _node(self, role: str, *words: str) -> list[str]:
        return ["node", str(Path(__file__).with_name("peer_bullmq.cjs")), role, self._port, *words]


def _started(stack: ExitStack, command: Sequence[str], environment: Mapping[str, str], log: Path, words: str) -> None:
    """Start a program, and wait until it has printed these words. The stack ends it. Raises NotReady."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    stack.callback(process.wait, 10)
    stack.callback(process.kill)
    wait_until(f"{command[0]} prints {words!r}", lambda: words in log.read_text(errors="replace"), _READY_SECONDS)


@contextmanager
def peer(folder: Path, rig: Rig) -> Iterator[Peer]:
    """Run the peer beside the servers of the rig."""
    if shutil.which("redis-server") is None:
        raise SystemExit("redis-server is missing: install the package redis-server")
    place = rig.folder / "redis"
    place.mkdir()
    with ExitStack() as stack:
        made = Peer(folder, free_ports(1)[0])
        made.start(stack, place)
        yield made


def measure(rig: Rig, folder: Path, rate: float, seconds: float) -> list[Compared]:
    """Alternate blocks of all ways to ask and of the peer; each block counts as a round."""
    compared = {name: Compared(f"{name}, median", "ms", _PEER, at_most=_AT_MOST.get(name)) for name in WAYS}
    with peer(folder, rig) as other, running(rig) as product:
        product.start_workers(_WORKERS)
        product.wait_workers(_WORKERS)
        for number in range(1, _BLOCKS + 1):
            ours = {}
            for name, way in WAYS.items():
                with way(product) as client:
                    at_rate(client.once, rate, _WARM_SECONDS)
                    ours[name] = statistics.median(at_rate(client.once, rate, seconds / _BLOCKS))
            theirs = statistics.median(other.block(rate, seconds / _BLOCKS))
            for name, median in ours.items():
                compared[name].add(median, theirs)
            shown = ", ".join(f"{name} {median:.2f} ms" for name, median in ours.items())
            say(f"block {number} of {_BLOCKS}: {shown}; {_PEER} {theirs:.2f} ms")
    return list(compared.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="the folder with node_modules")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each side's measurement")
    parser.add_argument("--rate", type=float, default=20.0, help="submits a second")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with Rig() as rig:
        results = measure(rig, arguments.folder.resolve(), arguments.rate, arguments.seconds)
    show("bullmq", results, arguments.json)


if __name__ == "__main__":
    main()
