"""The connection string of PostgreSQL: a message names the fault, and shows no part of the string."""

import pytest
from pydantic import SecretStr

from dtqs.config import PostgresqlSection
from dtqs.errors import ConfigError
from dtqs.store.checkup import reach
from dtqs.store.driver.database import Database
from dtqs.store.driver.dsn import dsn_problem
from dtqs.store.driver.schema import unfit
from dtqs.store.sessions import look_at_sessions

NEITHER = "postgres//dtqs:S3cret@db/dtqs"


@pytest.mark.parametrize(
    ("dsn", "told"),
    [
        (NEITHER, "neither as a URL nor as options"),
        ('"postgresql://dtqs:S3cret@db/dtqs"', "no quotes around it"),
        ("postgresql://dtqs:S3%cret@db/x", "cannot read this URL"),
        ("postgresql://dtqs:S3cret@db/x?S3cret", "cannot read this URL"),
        ("postgresql://dtqs:S3/cret@db/x", "cut at the wrong place"),
        ("postgresql://dtqs:S3@cret@db/x", "cut at the wrong place"),
        ("postgresql://dtqs:S3cret@db:S3/x", "a port is not a number"),
        ("postgresql://dtqs:S3cret@db:99999/x", "a port is not a number"),
        ("postgresql://dtqs:S3cret@node-1..example.org/x", "a part of the host name is empty"),
        (f"host=one,{'s' * 64}.org password=S3cret", "a part of the host name is empty"),
        ("host=one,two port=1,2,3", "2 hosts and 3 ports"),
        ("host=db password='S3cret", "neither as a URL nor as options"),
        ("host=db password=S3 cret=x", "neither as a URL nor as options"),
        ("host=db password=S3cret\udc80", "neither as a URL nor as options"),
    ],
)
def test_a_message_names_the_fault_and_shows_no_part(dsn: str, told: str) -> None:
    problem = dsn_problem(dsn)
    assert problem
    assert told in problem
    assert not any(part in problem for part in ("S3", "cret", "db/", "sss", "node-1"))


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://dtqs:S3%40c%2Fret@db.example.org:5432/dtqs",
        "postgres://one:5432,two:5433/dtqs?target_session_attrs=read-write",
        "postgresql://dtqs:what?#@[::1]/dtqs",
        "postgresql:///dtqs?host=/run/postgresql&user=dtqs@server",
        "host=/run/postgresql dbname=dtqs",
        "host=bücher.example password='a b'",
        "host=one,two port=5432",
        "service=dtqs",
        "dbname=dtqs",
    ],
)
def test_a_string_that_libpq_can_use_is_accepted(dsn: str) -> None:
    assert dsn_problem(dsn) is None


def test_no_caller_gives_the_driver_a_string_that_it_would_quote() -> None:
    section = PostgresqlSection(dsn=SecretStr(NEITHER))
    for call in (
        lambda: reach(section, "test"),
        lambda: unfit(section),
        lambda: look_at_sessions(section, "test"),
        lambda: Database(section, 1, "test"),
    ):
        with pytest.raises(ConfigError, match=r"^\[postgresql\] dsn: libpq reads it neither") as caught:
            call()
        assert "S3cret" not in str(caught.value)
