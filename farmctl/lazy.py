"""Commands that are loaded when they are run, and how help is laid out.

`farmctl --help` must answer before zmq, pydantic or textual could be loaded, so the tree of commands is data: a name,
where its object is, one line of help. Only the command that is run is imported. Every command opens its help with
examples and ends it with the options that all commands share.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from farmctl.context import common_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Leaf(NamedTuple):
    """A command that is loaded when it is run: `module:object`, one line of help, the heading that it stands under."""

    place: str
    line: str
    heading: str = "Commands"


class Branch(NamedTuple):
    """A noun with its verbs; `alone` is the verb that the noun means by itself, none = its help."""

    line: str
    leaves: Mapping[str, Leaf]
    examples: Sequence[str]
    heading: str = "Commands"
    alone: str = ""


class Verb(click.Command):
    """A command with examples, and with the options that all commands share.

    Attributes:
        examples: Whole command lines; the first lines of the help.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), formats: bool = True, **kwargs: Any) -> None:
        kwargs["context_settings"] = _SETTINGS | kwargs.get("context_settings", {})
        super().__init__(*args, **kwargs)
        self.examples = examples
        self._shared = common_options(formats=formats)
        self.params = [*self.params, *self._shared]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples first, then what the command does."""
        write_examples(self.examples, formatter)
        super().format_help_text(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first, then those that all share."""
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                (shared if param in self._shared or param.name == "help" else own).append(record)
        for title, records in (("Options", own), ("Common options", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Tree(click.Group):
    """A group whose commands are data; knows their names and help without loading them."""

    def __init__(
        self,
        *args: Any,
        tree: Mapping[str, Leaf | Branch],
        examples: Sequence[str] = (),
        alone: str = "",
        **kwargs: Any,
    ) -> None:
        kwargs["context_settings"] = _SETTINGS
        super().__init__(*args, **kwargs)
        self.tree = tree
        self.examples = examples
        self.alone = alone

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words that follow; without any, the verb that the noun means by itself."""
        return super().parse_args(ctx, args or ([self.alone] if self.alone else []))

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names, in the order of the table."""
        return list(self.tree)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # the same
        """Load one command."""
        found = self.tree.get(cmd_name)
        if found is None:
            return None
        if isinstance(found, Branch):
            return Tree(
                cmd_name,
                tree=found.leaves,
                examples=found.examples,
                alone=found.alone,
                help=found.line,
                no_args_is_help=not found.alone,
            )
        module, _, name = found.place.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the one that was probably meant.

        Raises:
            NoSuchCommand: There is none of this name.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=self.tree, ctx=ctx) from error

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples first, then what the group is."""
        write_examples(self.examples, formatter)
        super().format_help_text(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # the same
        """Write the commands under their headings, from the table alone."""
        for heading in dict.fromkeys(item.heading for item in self.tree.values()):
            with formatter.section(heading):
                formatter.write_dl([(name, item.line) for name, item in self.tree.items() if item.heading == heading])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[click.shell_completion.CompletionItem]:
        """Complete a name from the table alone."""
        items = [
            click.shell_completion.CompletionItem(name, help=item.line)
            for name, item in self.tree.items()
            if name.startswith(incomplete)
        ]
        return items or click.Command.shell_complete(self, ctx, incomplete)


def write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    """Write example command lines, never wrapped: they are there to be copied."""
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")
