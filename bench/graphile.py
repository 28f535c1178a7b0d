"""Measure the processing of tiny durable tasks in turns with graphile-worker, which needs Node.js and its package.

    npm install --prefix FOLDER graphile-worker
    python bench/graphile.py FOLDER [--rounds 5] [--tasks 200000] [--json]

README.md describes the measured time.
"""

import argparse
import json
import os
import subprocess
from pathlib import Path

import psycopg
from product import running
from report import Compared, show
from rig import Rig, say
from throughput import finished_rate, submit_backlog

_PROCESSES = 2
_LONGEST_SECONDS = 300.0
_PEER = "graphile-worker"
_ADD = """SELECT count(*)
FROM graphile_worker.add_jobs(ARRAY(
    SELECT json_populate_record(NULL::graphile_worker.job_spec, '{"identifier": "echo", "payload": {"a": 1}}')
    FROM generate_series(1, %(count)s)
))"""
_ADDED_AT_ONCE = 10_000
_LEFT = "SELECT count(*) FROM graphile_worker._private_jobs"


def peer_rate(rig: Rig, folder: Path, tasks: int) -> float:
    """Store the jobs, let the processes work, and return jobs per second, from the first job to the last one."""
    with rig.database() as dsn:
        environment = {"PATH": os.environ["PATH"], "NODE_PATH": str(folder / "node_modules"), "BENCH_DSN": dsn}
        cli = folder / "node_modules" / ".bin" / _PEER
        subprocess.run([cli, "-c", dsn, "--schema-only"], env=environment, check=True, capture_output=True, timeout=60)
        with psycopg.connect(dsn, autocommit=True) as database:
            for _ in range(tasks // _ADDED_AT_ONCE):
                database.execute(_ADD, {"count": _ADDED_AT_ONCE})
            rig.checkpoint()
            command = ["node", str(Path(__file__).with_name("peer_graphile.cjs"))]
            crew = [
                subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(_PROCESSES)
            ]
            try:
                reports = [json.loads(process.communicate(timeout=_LONGEST_SECONDS)[0]) for process in crew]
            finally:
                for process in crew:
                    process.kill()
            left = database.execute(_LEFT).fetchone()
    done = sum(count for count, _, _ in reports)
    if done != tasks or left != (0,):
        raise RuntimeError(f"{_PEER} finished {done} of {tasks} jobs, and {left} are left")
    return float(done / (max(last for _, _, last in reports) - min(first for _, first, _ in reports)))


def measure(rig: Rig, folder: Path, rounds: int, tasks: int) -> list[Compared]:
    compared = Compared("processing, submitted in arrays, 2 workers", "tasks/s", f"{_PEER}, 2 processes")
    best = Compared(f"the same beside the best round of {_PEER}", "times", at_least=1.5)
    for number in range(1, rounds + 1):
        theirs = peer_rate(rig, folder, tasks)
        with running(rig) as product:
            submit_backlog(product, tasks)
            product.start_workers(_PROCESSES)
            product.wait_drained()
            ours = finished_rate(product, tasks)
        compared.add(ours, theirs)
        say(f"round {number} of {rounds}: {ours:,.0f} tasks/s; {_PEER}: {theirs:,.0f}")
    for ours in compared.ours:
        best.add(ours / max(compared.theirs))
    return [compared, best]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="the folder with node_modules")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=200_000, help="tasks of one backlog, a multiple of 10000")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with Rig() as rig:
        results = measure(rig, arguments.folder.resolve(), arguments.rounds, arguments.tasks)
    show("graphile", results, arguments.json)


if __name__ == "__main__":
    main()
