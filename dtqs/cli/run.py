"""The two commands that services run: `dtqs supervisor` and `dtqs api`. What the supervisor's children do is put together here."""

import functools
import os
import sys

import click
from setproctitle import setproctitle

from dtqs import log
from dtqs.cli.options import configuration, configuration_path
from dtqs.config import Config, PoolSection
from dtqs.keeper.process import Keeper
from dtqs.processors.catalog import Catalog
from dtqs.resources import resource
from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.spawn import ChildSpec, ChildStart
from dtqs.supervisor.supervisor import Supervisor
from dtqs.worker.process import Seat, Worker


@click.command()
def supervisor() -> None:
    """Run the workers and the keeper of this node, until SIGTERM (drain) or SIGINT (stop now).

    \b
      dtqs supervisor
      dtqs supervisor --config /etc/dtqs/dtqs.ini
    """
    config = configuration()
    catalog = Catalog.load(config)
    log.set_up(config.log.level, config.log.format, "supervisor")
    specs = [ChildSpec("keeper", "dtqs: keeper", functools.partial(_keep, config))]
    specs += [_worker(config, catalog, pool, number) for pool, section in config.pools.items() for number in range(_size(section))]
    sys.exit(Supervisor(config.supervisor, specs, NodeLock(config.supervisor.state_dir)).run())


@click.command()
def api() -> None:
    """Run the HTTP API and the dashboard on gunicorn, until SIGTERM; SIGHUP reloads it.

    \b
      dtqs api
      dtqs api --config /etc/dtqs/dtqs.ini
    """
    config = configuration()
    Catalog.load(config)  # a wrong setting is said here, in one line, not by each process of gunicorn
    path = configuration_path()
    if path is not None:
        os.environ["DTQS_CONFIG"] = str(path.resolve())
    setproctitle("dtqs: api")
    # with this very interpreter: gunicorn's script may be another one's
    arguments = [sys.executable, "-m", "gunicorn", "--config", str(resource("conf/gunicorn.conf.py")), "dtqs.api.wsgi:application"]
    os.execv(sys.executable, arguments)


def _size(section: PoolSection) -> int:
    return section.workers or len(os.sched_getaffinity(0))


def _worker(config: Config, catalog: Catalog, pool: str, number: int) -> ChildSpec:
    main = functools.partial(_work, config, catalog, pool, number)
    return ChildSpec(f"{pool}/{number}", f"dtqs: worker {pool}/{number}", main)


def _work(config: Config, catalog: Catalog, pool: str, number: int, start: ChildStart) -> int:
    log.set_up(config.log.level, config.log.format, f"worker {pool}/{number}")
    return Worker(config, catalog, Seat(pool, number, start.slot, start.node_id, start.boot_id, start.deaths)).run()


def _keep(config: Config, start: ChildStart) -> int:
    log.set_up(config.log.level, config.log.format, "keeper")
    return Keeper(config, start.slot, start.node_id, start.boot_id).run()


__all__ = ["api", "supervisor"]
