"""The command `supervisor`. It builds the keeper and the workers of this node from the configuration."""

import functools
import os
import sys

import click

from dtqs import log, sink
from dtqs.cli.loading import load_in_time
from dtqs.cli.options import configuration
from dtqs.config import Config, PoolSection
from dtqs.files import FileSpace
from dtqs.keeper.process import Keeper
from dtqs.keeper.reclaim import Node
from dtqs.processors.catalog import Catalog
from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.spawn import ChildSpec, ChildStart
from dtqs.supervisor.supervisor import Supervisor
from dtqs.worker.process import Worker
from dtqs.worker.seat import WorkerSeat

_LAST_WORDS_SECONDS = 1.0
"""Time that a slow reader of the log gets at the end."""


@click.command()
def supervisor() -> None:
    """Run the workers and the keeper of this node. SIGTERM drains them; SIGINT stops them at once.

    \b
      dtqs supervisor
      dtqs supervisor --config /etc/dtqs/dtqs.ini
    """
    config = configuration()
    catalog = load_in_time(config)
    FileSpace(config.files)  # loads botocore for object storage: the forked processes share its memory
    log.set_up(config.log.level, config.log.format, "supervisor")
    specs = [ChildSpec("keeper", "dtqs: keeper", functools.partial(_keep, config))]
    specs += [
        _worker(config, catalog, pool, number)
        for pool, section in config.pools.items()
        for number in range(_size(section))
    ]
    hire = functools.partial(_worker, config, catalog)
    status = Supervisor(config.supervisor, specs, NodeLock(config.supervisor.state_dir), hire).run()
    sink.finish(_LAST_WORDS_SECONDS)
    sys.exit(status)


def _size(section: PoolSection) -> int:
    return section.workers or len(os.sched_getaffinity(0))


def _worker(config: Config, catalog: Catalog, pool: str, number: int) -> ChildSpec:
    main = functools.partial(_work, config, catalog, pool, number)
    return ChildSpec(f"{pool}/{number}", f"dtqs: worker {pool}/{number}", main)


def _work(config: Config, catalog: Catalog, pool: str, number: int, start: ChildStart) -> int:
    log.set_up(config.log.level, config.log.format, f"worker {pool}/{number}")
    seat = WorkerSeat(
        pool,
        number,
        start.slot,
        start.node_id,
        start.boot_id,
        start.deaths,
        start.last_words,
        start.offer_stacks,
        start.wait_seconds,
    )
    return Worker(config, catalog, seat).run()


def _keep(config: Config, start: ChildStart) -> int:
    log.set_up(config.log.level, config.log.format, "keeper")
    return Keeper(config, start.slot, Node(start.node_id, start.boot_id, start.board, start.former)).run()
