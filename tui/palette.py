"""What ctrl-p finds: every command of the command line, jobs and machines by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from textual.command import DiscoveryHit, Hit, Provider

from protocol.errors import UserError
from protocol.human import printable
from tui.commands import COMMANDS
from tui.looks import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from textual.command import Hits

    from tui.app import Dashboard
    from tui.orders import Chosen

_MOST: Final = 400
"""Jobs that are looked through, the newest ones: the palette answers each key at once."""


class FarmCommands(Provider):
    """Commands, jobs, machines."""

    _chosen: Chosen | None = None

    @property
    def _dashboard(self) -> Dashboard:
        from tui.app import Dashboard

        assert isinstance(self.app, Dashboard)
        return self.app

    async def startup(self) -> None:
        """Note what is chosen: a command is about that, wherever the cursor is when the command was found."""
        self._chosen = self._dashboard.front.chosen()

    async def discover(self) -> Hits:
        """Offer the commands before anything is typed."""
        for name, line, run in self._commands():
            yield DiscoveryHit(name, run, help=line)

    async def search(self, query: str) -> Hits:
        """Offer what matches."""
        matcher = self.matcher(query)
        for name, line, run in (*self._commands(), *self._rows()):
            score = max(matcher.match(name), 0.8 * matcher.match(line))
            if score > 0:
                yield Hit(score, matcher.highlight(name), run, text=name, help=line)

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], None]]]:
        read_only = self._dashboard.console_model.read_only
        for command in COMMANDS.values():
            if not (command.changes and read_only):
                run = self._ask if command.needs else self._run
                yield command.name, command.line, partial(run, command.name)

    def _rows(self) -> Iterator[tuple[str, str, Callable[[], None]]]:
        console = self._dashboard.console_model
        for key in list(console.jobs.rows)[-_MOST:]:
            row = console.jobs.rows[key]
            yield (
                f"job {printable(str(row.get('name')))}",
                f"{key}, {row.get('state')}",
                partial(self._run, f"job {key}"),
            )
        for key, row in list(console.nodes.rows.items())[:_MOST]:
            yield f"machine {printable(str(row.get('name')))}", str(row.get("state")), partial(self._run, f"node {key}")

    def _run(self, text: str) -> None:
        try:
            self._dashboard.run_command(text, self._chosen or self._dashboard.front.chosen())
        except UserError as error:
            self._dashboard.tell((Run(error.what, "failed"),))

    def _ask(self, name: str) -> None:
        self._dashboard.front.ask_command(f"{name} ", self._chosen)
