"""Fixture `trial`: running systems with short times and task types that misbehave, for tests that break things."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from tests.support.fix_servers import drop
from tests.support.fix_system import Sections
from tests.support.outside import OUTSIDE
from tests.support.trial import Trial, install_processors

Try = Callable[..., Trial]


@pytest.fixture
def trial(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Try]:
    """Make a running system with short times: `trial({"pool:default": {"workers": 1}}, api=True)`.

    Without `api` tests submit through the store. The systems of a test share a database and a virtual host.
    """
    made: list[Trial] = []
    packages = install_processors(tmp_path / "packages")

    remains = ExitStack()

    # The fixtures dsn and amqp_url would end before the system's processes, which then wait for lost servers.
    @cache
    def own_dsn() -> str:
        found = str(request.getfixturevalue("new_dsn")())
        admin_dsn = OUTSIDE.postgresql_dsn or request.getfixturevalue("postgres").admin_dsn
        remains.callback(drop, admin_dsn, found)
        return found

    @cache
    def own_vhost() -> str:
        vhosts = request.getfixturevalue("vhosts")
        found = str(vhosts.make())
        remains.callback(vhosts.delete, found)
        return found

    def make(
        config: Sections | None = None, *, dsn: str = "", amqp_url: str = "", api: bool = False, supervisor: bool = True
    ) -> Trial:
        folder = tmp_path / f"system-{len(made)}"
        one = Trial(folder, dsn or own_dsn(), amqp_url or own_vhost(), config or {}, packages)
        made.append(one)
        if supervisor:
            one.start_supervisor()
        if api:
            one.start_api()
        return one

    with remains:
        yield make
        for one in made:
            one.stop()
