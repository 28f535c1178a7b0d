"""Fixture `serve`: starts any number of mail servers for a test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.mail_server import MailServerUnderTest

Serve = Callable[..., MailServerUnderTest]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    made: list[MailServerUnderTest] = []

    def start(**options: Any) -> MailServerUnderTest:
        made.append(MailServerUnderTest(tmp_path, **options))
        made[-1].start()
        return made[-1]

    yield start
    for server in made:
        server.end()
