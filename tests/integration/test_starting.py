"""The checks of `dtqs api` before its start, on a real database."""

import socket
from pathlib import Path

import pytest

from dtqs.api.access.secret import FILE_NAME
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

    def config(self, host: str) -> Config:
        dsn = self._world.section.dsn.get_secret_value()
        return load(None, {"DTQS_POSTGRESQL_DSN": dsn, "DTQS_SUPERVISOR_STATE_DIR": str(self._folder / host)})

    def start(self, host: str) -> None:
        """Start as `dtqs api` does; its processes count from then on."""
        self._monkeypatch.setattr(socket, "gethostname", lambda: host)
        check_api(self.config(host))
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


def test_hosts_with_the_same_secret_start(hosts: Hosts) -> None:
    hosts.start("ada")
    (hosts.config("bob").supervisor.state_dir).mkdir()
    there, here = (hosts.config(host).supervisor.state_dir / FILE_NAME for host in ("ada", "bob"))
    here.write_text(there.read_text())
    here.chmod(0o600)
    hosts.start("bob")
    hosts.start("ada")
