"""The console in a real terminal: tabs, keys, actions, sizes, hostile text, server outages, and a printed reading."""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from dtqs.sandbox.postgres import PrivatePostgres
from dtqs.sandbox.rabbitmq import PrivateRabbitmq
from tests.support.fix_system import Factory, System
from tests.support.helpers import eventually
from tests.support.terminal import Terminal

HOSTILE = "\x1b[2J\x1b]0;owned\x07电影🎬"


def console(system: System, folder: Path, *options: str, columns: int = 80, rows: int = 24) -> Terminal:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "dtqs", "console", "--every", "0.5", *options]
    environment = {"DTQS_CONFIG": str(system.config_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    return Terminal(folder, command, environment, columns, rows)


@pytest.fixture
def busy(system: Factory) -> System:
    """A system with a task in each state, and 10,000 that wait behind long ones."""
    one = system()
    one.wait_for(one.submit({"fail": "permanent"}))
    one.submit_many(2, {"sleep_seconds": 600, "steps": 1000, "password": "geheim", "name": HOSTILE}, tags=[HOSTILE])
    eventually(lambda: len(one.rows("SELECT 1 FROM leases")) == 2, 20, "both workers are busy")
    one.submit_many(10_000)
    one.submit(priority=9, tags=["first"])
    one.submit(delay_seconds=3600, tags=["scheduled"])
    return one


def fitted(terminal: Terminal, columns: int, rows: int) -> list[str]:
    """Return the lines of the Overview once they fill a terminal of this size: the first line ends at the edge.

    The last line has the keys. A slow server may show an error there for a moment, which is not a fault of the drawing.
    """
    lines = terminal.screen().rstrip("\n").split("\n")
    whole = (
        len(lines) == rows
        and lines[0].startswith(" DTQS  1 Overview")
        and columns - 2 <= len(lines[0].rstrip()) <= columns
        and lines[-1].startswith(" ? help  q quit")
    )
    return lines if whole and any("Recent failures" in line for line in lines) else []


def test_the_console_shows_a_busy_system_and_acts_on_it(busy: System, tmp_path: Path) -> None:
    with console(busy, tmp_path / "tmux") as terminal:
        # the questions of ten seconds: health, present work, recent failures and their reasons
        screen = terminal.until("✓ healthy", "10,001 pending", "2 running", "1 later", "2 of 2 busy", "%", seconds=20)
        assert "the payload asks for a permanent" in screen
        terminal.press("2")
        screen = terminal.until("Next", "Later", "#first", "#scheduled")
        assert screen.index("#first") < screen.index("#scheduled")
        terminal.press("3")
        terminal.until("following", "progress")
        terminal.press("/")
        terminal.type("permanent")
        terminal.press("Enter")
        screen = terminal.until("matching “permanent”", "the payload asks", without="progress")
        # one task: secrets masked, hostile text visible and harmless
        terminal.press("2", "s", "s")
        terminal.until("status:in_progress", "2 found")
        terminal.press("Down", "Enter")
        screen = terminal.until("Payload", "•••", "电影🎬", "\\u001b[2J")
        assert "geheim" not in screen
        # actions
        terminal.press("c")
        terminal.until("cancel task", "y yes")
        terminal.press("y")
        terminal.until("cancelled   attempt 1")
        terminal.press("r", "y")
        terminal.until("submitted again as")
        assert busy.rows("SELECT count(*) FROM tasks WHERE retry_of IS NOT NULL") == [(1,)]
        # sizes
        for columns, rows in ((60, 15), (200, 60), (80, 24)):
            terminal.resize(columns, rows)
            terminal.press("1")
            drawn = partial(fitted, terminal, columns, rows)
            try:
                eventually(drawn, 15, f"a screen of {columns} × {rows}")
            except AssertionError as error:
                raise AssertionError(f"{error}; the screen:\n{terminal.screen()}") from None
        terminal.press("q")
        terminal.until("ended with 0")


def test_the_console_survives_servers_that_go_away_and_come_back(
    system: Factory, own_postgres: PrivatePostgres, own_rabbitmq: PrivateRabbitmq, tmp_path: Path
) -> None:
    one = system(dsn=own_postgres.dsn, amqp_url=own_rabbitmq.url, api=False, supervisor=False)
    with console(one, tmp_path / "tmux", "--read-only") as terminal:
        terminal.until("● PostgreSQL", "● RabbitMQ", "✗ no keeper is running")
        own_postgres.freeze()
        own_rabbitmq.kill()
        terminal.until("✗ PostgreSQL is away", "✗ RabbitMQ is away", "Backlog")
        # the screen does not wait for the reading
        terminal.press("2")
        terminal.until("Next", seconds=1)
        terminal.press("1")
        own_postgres.thaw()
        own_rabbitmq.start()
        terminal.until("● PostgreSQL", "● RabbitMQ", "✗ no keeper is running", without="is away", seconds=30)
        terminal.press("c", "q")
        terminal.until("ended with 0")


def test_console_once_prints_one_reading(busy: System) -> None:
    shown = busy.run("console", "--once")
    assert shown.returncode == 0, shown.stderr
    assert "10,001 pending" in shown.stdout
    assert shown.stdout.replace("\n", "").isprintable()
    reading = json.loads(busy.run("console", "--once", "--json").stdout)
    assert reading["depth"]["pending"] == 10_001
    assert reading["alarms"] == []
    assert "needs a terminal" in busy.run("console").stderr
    assert busy.supervisor is not None
    os.kill(busy.supervisor.pid, signal.SIGKILL)
    assert eventually(lambda: busy.run("console", "--once").returncode == 1, 20, "an alarm")
