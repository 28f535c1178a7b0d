"""Fixture `trial`: running systems with short times and task types that misbehave, for tests that break things."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.fix_system import Sections
from tests.support.trial import Trial, install_processors

Try = Callable[..., Trial]


@pytest.fixture
def trial(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Try]:
    """Make a running system with short times: `trial({"pool:default": {"workers": 1}}, api=True)`.

    Without `api` tests submit through the store.
    """
    made: list[Trial] = []
    packages = install_processors(tmp_path / "packages")

    def make(
        config: Sections | None = None, *, dsn: str = "", amqp_url: str = "", api: bool = False, supervisor: bool = True
    ) -> Trial:
        dsn = dsn or request.getfixturevalue("dsn")
        amqp_url = amqp_url or request.getfixturevalue("amqp_url")
        one = Trial(tmp_path / f"system-{len(made)}", dsn, amqp_url, config or {}, packages)
        made.append(one)
        if supervisor:
            one.start_supervisor()
        if api:
            one.start_api()
        return one

    yield make
    for one in made:
        one.stop()
