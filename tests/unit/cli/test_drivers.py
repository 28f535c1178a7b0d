"""Commands refuse an address that a driver cannot read. They name the setting, and show no secret."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner

from dtqs.cli import main
from dtqs.cli.serving import serve
from dtqs.cli.supervisor import _crew
from dtqs.config import Config, load
from dtqs.errors import ConfigError

DSN = "postgres//dtqs:S3cret@db/dtqs"
URL = "amqp://dtqs:S3cret@rabbit/%2F?frame_max=1000"


@pytest.mark.parametrize("command", [["config", "check"], ["migrate"], ["key", "list"], ["top"]])
def test_a_command_refuses_a_connection_string_that_libpq_cannot_read(command: list[str]) -> None:
    result = CliRunner(env={"DTQS_POSTGRESQL_DSN": DSN}).invoke(main, command)
    assert result.exit_code == 78
    assert "[postgresql] dsn: libpq reads it neither as a URL nor as options" in result.stderr
    assert "S3cret" not in result.output


def test_all_problems_are_told_at_once_with_their_places() -> None:
    result = CliRunner(env={"DTQS_POSTGRESQL_DSN": DSN, "DTQS_RABBITMQ_URL": URL}).invoke(main, ["config", "check"])
    assert result.exit_code == 78
    assert "environment DTQS_POSTGRESQL_DSN: [postgresql] dsn: " in result.stderr
    assert "environment DTQS_RABBITMQ_URL: [rabbitmq] url: parameter frame_max has a wrong value" in result.stderr
    assert "S3cret" not in result.output


def test_the_doctor_reports_the_address_as_a_fault_of_the_configuration() -> None:
    result = CliRunner(env={"DTQS_POSTGRESQL_DSN": DSN}).invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert "S3cret" not in result.output
    assert "neither as a URL" in " ".join(result.output.split())


def start_api(config: Config) -> None:
    serve(config, None)


def start_node(config: Config) -> None:
    _crew(config, with_workers=True)


@pytest.mark.parametrize("start", [start_api, start_node])
def test_a_service_does_not_start_with_such_an_address(start: Callable[[Config], None]) -> None:
    with pytest.raises(ConfigError, match=r"environment DTQS_POSTGRESQL_DSN: .* neither as a URL"):
        start(load(None, {"DTQS_POSTGRESQL_DSN": DSN}))
