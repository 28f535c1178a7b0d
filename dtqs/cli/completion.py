"""The command completion: prints what makes a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion of commands and options for a shell.

    \b
      eval "$(dtqs completion bash)"                                      # in ~/.bashrc
      eval "$(dtqs completion zsh)"                                       # in ~/.zshrc, after compinit
      dtqs completion fish > ~/.config/fish/completions/dtqs.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(click.Group("dtqs"), {}, "dtqs", "_DTQS_COMPLETE").source())
