"""`farmctl completion`: the script that makes a shell complete commands, options, job ids and machine names."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from farmctl.lazy import Verb
from farmctl.shells import register
from protocol.errors import UsageError

SHELLS: Final = ("bash", "zsh", "fish")


@click.command(
    "completion",
    cls=Verb,
    formats=False,
    examples=(
        'eval "$(farmctl completion bash)"        # in ~/.bashrc',
        'eval "$(farmctl completion zsh)"         # in ~/.zshrc',
        "farmctl completion fish > ~/.config/fish/completions/farmctl.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    register()
    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"no completion for {shell}", "this version of click does not know it", "use another shell")
    script = found(ctx.find_root().command, {}, "farmctl", "_FARMCTL_COMPLETE")
    click.echo(script.source_template % script.source_vars())
