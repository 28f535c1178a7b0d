"""The command `console`: draw the system on this terminal, or print one reading."""

import curses
import dataclasses
import locale
import logging
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from dtqs.cli.options import Seconds, configuration
from dtqs.cli.output import print_json
from dtqs.config import Config
from dtqs.console.actions import Actions
from dtqs.console.app import show
from dtqs.console.feed import ConsoleFeed
from dtqs.console.lines import fit
from dtqs.console.overview import overview
from dtqs.console.screen import Screen
from dtqs.console.snapshot import Snapshot
from dtqs.errors import RequestError
from dtqs.readings import Reading, SystemReader
from dtqs.store import Store

_NAME = "dtqs console"
_LIMIT_SECONDS = 3.0
_ONCE_WIDTH, _ONCE_HEIGHT = 110, 1000


class NoTerminal(RequestError):
    """The console cannot draw: standard input or output is not a terminal, or it cannot move the cursor."""


@click.command()
@click.option(
    "--every",
    "every_seconds",
    type=Seconds(0.2, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Pause between two readings.",
)
@click.option("--read-only", is_flag=True, help="Disable cancel and retry.")
@click.option("--once", is_flag=True, help="Print one reading and exit.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print JSON.")
def console(every_seconds: float, read_only: bool, once: bool, as_json: bool) -> None:
    """Watch the system on this terminal: workers, tasks, backlog, failures, logs.

    It reads PostgreSQL and RabbitMQ directly, as configured. The last line of the screen lists keys; ? explains them.

    \b
      dtqs console
      dtqs console --every 5 --read-only
      dtqs console --once --json

    Exit status of --once: 0 healthy, 1 alarms, 78 configuration.
    """
    if as_json and not once:
        raise click.UsageError("--json needs --once")
    if not once:
        _check_terminal()
    # log lines of drivers and connections would overwrite the screen
    logging.disable(logging.CRITICAL)
    with _opened(configuration(needed=True)) as (config, store, reader):
        if once:
            sys.exit(_print(reader.read(), as_json))
        _watch(config, store, reader, every_seconds, read_only)


@contextmanager
def _opened(config: Config) -> Iterator[tuple[Config, Store, SystemReader]]:
    limits = {"connect_timeout_seconds": _LIMIT_SECONDS, "statement_timeout_seconds": _LIMIT_SECONDS}
    store = Store(config.postgresql.model_copy(update=limits), config.lease, size=1, name=_NAME)
    store.start()
    reader = SystemReader(store, config.rabbitmq, _NAME, config.routes)
    try:
        yield config, store, reader
    finally:
        reader.close()
        store.stop()


def _watch(config: Config, store: Store, reader: SystemReader, every_seconds: float, read_only: bool) -> None:
    _speak_utf8()
    actions = Actions(store, config, _NAME, socket.gethostname())
    feed = ConsoleFeed(reader, store.reads, actions.act, every_seconds)
    feed.start()
    try:
        show(Screen(None if read_only else feed.act), feed)
    except KeyboardInterrupt:
        return
    finally:
        feed.stop()
        actions.close()


def _check_terminal() -> None:
    """Raise NoTerminal if there is no terminal, or if its type is unknown here or cannot move the cursor."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NoTerminal("the console needs a terminal; print one reading without it: dtqs console --once")
    name = os.environ.get("TERM", "")
    try:
        curses.setupterm(name, sys.stdout.fileno())
        able = curses.tigetstr("cup") is not None
    except curses.error:
        able = False
    if not able:
        raise NoTerminal(
            f"TERM={name}: the console cannot draw on this type of terminal; try: TERM=xterm-256color dtqs console"
        )


def _speak_utf8() -> None:
    """Switch to UTF-8 for lines and bars. Current terminals show it even under another locale."""
    locale.setlocale(locale.LC_ALL, "")
    if locale.getpreferredencoding(False).upper().replace("-", "") != "UTF8":
        os.environ["LC_ALL"] = "C.UTF-8"


def _print(reading: Reading, as_json: bool) -> int:
    if as_json:
        print_json(dataclasses.asdict(reading))
    else:
        good = reading if reading.totals is not None else None
        width = shutil.get_terminal_size((_ONCE_WIDTH, 24)).columns
        snapshot = Snapshot(reading, good)
        lines = overview(snapshot, width, _ONCE_HEIGHT, snapshot.database_time(time.time()))
        for line in lines.shown(0, len(lines)):
            click.echo(fit(line, width).text.rstrip())
    return 1 if reading.alarms else 0
