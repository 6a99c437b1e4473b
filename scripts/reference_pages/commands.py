"""Pages about the command lines, drawn from the commands themselves and not from the help that click lays out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from farmctl.cli import cli as farmctl
from farmctl.context import common_options
from farmctl.lazy import Tree
from farmd.cli import main as farmd
from scripts.reference_pages.markdown import code, page, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SHARED: Final = {option.name for option in common_options()} | {"help", "version"}


def pages() -> dict[str, str]:
    """Draw these pages, by file name."""
    return {"farmd.md": _farmd(), "farmctl.md": _farmctl()}


def _farmd() -> str:
    context = click.Context(farmd, info_name="farmd", **farmd.context_settings)
    parts = [_text(farmd), _options(farmd.params)]
    for name, command, inner in _walk(farmd, context):
        parts += [f"## {name}", *_command(command, inner)]
    return page("farmd", *parts)


def _farmctl() -> str:
    context = click.Context(farmctl, info_name="farmctl", **farmctl.context_settings)
    shared = [option for option in farmctl.params if option.name in _SHARED]
    parts = [_text(farmctl), "## Options of all commands", _options(shared)]
    done: dict[int, str] = {}
    for name, command, inner in _walk(farmctl, context):
        parts.append(f"## {name}")
        if id(command) in done:
            parts.append(f"The same as `{done[id(command)]}`.")
            continue
        done[id(command)] = name
        parts += _command(command, inner)
    return page("farmctl", *parts)


def _walk(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    for name in group.list_commands(context) if isinstance(group, Tree) else group.commands:
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, context, name, **command.context_settings)
        if isinstance(command, click.Group):
            yield from _walk(command, inner)
        else:
            yield inner.command_path, command, inner


def _command(command: click.Command, context: click.Context) -> list[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    examples = "\n".join(getattr(command, "examples", ()))
    own = [param for param in command.params if param.name not in _SHARED or isinstance(param, click.Argument)]
    return [
        _text(command),
        f"```sh\n{usage}\n```",
        *([f"Examples:\n\n```sh\n{examples}\n```"] if examples else []),
        *([_options(own)] if any(isinstance(param, click.Option) for param in own) else []),
    ]


def _text(command: click.Command) -> str:
    """Return the command's text; a block with click's mark for it is left as it is laid out."""
    blocks = (command.help or "").split("\n\n")
    return "\n\n".join(_block(block) for block in blocks)


def _block(block: str) -> str:
    mark, _, rest = block.partition("\n")
    if mark.strip() not in ("\b", r"\b"):
        return " ".join(block.split())
    title, _, lines = rest.partition("\n")
    return f"{title.strip()}\n\n```sh\n" + "\n".join(line.strip() for line in lines.splitlines()) + "\n```"


def _options(params: Iterable[click.Parameter]) -> str:
    rows = [_option(param) for param in params if isinstance(param, click.Option) and not param.hidden]
    return table(("option", "meaning"), rows)


def _option(option: click.Option) -> tuple[str, str]:
    names = ", ".join([*option.opts, *option.secondary_opts])
    meaning = [option.help or ""]
    if not option.is_flag:
        kind = option.type
        value = "|".join(kind.choices) if isinstance(kind, click.Choice) else option.metavar or kind.name.upper()
        names += f" {value}"
        if option.show_default and option.default not in (None, ()):
            meaning.append(f"Default: {option.default}.")
    if isinstance(option.envvar, str):
        meaning.append(f"Environment: {option.envvar}.")
    return code(names), " ".join(filter(None, meaning))
