"""The question before many tasks are changed."""

import click
import pytest
from click.testing import CliRunner

from dtqs.cli import main
from dtqs.cli.bulk import confirm


@click.command()
def asking() -> None:
    confirm("cancel 3 tasks?")
    click.echo("cancelled")


@pytest.fixture
def _asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(main), "get_command", lambda *_: asking)


@pytest.mark.usefixtures("_asking")
@pytest.mark.parametrize("answer", ["n\n", "\n", ""], ids=["no", "the default", "Ctrl-D"])
def test_any_answer_but_yes_changes_nothing_and_is_no_failure_of_a_task(answer: str) -> None:
    result = CliRunner().invoke(main, ["cancel"], input=answer)
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.endswith("\nnothing was changed\n")


@pytest.mark.usefixtures("_asking")
def test_ctrl_c_at_the_question_ends_with_its_own_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise click.Abort  # click's answer to Ctrl-C in a prompt

    monkeypatch.setattr(click, "confirm", interrupt)
    result = CliRunner().invoke(main, ["cancel"])
    assert (result.exit_code, result.stderr) == (130, "\nnothing was changed\n")


@pytest.mark.usefixtures("_asking")
def test_yes_goes_on() -> None:
    result = CliRunner().invoke(main, ["cancel"], input="y\n")
    assert (result.exit_code, result.stdout) == (0, "cancelled\n")
