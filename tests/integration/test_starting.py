"""The checks of `dtqs api` before its start, on a real database."""

import os
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dtqs.api.access.secret import FILE_NAME
from dtqs.api.server.checking import API_VARIABLE
from dtqs.cli import main
from dtqs.cli.starting import check_api
from dtqs.config import Config, load
from dtqs.errors import ConfigError
from dtqs.store.workers import ProcessTotals
from dtqs.uuid7 import uuid7
from tests.support.fix_store import World


@pytest.fixture
def hosts(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Hosts":
    world.execute("DELETE FROM settings WHERE name = 'api_secret'")
    return Hosts(world, tmp_path, monkeypatch)


class Hosts:
    """Hosts on one database, each with a name."""

    def __init__(self, world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._world, self._folder, self._monkeypatch = world, folder, monkeypatch

    def _variables(self, host: str) -> dict[str, str]:
        dsn = self._world.section.dsn.get_secret_value()
        return {"DTQS_POSTGRESQL_DSN": dsn, "DTQS_SUPERVISOR_STATE_DIR": str(self._folder / host)}

    def config(self, host: str) -> Config:
        return load(None, self._variables(host))

    def take(self, host: str, file: Path) -> None:
        """Give the host this secret."""
        folder = self.config(host).supervisor.state_dir
        folder.mkdir()
        copy = folder / FILE_NAME
        copy.write_text(file.read_text())
        copy.chmod(0o600)

    def config_check(self, host: str) -> Result:
        """Check as the API's master does before a reload."""
        self._monkeypatch.setattr(socket, "gethostname", lambda: host)
        variables = self._variables(host) | {API_VARIABLE: "1"}
        return CliRunner(env=variables).invoke(main, ["config", "check", "--schema"])

    def start(self, host: str, **variables: str) -> None:
        """Start as `dtqs api` does; its processes count from then on."""
        self._monkeypatch.setattr(socket, "gethostname", lambda: host)
        check_api(load(None, self._variables(host) | variables))
        self._world.store.workers.count(uuid7(), "api", host, ProcessTotals())


def test_a_host_with_another_secret_is_refused_while_the_other_one_runs(hosts: Hosts, world: World) -> None:
    hosts.start("ada")
    hosts.start("ada")
    with pytest.raises(
        ConfigError, match=r"api-secret: the API on ada signs .* with another secret.*copy the file of ada"
    ):
        hosts.start("bob")
    world.execute("UPDATE counters SET updated_at = now() - interval '1 minute'")
    hosts.start("bob")
    with pytest.raises(ConfigError, match="the API on bob"):
        hosts.start("ada")


def test_a_reload_with_another_secret_is_refused_while_another_host_runs_and_recorded_otherwise(
    hosts: Hosts, world: World
) -> None:
    hosts.start("ada")
    file = hosts.config("ada").supervisor.state_dir / FILE_NAME
    file.write_text("another secret of this host " * 2)
    hosts.take("bob", file)
    world.store.workers.count(uuid7(), "api", "bob", ProcessTotals())
    refused = hosts.config_check("ada")
    assert refused.exit_code == os.EX_CONFIG
    assert "to change the secret, stop the API on all hosts first" in refused.output
    world.execute("UPDATE counters SET updated_at = now() - interval '1 minute' WHERE node_name = 'bob'")
    assert hosts.config_check("ada").exit_code == os.EX_OK
    world.execute("UPDATE counters SET updated_at = now()")
    hosts.start("bob")  # a restart with the secret of the reload


def test_a_host_that_beats_slowly_counts_as_running(hosts: Hosts, world: World) -> None:
    hosts.start("ada")
    world.execute("UPDATE counters SET updated_at = now() - interval '1 minute'")
    with pytest.raises(ConfigError, match="the API on ada"):
        hosts.start("bob", DTQS_LEASE_HEARTBEAT_SECONDS="60", DTQS_LEASE_LEASE_SECONDS="180")


def test_hosts_with_the_same_secret_start(hosts: Hosts) -> None:
    hosts.start("ada")
    hosts.take("bob", hosts.config("ada").supervisor.state_dir / FILE_NAME)
    hosts.start("bob")
    hosts.start("ada")
