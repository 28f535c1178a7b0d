"""The command `migrate` without a database: options that exclude each other, and a refused connection."""

import os

from click.testing import CliRunner

from dtqs.cli import main

AWAY = {"DTQS_POSTGRESQL_DSN": "postgresql://x@127.0.0.1:1/x"}


def test_plan_and_wait_exclude_each_other() -> None:
    result = CliRunner().invoke(main, ["migrate", "--wait", "3", "--plan"], env=AWAY)
    assert result.exit_code == 2
    assert "give --plan or --wait, not both" in result.output


def test_a_refused_connection_is_one_line_without_escapes() -> None:
    for arguments in ([], ["--plan"], ["--wait", "0"]):
        result = CliRunner().invoke(main, ["migrate", *arguments], env=AWAY)
        assert result.exit_code == os.EX_UNAVAILABLE
        (line,) = result.output.splitlines()
        assert "Connection refused" in line
        assert "\\t" not in line
