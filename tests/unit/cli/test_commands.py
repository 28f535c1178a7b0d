"""The group of commands: quick help, lazily loaded commands, and exit statuses."""

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from dtqs.cli import COMMANDS, GROUPS, main
from dtqs.cli.options import exit_status
from dtqs.client import ApiRefusal, ApiUnavailable, WaitOver
from dtqs.client.answers import problem_words
from dtqs.errors import BrokerUnavailable, ConfigError, DtqsError, LeaseLost, NotFound, StoreUnavailable

HEAVY = ("httpx", "rich", "psycopg", "pika", "PIL", "falcon", "gevent")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_can_be_loaded_and_has_a_help_text(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


def below(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the command's path and those of the commands below it."""
    yield path
    for name, each in command.commands.items() if isinstance(command, click.Group) else ():
        yield from below(each, (*path, name))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_examples_of_a_command_use_only_its_options(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command
    texts = {
        path: CliRunner().invoke(main, [*path, "--help"], terminal_width=200).output for path in below(command, (name,))
    }
    known = {option for text in texts.values() for option in re.findall(r"--[a-z-]+", text.partition("Options:")[2])}
    for path, text in texts.items():
        examples = [
            line.partition("|")[0] for line in text.splitlines() if re.match(r" {4}.*dtqs " + " ".join(path), line)
        ]
        assert examples, path
        assert {option for example in examples for option in re.findall(r"--[a-z-]+", example)} <= known, path


def test_a_file_that_this_user_may_not_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def mails() -> None:
        raise PermissionError(13, "Permission denied", "/var/mail/\x1b")

    monkeypatch.setattr(type(main), "get_command", lambda *_: mails)
    result = CliRunner().invoke(main, ["mails"])
    assert (result.exit_code, result.stderr) == (77, "/var/mail/\\x1b: Permission denied\n")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_number_of_seconds_is_nan_and_only_waits_are_endless(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    options = [each for one in commands for each in one.params if isinstance(each.type, click.types.FloatParamType)]
    for option in options:
        is_endless = option.name == "wait_seconds" and name != "migrate"
        for text in ("nan", "-inf", "-1", *(() if is_endless else ("inf", "1e999"))):
            with pytest.raises(click.UsageError):
                option.type.convert(text, option, None)
        assert not is_endless or option.type.convert("inf", option, None) == math.inf


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"up", "down"}))
def test_every_command_takes_the_configuration_file(name: str) -> None:
    assert "--config PATH" in CliRunner().invoke(main, [name, "--help"]).output


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"supervisor", "keeper", "api"}))
def test_every_command_that_prints_data_prints_it_as_json_too(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command
    for path in below(command, (name,)):
        shown = CliRunner().invoke(main, [*path, "--help"]).output
        assert "--json" in shown or "COMMAND [ARGS]" in shown, path


@pytest.mark.parametrize(
    ("arguments", "key"),
    [(["completion", "fish"], "script"), (["config", "default"], "api"), (["config", "reference"], "postgresql")],
)
def test_a_command_that_prints_a_file_prints_an_object_with_json(arguments: list[str], key: str) -> None:
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)[key]


def test_help_names_every_command() -> None:
    assert sorted(name for _, names in GROUPS for name in names) == sorted(COMMANDS)
    output = CliRunner().invoke(main, ["--help"]).output
    assert all(f"  {name} " in output for name in COMMANDS)


def test_help_imports_no_driver() -> None:
    program = (
        "import sys; from dtqs.cli import main; main(['--help'], standalone_mode=False); "
        f"sys.exit([m for m in {HEAVY!r} if m in sys.modules] or 0)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["submit", "task", "tasks", "cancel", "retry", "logs"])
def test_a_command_over_the_api_imports_no_driver_of_a_server(name: str) -> None:
    """Protect scripts: a driver costs each command half a second of processor time, pydantic or rich a tenth."""
    program = (
        f"import sys; from dtqs.cli import main; main([{name!r}, '--help'], standalone_mode=False); print(*sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    loaded = set(result.stdout.splitlines()[-1].split())
    assert "dtqs.client" in loaded
    drivers = {"psycopg", "psycopg_pool", "pika", "gevent", "dtqs.store", "dtqs.broker", "dtqs.readings"}
    assert not loaded & (drivers | {"pydantic", "rich", "pygments", "asyncio", "tenacity", "PIL", "falcon"})


@pytest.mark.parametrize("name", ["ctl", "health", "completion", "down"])
def test_a_command_on_this_machine_imports_nothing_heavy(name: str) -> None:
    program = (
        f"import sys; from dtqs.cli import main; main([{name!r}, '--help'], standalone_mode=False); print(*sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert not set(result.stdout.splitlines()[-1].split()) & {*HEAVY, "pydantic", "asyncio", "dtqs.config"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(shell: str) -> None:
    assert f"_DTQS_COMPLETE={shell}_complete" in CliRunner().invoke(main, ["completion", shell]).output


def test_a_shell_completes_commands_and_options() -> None:
    def completed(words: str) -> str:
        environment = {
            "_DTQS_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
        result = CliRunner().invoke(main, [], prog_name="dtqs", env=environment)
        return result.output

    assert completed("dtqs ta").split() == ["plain,task", "plain,tasks"]
    assert "--failed" in completed("dtqs retry --f")


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["sumbit"])
    assert result.exit_code == 2
    assert "No such command 'sumbit'" in result.output


def test_an_error_of_dtqs_is_reported_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def failing() -> None:
        raise ConfigError(["first\x1b[2J", "second"])

    monkeypatch.setattr("dtqs.cli.migrate.migrate", failing)
    result = CliRunner().invoke(main, ["migrate"])
    assert (result.exit_code, result.output) == (os.EX_CONFIG, "first\\x1b[2J\nsecond\n")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError(["x"]), os.EX_CONFIG),
        (StoreUnavailable("x"), os.EX_UNAVAILABLE),
        (BrokerUnavailable("x"), os.EX_UNAVAILABLE),
        (ApiUnavailable("x"), os.EX_UNAVAILABLE),
        (ApiUnavailable("x", os.EX_TEMPFAIL), os.EX_TEMPFAIL),
        (WaitOver(), os.EX_TEMPFAIL),
        (ApiRefusal("x", 422), 2),
        (ApiRefusal("x", 401), os.EX_NOPERM),
        (NotFound("key", "x"), 2),
        (LeaseLost("x"), os.EX_SOFTWARE),
    ],
)
def test_errors_have_their_exit_status(error: DtqsError, status: int) -> None:
    assert exit_status(error) == status


def test_a_problem_document_is_printed_with_each_field_on_a_line() -> None:
    errors = [{"field": "payload.a", "message": "x"}, {"field": "priority", "message": "y"}]
    problem = {"title": "Unprocessable Entity", "detail": "2 fields are wrong", "errors": errors}
    assert problem_words(problem, "") == "Unprocessable Entity: 2 fields are wrong\n  payload.a: x\n  priority: y"
    assert problem_words(None, "the API answered 502") == "the API answered 502"
    assert problem_words({"errors": ["odd", {}]}, "the API answered 400") == "the API answered 400\n  ?: "


def test_the_help_of_key_create_names_each_scope() -> None:
    output = CliRunner().invoke(main, ["key", "create", "--help"], terminal_width=200).output
    assert "one or more of submit, read, metrics, admin" in output
