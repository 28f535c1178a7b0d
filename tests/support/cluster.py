"""A RabbitMQ cluster of three nodes, and a PostgreSQL with a synchronous standby; all on loopback."""

import functools
import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from dtqs.broker.topology import QUEUE
from dtqs.deadline import Deadline
from dtqs.sandbox.child import Account, make_folder, write_private
from dtqs.sandbox.ports import free_ports
from dtqs.sandbox.postgres import PrivatePostgres, binary
from dtqs.sandbox.rabbitmq import PrivateRabbitmq
from tests.matrix.trees import Tree
from tests.support.helpers import eventually
from tests.support.tree_rabbitmq import TreeRabbitmq

_NODES = 3
_READY_SECONDS = 60.0
_STANDBY = "standby"


class RabbitmqCluster:
    """Three nodes with one cookie, one user and one epmd. A node of another folder joins at its first start.

    `guarded`: with the settings that docs/servers.md recommends for a cluster, instead of RabbitMQ's own.
    """

    def __init__(self, directory: Path, tree: Tree | None = None, guarded: bool = False) -> None:
        epmd, *ports = free_ports(1 + 2 * _NODES)
        names = [f"dtqs{number}@localhost" for number in range(_NODES)]
        kind = functools.partial(TreeRabbitmq, tree) if tree else PrivateRabbitmq
        self.nodes = [
            kind(directory / name, port, distribution_port, epmd, node=name)
            for name, port, distribution_port in zip(names, ports[::2], ports[1::2], strict=True)
        ]
        password, cookie = secrets.token_hex(24), secrets.token_hex(24)
        for node in self.nodes:
            _prepare(node, names, password, cookie, guarded)

    @property
    def url(self) -> str:
        """A URL with all nodes."""
        head, _, _ = self.nodes[0].url.rpartition("@")
        return f"{head}@{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}/%2F"

    def start(self) -> None:
        """Start all nodes. They find each other."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_ready(Deadline(_READY_SECONDS))
        running = json.loads(self.nodes[0].ctl("cluster_status", "--formatter", "json"))["running_nodes"]
        assert len(running) == _NODES, f"the nodes have not found each other: {running}"

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.thaw()
            node.kill()
            node.stop()

    def home(self, vhost: str, quorum: bool) -> PrivateRabbitmq:
        """Return the node of the task queue's leader, or of the classic queue."""
        text = self.nodes[0].ctl(
            "list_queues", "-p", vhost, "name", "leader" if quorum else "pid", "--no-table-headers"
        )
        line = next(line for line in text.splitlines() if line.split("\t")[0] == QUEUE)
        return next(node for node in self.nodes if node.node in line)

    def holder(self, vhost: str, connection: str) -> PrivateRabbitmq:
        """Return the node of the connection with this name."""
        text = self.nodes[0].ctl("list_connections", "-p", vhost, "pid", "client_properties", "--no-table-headers")
        line = next(line for line in text.splitlines() if f'"{connection}"' in line)
        return next(node for node in self.nodes if node.node in line)

    def lead(self, vhost: str, node: PrivateRabbitmq) -> None:
        """Make a node the leader of the quorum queue."""
        key = f'rabbit_misc:r(<<"{vhost}">>, queue, <<"{QUEUE}">>)'
        move = f"rabbit_quorum_queue:transfer_leadership(Queue, '{node.node}')"
        self.nodes[0].ctl("eval", f"{{ok, Queue}} = rabbit_amqqueue:lookup({key}), {move}.")
        eventually(lambda: self.home(vhost, quorum=True) is node, 30, f"{node.node} leads")

    def vhost(self, name: str) -> str:
        """Make a virtual host and return its URL."""
        self.nodes[0].ctl("add_vhost", name)
        self.nodes[0].ctl("set_permissions", "-p", name, "dtqs", ".*", ".*", ".*")
        return f"{self.url.removesuffix('%2F')}{name}"


def _prepare(node: PrivateRabbitmq, names: Sequence[str], password: str, cookie: str, guarded: bool) -> None:
    """Write the password and the cookie that all nodes share, and the names of the nodes."""
    account = Account.choose("rabbitmq", "postgres")
    node.directory.mkdir(parents=True)
    write_private(node.directory / "password", password)
    make_folder(node.directory / "home", account)
    write_private(node.directory / "home" / ".erlang.cookie", cookie, account, 0o400)
    nodes = ",".join(f"'{name}'" for name in names)
    handling = ", {cluster_partition_handling, pause_minority}" if guarded else ""
    kernel = ", {kernel, [{net_ticktime, 8}]}" if guarded else ""
    text = f"[{{rabbit, [{{cluster_nodes, {{[{nodes}], disc}}}}{handling}]}}{kernel}].\n"
    write_private(node.directory / "advanced", text, account)


class PostgresPair:
    """A primary and a synchronous standby. `start` the primary first, then `follow` when it has the schema."""

    def __init__(self, directory: Path) -> None:
        self.primary, self.standby = (
            PrivatePostgres(directory / name, port)
            for name, port in zip(("primary", _STANDBY), free_ports(2), strict=True)
        )

    @property
    def dsn(self) -> str:
        """A DSN with both hosts, of which the client takes the one that accepts writes."""
        head, _, place = self.primary.dsn.rpartition("@")
        ports = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return f"{head}@{ports}/{place.rpartition('/')[2]}?target_session_attrs=read-write"

    def start(self) -> None:
        self.primary.start()
        self.primary.wait_ready(Deadline(_READY_SECONDS))

    def follow(self) -> None:
        """Copy the primary, start the copy as its standby, and let commits wait for it from now on."""
        account, folder = Account.choose("postgres"), self.standby.directory
        make_folder(folder, account, 0o755)
        for role in ("postgres", "dtqs"):
            shutil.copy2(self.primary.directory / f"{role}.password", folder)
        prefix = ["setpriv", *account.prefix(), "--"] if account else []
        source = f"{self.primary.admin_dsn}?application_name={_STANDBY}"
        arguments = ["-D", str(folder / "data"), "-d", source, "-R", "-X", "stream", "-c", "fast"]
        subprocess.run([*prefix, binary("pg_basebackup"), *arguments], check=True, timeout=60, cwd=folder)
        self.standby.start()
        self.standby.wait_ready(Deadline(_READY_SECONDS))
        with psycopg.connect(self.standby.admin_dsn, autocommit=True) as connection:
            # A promotion waits for the next try to reach the primary: 5 s by default.
            connection.execute("ALTER SYSTEM SET wal_retrieve_retry_interval = '200ms'")
            connection.execute("SELECT pg_reload_conf()")
        with psycopg.connect(self.primary.admin_dsn, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{_STANDBY}'")
            connection.execute("SELECT pg_reload_conf()")
            query = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
            eventually(lambda: connection.execute(query).fetchone(), 20, "the standby is synchronous")

    def halt_receiver(self) -> int:
        """Halt the standby's WAL receiver, and return its process: commits wait from now on."""
        with psycopg.connect(self.standby.admin_dsn, autocommit=True) as connection:
            row = connection.execute("SELECT pid FROM pg_stat_wal_receiver").fetchone()
        assert row
        os.kill(row[0], signal.SIGSTOP)
        return int(row[0])

    def waiting_commits(self) -> set[int]:
        """Return the server processes whose commits wait for the standby."""
        with psycopg.connect(self.primary.admin_dsn, autocommit=True) as connection:
            rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'").fetchall()
        return {row[0] for row in rows}

    def cut_short(self, function: str, processes: set[int]) -> None:
        """Call a function for each of the processes. The wait ends, and the commit stands on the primary alone."""
        query = sql.SQL("SELECT {}(pid) FROM unnest(%s) pid").format(sql.Identifier(function))
        with psycopg.connect(self.primary.admin_dsn, autocommit=True) as connection:
            connection.execute(query, [list(processes)])

    def lose_primary(self) -> None:
        """Kill the primary while the standby is stopped, and promote the standby as it is."""
        self.primary.kill()
        self.standby.start()
        self.standby.wait_ready(Deadline(_READY_SECONDS))
        self.promote()

    def promote(self) -> None:
        with psycopg.connect(self.standby.admin_dsn, autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")

    def stop(self) -> None:
        for server in (self.standby, self.primary):
            server.thaw()
            server.stop()
