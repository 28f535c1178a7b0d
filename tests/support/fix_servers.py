"""Fixtures: PostgreSQL and RabbitMQ for the session, a fresh database and virtual host for each test.

`own_postgres` and `own_rabbitmq` are servers that one test may kill. Variables name other servers (outside.py); then
tests that ask for one of the server objects here do not run (marker `backend`).
"""

import secrets
import select
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import errors, sql
from pydantic import SecretStr

from dtqs.config import PostgresqlSection
from dtqs.deadline import Deadline
from dtqs.sandbox.ports import free_ports
from dtqs.sandbox.postgres import PrivatePostgres
from dtqs.sandbox.rabbitmq import NODE, PrivateRabbitmq
from dtqs.store.driver.schema import migrate
from tests.support.helpers import eventually
from tests.support.outside import OUTSIDE, OutsideVhosts

_READY_SECONDS = 60.0
_TEMPLATE = "dtqs_template"
# Reads one name of a virtual host a line, makes it (or deletes it, after a minus) and prints "ok".
# This takes milliseconds; rabbitmqctl takes seconds.
_VHOSTS = """
Node = '%s', true = net_kernel:connect_node(Node),
Loop = fun(Loop) -> case io:get_line("") of eof -> halt(); {error, _} -> halt(); Line ->
    case string:trim(Line) of
        "-" ++ Name -> ok = rpc:call(Node, rabbit_vhost, delete, [list_to_binary(Name), <<"tests">>]);
        Name -> Vhost = list_to_binary(Name),
            ok = rpc:call(Node, rabbit_vhost, add, [Vhost, <<"tests">>]),
            ok = rpc:call(Node, rabbit_auth_backend_internal, set_permissions,
                [<<"dtqs">>, Vhost, <<".*">>, <<".*">>, <<".*">>, <<"tests">>])
    end, io:format("ok~n"), Loop(Loop) end end,
Loop(Loop).
"""


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    """A folder that the servers' own users can reach. As root, pytest's folders are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="dtqs-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(servers_dir: Path) -> Iterator[PrivatePostgres]:
    """The session's PostgreSQL; tests must not stop or freeze it."""
    yield from _postgres(servers_dir / "postgresql")


@pytest.fixture(scope="session")
def rabbitmq(servers_dir: Path) -> Iterator[PrivateRabbitmq]:
    """The session's RabbitMQ; tests must not stop or freeze it."""
    yield from _rabbitmq(servers_dir / "rabbitmq")


@pytest.fixture
def own_postgres(servers_dir: Path) -> Iterator[PrivatePostgres]:
    """A PostgreSQL for this test alone, which may kill and freeze it; its database has the schema."""
    for server in _postgres(servers_dir / f"postgresql-{secrets.token_hex(4)}"):
        migrate(PostgresqlSection(dsn=SecretStr(server.dsn)))
        yield server


@pytest.fixture
def own_rabbitmq(servers_dir: Path) -> Iterator[PrivateRabbitmq]:
    """A RabbitMQ for this test alone, which may kill and freeze it. Its start takes five seconds."""
    yield from _rabbitmq(servers_dir / f"rabbitmq-{secrets.token_hex(4)}")


def _postgres(directory: Path) -> Iterator[PrivatePostgres]:
    server = PrivatePostgres(directory, free_ports(1)[0])
    try:
        server.start()
        server.wait_ready(Deadline(_READY_SECONDS))
        yield server
    finally:
        server.thaw()
        server.stop()


def _rabbitmq(directory: Path) -> Iterator[PrivateRabbitmq]:
    port, distribution_port, epmd_port = free_ports(3)
    server = PrivateRabbitmq(directory, port, distribution_port, epmd_port)
    try:
        server.start()
        server.wait_ready(Deadline(_READY_SECONDS))
        yield server
    finally:
        server.thaw()
        server.stop()


@pytest.fixture(scope="session")
def new_dsn(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Make a database with the schema, as a copy of one that is migrated once.

    All databases go at the session's end, those of a private server with it.
    """
    dsn = OUTSIDE.postgresql_dsn or request.getfixturevalue("postgres").dsn
    # several processes of a run may share a server
    template, made = f"{_TEMPLATE}_{secrets.token_hex(6)}", []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(template)))
    migrate(PostgresqlSection(dsn=SecretStr(_named(dsn, template))))

    def make() -> str:
        made.append(f"test_{secrets.token_hex(6)}")
        # a new connection, since a test may have killed the server
        with psycopg.connect(dsn, autocommit=True) as connection:
            _copy_template(connection, template, made[-1])
        return _named(dsn, made[-1])

    yield make
    if OUTSIDE.postgresql_dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for name in (*made, template):
                _drop(connection, name)


@pytest.fixture
def dsn(new_dsn: Callable[[], str], request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh database with the schema."""
    made = new_dsn()
    admin_dsn = OUTSIDE.postgresql_dsn or request.getfixturevalue("postgres").admin_dsn
    yield made
    drop(admin_dsn, made)


def drop(admin_dsn: str, dsn: str) -> None:
    """Drop a database that a test has used."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        _drop(connection, dsn.rpartition("/")[2])


def _drop(connection: "psycopg.Connection[tuple[object, ...]]", name: str) -> None:
    def is_dropped() -> bool:
        with suppress(errors.InsufficientPrivilege):  # only an administrator may end an autovacuum in that database
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            return True
        return False

    eventually(is_dropped, 10, f"database {name} is dropped")


def _copy_template(connection: "psycopg.Connection[tuple[object, ...]]", template: str, name: str) -> None:
    connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    # a template does not include the settings of `ALTER ROLE … IN DATABASE … SET`
    settings = connection.execute(
        "SELECT r.rolname, unnest(s.setconfig) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole"
        " JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = %s",
        [template],
    )
    for role, setting in settings.fetchall():
        key, _, value = str(setting).partition("=")
        statement = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}")
        connection.execute(
            statement.format(sql.Identifier(str(role)), sql.Identifier(name), sql.Identifier(key), sql.Literal(value))
        )


def _named(dsn: str, database: str) -> str:
    return urlsplit(dsn)._replace(path=f"/{database}").geturl()


class VhostMaker:
    """Makes and deletes virtual hosts of the session's broker."""

    def __init__(self, broker: PrivateRabbitmq) -> None:
        self._broker = broker
        command = [
            "erl",
            "-noshell",
            "-hidden",
            "-sname",
            "tests@localhost",
            "-start_epmd",
            "false",
            "-kernel",
            "inet_dist_use_interface",
            "{127,0,0,1}",
        ]
        self._shell = subprocess.Popen(
            broker.as_server(*command, "-eval", _VHOSTS % NODE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=broker.environment(),
            cwd=broker.directory,
        )

    def make(self) -> str:
        """Return the URL of a new virtual host."""
        name = f"test_{secrets.token_hex(6)}"
        self._say(name)
        return f"{self._broker.url.removesuffix('%2F')}{name}"

    def delete(self, url: str) -> None:
        self._say(f"-{url.rpartition('/')[2]}")

    def close(self) -> None:
        with suppress(BrokenPipeError):
            self._shell.communicate("", timeout=10)

    def _say(self, line: str) -> None:
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.write(f"{line}\n")
        answered = select.select([self._shell.stdout], [], [], 20)[0]
        answer = self._shell.stdout.readline() if answered else "nothing"
        assert answer == "ok\n", f"the broker did not do {line!r}: {answer!r}"


Vhosts = VhostMaker | OutsideVhosts


@pytest.fixture(scope="session")
def vhosts(request: pytest.FixtureRequest) -> Iterator[Vhosts]:
    maker = OutsideVhosts(OUTSIDE) if OUTSIDE.rabbitmq_url else VhostMaker(request.getfixturevalue("rabbitmq"))
    yield maker
    maker.close()


@pytest.fixture
def amqp_url(vhosts: Vhosts) -> Iterator[str]:
    """A fresh virtual host, without queues and with the broker's default exchanges only."""
    url = vhosts.make()
    yield url
    vhosts.delete(url)
