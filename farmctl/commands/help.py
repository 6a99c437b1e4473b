"""`farmctl help`: topics, and the help of any command by its words."""

from __future__ import annotations

import click

from farmctl.lazy import Tree, Verb
from farmctl.output import fields
from protocol.errors import NotFound
from protocol.human import nearest_word


def complete_words(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Offer topics and the first words of commands."""
    from farmctl.cli import TREE
    from farmctl.topics import TOPICS

    return [name for name in (*TOPICS, *TREE) if name.startswith(incomplete)]


@click.command(
    "help", cls=Verb, formats=False, examples=("farmctl help", "farmctl help filters", "farmctl help job retry")
)
@click.argument("words", nargs=-1, metavar="[TOPIC | COMMAND...]", shell_complete=complete_words)
@click.pass_context
def show_help(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Explain a topic, or a command; without words, list both."""
    from farmctl.topics import TOPICS

    root = ctx.find_root()
    if not words:
        click.echo(root.get_help())
        click.echo("\nTopics (farmctl help TOPIC):")
        for line in fields((name, topic.line) for name, topic in TOPICS.items()):
            click.echo(f"  {line}")
    elif len(words) == 1 and words[0] in TOPICS:
        click.echo(TOPICS[words[0]].text())
    else:
        click.echo(_help_of(root, words))


def _help_of(root: click.Context, words: tuple[str, ...]) -> str:
    """Return the help of a command.

    Raises:
        NotFound: There is none of these words.
    """
    from farmctl.topics import TOPICS

    context = root
    for word in words:
        group = context.command
        command = group.get_command(context, word) if isinstance(group, Tree) else None
        if command is None:
            known = [*(group.tree if isinstance(group, Tree) else ()), *(TOPICS if context is root else ())]
            meant = nearest_word(word, known)
            hint = f"did you mean {meant}?" if meant else "farmctl help lists commands and topics"
            raise NotFound(f"no help for {' '.join(words)!r}", f"{word!r} is no command and no topic", hint, code=2)
        context = click.Context(command, context, word, **command.context_settings)
    return context.get_help()
