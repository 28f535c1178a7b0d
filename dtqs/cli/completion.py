"""The command `completion`."""

import json

import click
from click.shell_completion import get_completion_class

from dtqs.cli.options import json_option

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
def completion(shell: str, as_json: bool) -> None:
    """Print the script that completes commands and options in a shell.

    \b
      eval "$(dtqs completion bash)"                                      # in ~/.bashrc
      eval "$(dtqs completion zsh)"                                       # in ~/.zshrc, after compinit
      dtqs completion fish > ~/.config/fish/completions/dtqs.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    script = found(click.Group("dtqs"), {}, "dtqs", "_DTQS_COMPLETE").source()
    click.echo(json.dumps({"shell": shell, "script": script}) if as_json else script)
