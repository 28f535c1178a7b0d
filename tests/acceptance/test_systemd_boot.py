"""bin/install and the units in systemd/, on a server that boots: install, reload, crash, restart, upgrade, power-off.

The tests share one server and run in this order; each leaves it with its services running.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.support.booted import SITE, SOURCE, BootedServer, obstacle
from tests.support.helpers import eventually

WORKER, API = "dtqs-worker.service", "dtqs-api.service"

pytestmark = pytest.mark.skipif(bool(obstacle()), reason=f"no server can be booted here: {obstacle()}")


@pytest.fixture(scope="module")
def empty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BootedServer]:
    one = BootedServer(tmp_path_factory.mktemp("server"))
    try:
        one.boot()
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def server(empty_server: BootedServer) -> BootedServer:
    empty_server.install()
    return empty_server


@dataclass
class Load:
    """The answers to submits; filled when the load has ended."""

    answers: dict[str, int] = field(default_factory=dict)


@contextmanager
def load(server: BootedServer, and_end: bool = True) -> Iterator[Load]:
    """Submit tasks all the time. After it, wait until all of them, or all but one, have an outcome."""
    stop, seen = "/run/stop-submits", Load()
    server.output("rm", "-f", stop, f"{stop}.begun")
    program = f"{SOURCE}/tests/support/steady_submits.py"
    client = server.start("/opt/dtqs/current/bin/python", program, stop, "/etc/dtqs/admin.key")
    try:
        eventually(lambda: server.run("test", "-e", f"{stop}.begun").returncode == 0, 60, "submits are answered")
        yield seen
    finally:
        server.output("touch", stop)
        output, _ = client.communicate(timeout=300)
    seen.answers = json.loads(output)
    left = "0" if and_end else "1"
    eventually(lambda: server.sql("SELECT count(*) FROM tasks WHERE outcome IS NULL") == left, 60, "the tasks end")


def attempts(server: BootedServer) -> str:
    """Return each number of attempts that a task has spent, with its outcome."""
    query = "SELECT DISTINCT attempts, outcome FROM tasks ORDER BY 1, 2"
    return server.sql(query)


def test_a_wrong_option_installs_nothing(empty_server: BootedServer) -> None:
    done = empty_server.run(f"{SOURCE}/bin/install", "--remove")
    assert done.returncode == 64
    assert "bin/install --uninstall" in done.stderr
    assert empty_server.run("test", "-e", "/opt/dtqs").returncode == 1


def test_an_installed_server_runs_tasks(server: BootedServer) -> None:
    assert server.is_active(WORKER)
    assert server.is_active(API)
    assert server.dtqs("submit", "echo", "hello=world", "--wait") == '{\n  "hello": "world"\n}'
    photo = f"source=@{SOURCE}/docs/media/rocket.jpg"
    assert "400 × 267" in server.dtqs("submit", "image", photo, "outputs.0.name=small", "outputs.0.width=400", "--wait")


def test_secrets_are_for_root_alone(server: BootedServer) -> None:
    secrets = ("admin.key", "postgresql.dsn", "rabbitmq.url")
    listed = server.output("stat", "-c", "%n %U %a", *(f"/etc/dtqs/{name}" for name in secrets))
    assert listed.splitlines() == [f"/etc/dtqs/{name} root 600" for name in secrets]


def test_a_second_installation_changes_nothing(server: BootedServer) -> None:
    before = server.main_pid(WORKER), server.main_pid(API), server.output("cat", "/etc/dtqs/postgresql.dsn")
    output = server.install()
    assert "This version is installed already" in output
    assert before == (server.main_pid(WORKER), server.main_pid(API), server.output("cat", "/etc/dtqs/postgresql.dsn"))


def test_a_reload_of_the_workers_under_load_spends_no_attempt(server: BootedServer) -> None:
    before = server.main_pid(WORKER)
    with load(server) as seen:
        set_in_ini(server, "workers", "3")
        server.output("systemctl", "reload", WORKER)
        assert "rolling restart done" in server.journal(WORKER), "the command waits for the end"
        assert server.sql("SELECT count(*) FROM workers WHERE dead_at IS NULL AND state <> 'draining'") == "3"
    assert set(seen.answers) == {"202"}
    assert server.main_pid(WORKER) == before
    assert attempts(server) == "1|completed"


def test_a_reload_with_a_wrong_file_is_refused_and_changes_nothing(server: BootedServer) -> None:
    before = server.sql("SELECT id FROM workers WHERE dead_at IS NULL ORDER BY 1")
    set_in_ini(server, "workers", "many")
    assert server.run("systemctl", "reload", WORKER).returncode != 0
    assert "not reloaded" in server.output("systemctl", "show", "-P", "StatusText", WORKER)
    assert "[pool:default] workers = 'many'" in server.journal(WORKER)
    assert server.sql("SELECT id FROM workers WHERE dead_at IS NULL ORDER BY 1") == before
    set_in_ini(server, "workers", "2")
    server.output("systemctl", "reload", WORKER)
    assert "not reloaded" not in server.output("systemctl", "show", "-P", "StatusText", WORKER)


def test_an_installation_that_the_workers_refuse_leaves_them_alone(server: BootedServer) -> None:
    """Root can open the log file, so `dtqs config check` passes. The user of the service cannot."""
    before = server.main_pid(WORKER), server.main_pid(API)
    server.output("touch", "/opt/dtqs/restart-needed")
    server.output("sed", "-i", "s|^file =.*|file = /root/dtqs.log|", "/etc/dtqs/dtqs.ini")
    done = server.run(f"{SOURCE}/bin/install", timeout_seconds=200, SITE_PACKAGES=SITE)
    assert (done.returncode, "did not reload (status 78)" in done.stderr) == (69, True), done.stdout + done.stderr
    assert "/root/dtqs.log" in done.stderr
    assert (server.main_pid(WORKER), server.main_pid(API)) == before
    server.output("sed", "-i", "s|^file =.*|file =|", "/etc/dtqs/dtqs.ini")
    assert "Reloading the workers" in server.install()
    assert server.main_pid(WORKER) == before[0]


def test_a_new_password_reaches_the_services_with_the_next_installation(server: BootedServer) -> None:
    """systemd copies passwords at the start of a service, so a reload would keep the old one."""
    before = server.main_pid(WORKER), server.main_pid(API)
    server.output("rm", "/etc/dtqs/postgresql.dsn")
    output = server.install()
    assert "Restarting the workers" in output
    assert {server.main_pid(WORKER), server.main_pid(API)}.isdisjoint(before)
    for unit in (WORKER, API):
        server.output("cmp", "/etc/dtqs/postgresql.dsn", f"/run/credentials/{unit}/dsn")
    server.dtqs("submit", "echo", "new=password", "--wait")


def starts(server: BootedServer) -> list[float]:
    """Return the times at which systemd started the API, in seconds."""
    told = server.output("journalctl", "-u", API, "--no-pager", "-o", "short-unix")
    return [float(line.split()[0]) for line in told.splitlines() if "Starting dtqs-api" in line]


def test_connections_do_not_start_an_api_with_a_wrong_file_without_end(server: BootedServer) -> None:
    """A connection that waits in the socket starts the API again at once, in spite of RestartPreventExitStatus."""
    set_in_ini(server, "ticket_seconds", "many")
    assert server.run("systemctl", "restart", API).returncode != 0
    before = len(starts(server))
    server.output("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080")
    eventually(lambda: len(starts(server)) >= before + 2, 60, "the waiting connection starts the API twice")
    first, second = starts(server)[before : before + 2]
    assert second - first > 9
    set_in_ini(server, "ticket_seconds", "86400")
    server.output("systemctl", "restart", API)
    server.dtqs("submit", "echo", "right=again", "--wait")


def test_a_restart_of_both_servers_under_load_spends_no_attempt(server: BootedServer) -> None:
    before = server.main_pid(WORKER), server.main_pid(API)
    with load(server) as seen:
        server.output("systemctl", "restart", "postgresql.service", "rabbitmq-server.service", timeout_seconds=120)
        eventually(lambda: server.run("dtqs", "doctor").returncode == 0, 60, "every part works again")
    # 503 asks the client to submit again: PostgreSQL was away
    assert set(seen.answers) <= {"202", "503"}
    assert (server.main_pid(WORKER), server.main_pid(API)) == before
    assert attempts(server) == "1|completed"


def node_id(server: BootedServer) -> str:
    """Return the identity of the node that the unit of the workers runs."""
    return server.output("head", "-n", "1", "/var/lib/dtqs/node-0/id")


def test_a_killed_supervisor_is_started_again_as_the_same_node(server: BootedServer) -> None:
    before, node = server.main_pid(WORKER), node_id(server)
    server.output("systemctl", "kill", "--kill-whom=main", "-s", "KILL", WORKER)
    eventually(lambda: server.main_pid(WORKER) not in (0, before) and server.is_active(WORKER), 60, "a new supervisor")
    server.dtqs("submit", "echo", "after=kill", "--wait")
    assert node_id(server) == node, "the unit lets the supervisor read the boot id"


def test_the_watchdog_restarts_a_supervisor_that_stands_still(server: BootedServer) -> None:
    folder = f"/run/systemd/system/{WORKER}.d"
    server.output("sh", "-c", f"mkdir -p {folder} && printf '[Service]\\nWatchdogSec=5\\n' >{folder}/short.conf")
    server.output("systemctl", "daemon-reload")
    server.output("systemctl", "restart", WORKER)
    before = server.main_pid(WORKER)
    server.output("systemctl", "kill", "--kill-whom=main", "-s", "STOP", WORKER)
    eventually(lambda: server.main_pid(WORKER) not in (0, before) and server.is_active(WORKER), 60, "a new supervisor")
    assert "Watchdog timeout" in server.journal(WORKER)
    # until the next test restarts it, it keeps the short watchdog
    server.output("rm", "-r", folder)
    server.output("systemctl", "daemon-reload")


def submit_sleep(server: BootedServer, seconds: float) -> str:
    """Submit a task that sleeps, wait until a worker runs it, and return its id."""
    task = server.dtqs("submit", "echo", f"sleep_seconds={seconds}")
    running = f"SELECT status FROM task_status WHERE id = '{task}'"
    eventually(lambda: server.sql(running) == "in_progress", 30, "a worker runs the task")
    return task


def test_a_stop_finishes_a_short_task_and_gives_back_a_long_one(server: BootedServer) -> None:
    set_in_ini(server, "drain_seconds", "6")
    set_in_ini(server, "faults", "on")
    set_in_ini(server, "workers", "2")
    server.output("systemctl", "restart", WORKER, API)
    long, short = submit_sleep(server, 600), submit_sleep(server, 2)
    server.output("systemctl", "stop", WORKER)
    seen = "SELECT attempts, status FROM task_status WHERE id = '{}'"
    assert server.sql(seen.format(short)) == "1|completed"
    assert server.sql(seen.format(long)) == "0|pending"
    server.output("systemctl", "start", WORKER)
    server.dtqs("cancel", long)


def test_a_power_off_spends_no_attempt(server: BootedServer) -> None:
    long = submit_sleep(server, 600)
    server.power_off()
    server.boot()
    seen = f"SELECT attempts, status FROM task_status WHERE id = '{long}'"
    eventually(lambda: server.is_active(WORKER) and server.is_active(API), 60, "the services start at boot")
    eventually(lambda: server.sql(seen) == "0|in_progress", 60, "the task runs again")
    server.dtqs("cancel", long)


def set_in_ini(server: BootedServer, key: str, value: str) -> None:
    server.output("sed", "-i", f"s/^{key} = .*/{key} = {value}/", "/etc/dtqs/dtqs.ini")


def test_an_upgrade_refuses_no_connection_and_spends_no_attempt(server: BootedServer) -> None:
    """It restarts the API, whose socket stays, and reloads the workers."""
    parts = "bin conf docs dtqs migrations systemd schema.sql setup.py pyproject.toml README.md LICENSE MANIFEST.in"
    server.output("sh", "-c", f"mkdir /root/new && cd {SOURCE} && cp -R {parts} /root/new")
    server.output("sed", "-i", 's/^__version__ = .*/__version__ = "99.0.0"/', "/root/new/dtqs/__init__.py")
    before = server.main_pid(WORKER), server.main_pid(API)
    long = submit_sleep(server, 600)
    with load(server, and_end=False) as seen:
        output = server.install("/root/new")
    assert "Reloading the workers" in output
    assert "Restarting the workers" not in output
    assert set(seen.answers) == {"202"}
    assert server.sql("SELECT DISTINCT attempts FROM tasks WHERE outcome = 'completed'") == "1"
    assert server.main_pid(WORKER) == before[0]
    assert server.main_pid(API) != before[1]
    assert "version=99.0.0" in server.journal(WORKER)
    log = f"SELECT count(*) FROM logs WHERE task_id = '{long}' AND event = 'in_progress'"
    assert server.sql(f"SELECT status FROM task_status WHERE id = '{long}'") == "in_progress"
    assert server.sql(log) == "1", "the long task has begun once"
    server.dtqs("cancel", long)
    assert server.output("dtqs", "--version") == "dtqs, version 99.0.0"


def test_an_uninstallation_leaves_the_data(server: BootedServer) -> None:
    output = server.output(f"{SOURCE}/bin/install", "--uninstall", timeout_seconds=120)
    assert "/var/lib/dtqs" in output
    assert server.run("test", "-e", "/opt/dtqs").returncode == 1
    assert server.run("systemctl", "cat", WORKER).returncode != 0
    assert int(server.sql("SELECT count(*) FROM tasks")) > 0
    server.output("test", "-s", "/etc/dtqs/postgresql.dsn", "-a", "-d", "/var/lib/dtqs/files")
