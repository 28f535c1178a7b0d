"""The command `supervisor`. It builds the keeper and the workers of this node from the configuration."""

import encodings.idna  # noqa: F401  sockets need it for a name; loaded here, its 1 MB is not each child's own
import functools
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import click

from dtqs import log, sink
from dtqs.cli.drivers import refuse_unusable_addresses
from dtqs.cli.loading import load_in_time
from dtqs.cli.options import configuration, configuration_path
from dtqs.cli.schema_check import schema_doubt
from dtqs.config import Config, mixed_queues
from dtqs.files import FileSpace
from dtqs.keeper.process import Keeper
from dtqs.keeper.reclaim import Node
from dtqs.own_program import ADOPT
from dtqs.processors.catalog import Catalog
from dtqs.store.driver.preload import preload
from dtqs.supervisor.again import CHECK, DOUBT
from dtqs.supervisor.handover import Handover, refuse_unmet
from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.signals import HARMLESS
from dtqs.supervisor.spawn import ChildSpec, ChildStart
from dtqs.supervisor.supervisor import Supervisor
from dtqs.supervisor.vitals import About
from dtqs.worker.process import Worker
from dtqs.worker.seat import WorkerSeat
from dtqs.worker.share import forbidden_shares, refuse_missing_cpus, take_share

logger = logging.getLogger(__name__)
_LAST_WORDS_SECONDS = 1.0
"""Time that a slow reader of the log gets at the end."""


@dataclass(frozen=True, slots=True)
class Crew:
    """The configuration of a node, and the children that it wants."""

    config: Config
    specs: Sequence[ChildSpec]
    hire: Callable[[str, int], ChildSpec]
    warnings: Sequence[str]


@click.command()
@click.option(CHECK, "wanted", hidden=True, help="Check configuration and code for a running supervisor, and end.")
@click.option(ADOPT, "inherited", type=int, hidden=True, help="Go on with the children of the program before this one.")
def supervisor(wanted: str | None, inherited: int | None) -> None:
    """Run the workers and the keeper of this node. SIGTERM drains them; SIGINT stops them at once.

    SIGHUP loads configuration and code again, and replaces the workers one by one; running tasks go on.

    \b
      dtqs supervisor
      dtqs supervisor --config /etc/dtqs/dtqs.ini
    """
    run_node(wanted, inherited, with_workers=True)


def run_node(wanted: str | None, inherited: int | None, with_workers: bool) -> None:
    """Run a supervisor until its end, or a check for one that runs."""
    # before all else: its descriptors must not get into a program that an import starts
    handover = Handover.take(inherited) if inherited is not None else None
    for number in HARMLESS:
        # until the supervisor has its handlers, such a signal would end or stop this process
        signal.signal(number, signal.SIG_IGN)
    try:
        crew = _crew(configuration(), with_workers)
        if wanted is not None:
            # before standard error goes to a file: the supervisor reads the reason there
            refuse_unmet(wanted, len(crew.specs))
            doubts = [*crew.warnings, schema_doubt(crew.config.postgresql)]
            sys.stdout.write("".join(f"{DOUBT}{doubt}\n" for doubt in doubts if doubt))
            sys.stdout.flush()
        # in a check, too: a file that cannot be opened must not end the running node
        log.set_up(crew.config.log.level, crew.config.log.format, "supervisor", crew.config.log.file)
    except Exception as error:  # whatever a module of processors raises
        if handover is None:
            raise
        _end(_give_up(handover, error))
    if wanted is not None:
        return
    for words in crew.warnings:
        logger.warning(words)
    section = crew.config.supervisor
    lock = handover.node_lock() if handover else NodeLock(section.state_dir)
    config = crew.config
    path = configuration_path()
    about = About(config.lease.lease_seconds, str(path.absolute()) if path else "")
    node = Supervisor(section, crew.specs, lock, crew.hire, handover, about, config.pools)
    _end(node.run())


def _end(status: int) -> NoReturn:
    sink.finish(_LAST_WORDS_SECONDS)
    sys.exit(status)


def _give_up(handover: Handover, error: Exception) -> int:
    """End the children in order: the files were right at the check a moment ago, and are wrong now."""
    log.set_up("info", "text", "supervisor")
    reason = f"configuration or code became wrong during the reload: {error}"
    return Supervisor(handover.old_section(), (), handover.node_lock(), handover=handover).run(doomed=reason)


def _crew(config: Config, with_workers: bool) -> Crew:
    """Load all that the children need. Raises ConfigError."""
    refuse_unusable_addresses(config)
    catalog = load_in_time(config)
    preload()
    cores = len(refuse_missing_cpus(config.pools))
    FileSpace(config.files)  # loads botocore for object storage: the forked processes share its memory
    hire = functools.partial(_worker, config, catalog)
    pools = config.pools.items() if with_workers else ()
    workers = [hire(pool, number) for pool, section in pools for number in range(section.size(cores))]
    keeper = ChildSpec("keeper", "dtqs: keeper", functools.partial(_keep, config, catalog.names()))
    warnings = [*mixed_queues(config.pools, config.routes, catalog.names()), *forbidden_shares(config.pools)]
    return Crew(config, (keeper, *workers), hire, warnings if with_workers else ())


def _worker(config: Config, catalog: Catalog, pool: str, number: int) -> ChildSpec:
    main = functools.partial(_work, config, catalog, pool, number)
    name = f"{pool}/{number}"
    return ChildSpec(name, f"dtqs: worker {name}", main, config.pools[pool].memory_kill)


def _work(config: Config, catalog: Catalog, pool: str, number: int, start: ChildStart) -> int:
    log.set_up(config.log.level, config.log.format, f"worker {pool}/{number}", config.log.file)
    take_share(config.pools[pool])
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


def _keep(config: Config, installed: Sequence[str], start: ChildStart) -> int:
    log.set_up(config.log.level, config.log.format, "keeper", config.log.file)
    node = Node(start.node_id, start.boot_id, start.board, start.vouch, start.former, start.given_up, start.note)
    return Keeper(config, installed, start.slot, node, start.last_words).run()
