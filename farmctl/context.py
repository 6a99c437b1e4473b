"""What one call of the command line knows: which node, how to print, how to reach and how to wait.

The options that all commands share are accepted before and after the command's name; the later one wins. Outside
things (the connection, clocks, waiting) are attributes, so that tests put their own in place.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import click

from farmctl.forms import ColourMode, Format, ProgressMode
from protocol.errors import Starting

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from farmctl.output import Printer
    from farmctl.progress import Progress

PATIENCE_S = 10.0
"""How long a node may take for an answer; an acknowledgement by a peer takes 2 s of it, a log from afar 5 s."""


class Caller(Protocol):
    """A connection to one node; `protocol.client.Client` is one."""

    def call(self, op: str, /, **args: Any) -> Any:
        """Ask one thing.

        Raises:
            UserError: What the node says, or that it does not answer.
        """
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


def connect(target: str | None, timeout_s: float) -> Caller:
    """Open a connection with the client library, which is loaded only now.

    Raises:
        UserError: There is no node, or it cannot be reached.
    """
    from protocol.client import Client

    client: Caller = Client(target, timeout_s)
    return client


def wait_s(seconds: float) -> None:
    """Wait where there is no fact to wait for (between two tries to reach a node)."""
    threading.Event().wait(seconds)


@dataclass(slots=True)
class Session:
    """One call of the command line.

    Attributes:
        node: HOST:PORT or data dir of the node to talk to; None finds one on this machine.
        output: How data is printed; None is a table.
        quiet: Bare ids, and nothing else that is not an error.
        debug: Show a traceback with errors.
        progress: How waiting is shown; None decides by the terminal.
        color: When output is coloured; None decides by the terminal.
        chosen: The filter by which the things to change are chosen, instead of ids; "" if none is.
        dry_run: Check everything, change nothing.
        yes: Questions are answered already.
        no_input: Nobody is to be asked.
        connect: Opens connections.
        now_ms: The wall clock, for ages.
        clock: A clock that only goes forward, in seconds.
        pause: Waits for some seconds.
        patience_s: How long a node may take for an answer.
    """

    node: str | None = None
    output: str | None = None
    quiet: bool = False
    debug: bool = False
    progress: str | None = None
    color: str | None = None
    chosen: str = ""
    dry_run: bool = False
    yes: bool = False
    no_input: bool = False
    connect: Callable[[str | None, float], Caller] = connect
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = wait_s
    patience_s: float = PATIENCE_S
    _client: Caller | None = field(default=None, repr=False)
    _has_bar: bool = field(default=False, repr=False)

    def call(self, op: str, /, **args: Any) -> Any:
        """Ask the node one thing; the connection is opened with the first one.

        Raises:
            UserError: What the node says, or that it does not answer.
        """
        try:
            with self._notice(f"asking {self.node or 'the node of this machine'} …"):
                return self._ask(op, args)
        except Starting:  # nothing was asked: there was no connection
            from farmctl.patience import when_up

            with self._notice(f"the daemon of {self.node or 'this machine'} is starting …"):
                self._client = when_up(self)
            return self._ask(op, args)

    def _notice(self, text: str) -> AbstractContextManager[object]:
        """Make the line that is shown while something takes long, where somebody looks."""
        if not self._may_tell:
            return nullcontext()
        from farmctl.patience import Notice

        return Notice(sys.stderr, text)

    def _ask(self, op: str, args: dict[str, Any]) -> Any:
        if self._client is None:
            self._client = self.connect(self.node, self.patience_s)
        return self._client.call(op, **args)

    @property
    def _may_tell(self) -> bool:
        """Whether a person looks, and no bar stands where a line would go."""
        wanted = self.progress in (None, ProgressMode.AUTO, ProgressMode.TTY)
        if self.quiet or self._has_bar or not wanted or not sys.stderr.isatty():
            return False
        from farmctl.progress import is_terminal

        return is_terminal(sys.stderr)

    def begin_transfer(self) -> None:
        """Make sure that the node is there, before minutes are spent on hashing; then give it time to move files.

        Raises:
            UserError: It does not answer.
        """
        from farmctl.links import TRANSFER_S

        self.call("farm.status")
        self.close()
        self.patience_s = TRANSFER_S

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def format(self) -> Format:
        """How data is printed."""
        return Format(self.output) if self.output else Format.NAME if self.quiet else Format.TABLE

    @property
    def printer(self) -> Printer:
        """Where data goes."""
        from farmctl.output import Printer

        return Printer(self.format, self.now_ms())

    def progress_line(self, *, shown: bool = True) -> Progress:
        """Make the thing that shows how far something is; one that shows nothing where something else does."""
        self._has_bar = True
        silent = self.quiet or not shown
        mode = ProgressMode.NONE if silent else ProgressMode(self.progress or ProgressMode.AUTO)
        from farmctl.progress import Progress

        return Progress(mode, sys.stderr, self.clock)

    def note(self, text: str) -> None:
        """Tell a person something that is not data."""
        if not self.quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Tell a person something that must be known even with -q."""
        click.echo(text, err=True)


pass_session = click.make_pass_decorator(Session, ensure=True)


def _store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value not in (None, False):
        setattr(ctx.ensure_object(Session), str(param.name), value)


def session_option(*names: str, **kwargs: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a decorator for an option that is kept in the session, under its own name."""
    return click.option(*names, callback=_store, expose_value=False, **kwargs)


def _store_form(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Session).output = value


def _store_json(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Session).output = Format.JSON.value


def _store_colour(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Session).color = value
        set_colour(ctx, value)


def set_colour(ctx: click.Context, mode: str) -> None:
    """Let all that this call prints be coloured, or nothing, or what the terminal wants; click reads it from there."""
    wish = {ColourMode.ALWAYS: True, ColourMode.NEVER: False}.get(ColourMode(mode))
    step: click.Context | None = ctx
    while step is not None:
        step.color, step = wish, step.parent


def _complete_targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
    from farmctl.completing import complete_targets  # which imports this module

    return complete_targets(ctx, param, incomplete)


def common_options(*, formats: bool = True, environment: bool = False) -> list[click.Option]:
    """Make the options that all commands share.

    Args:
        formats: With -o and --json.
        environment: Read the environment too; only at the root, so that it never beats an option given there.
    """

    def option(*names: str, env: str | None = None, **kwargs: Any) -> click.Option:
        kwargs = {"callback": _store, "expose_value": False, "envvar": env if environment else None, **kwargs}
        return click.Option(list(names), **kwargs)

    options = [
        option(
            "--node",
            env="FARM_NODE",
            metavar="HOST:PORT|DIR",
            shell_complete=_complete_targets,
            help="Node to talk to, by address or data dir.",
        ),
        option("-q", "--quiet", is_flag=True, help="Print bare ids, and nothing else but errors."),
        option(
            "--progress",
            env="FARM_PROGRESS",
            type=click.Choice([mode.value for mode in ProgressMode]),
            help="How waiting is shown: a bar, plain lines, or not at all.",
        ),
        option(
            "--color",
            env="FARM_COLOR",
            type=click.Choice([mode.value for mode in ColourMode]),
            callback=_store_colour,
            help="When output is coloured; auto: on a terminal, unless NO_COLOR is set.",
        ),
        option("--debug", env="FARM_DEBUG", is_flag=True, help="Show a traceback with errors."),
    ]
    if formats:
        kinds = click.Choice([item.value for item in Format])
        options[1:1] = [
            # Not called "output": click keeps one value per name, and submit has an --output of its own.
            option("-o", "form", env="FARM_OUTPUT", type=kinds, callback=_store_form, help="How data is printed."),
            option("--json", "as_json", is_flag=True, callback=_store_json, help="The same as -o json."),
        ]
    return options
