"""The lines at the edges: where one is and how fresh it is (top), what the table shows (status), which keys there are (bottom)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from protocol.human import printable
from tui.keymap import Place
from tui.looks import Run, Runs
from tui.widgets.painting import RunBox, split_line

if TYPE_CHECKING:
    from textual.strip import Strip

VIEWS: Final = (
    (Place.OVERVIEW, "1", "Overview"),
    (Place.JOBS, "2", "Jobs"),
    (Place.NODES, "3", "Nodes"),
    (Place.EVENTS, "4", "Events"),
    (Place.FARM, "5", "Farm"),
)
_NARROW: Final = 100


class TopBar(RunBox):
    """Farm, views, connection."""

    def __init__(self) -> None:
        super().__init__([()], id="top")
        self._left: Runs = ()
        self._right: Runs = ()

    def say(self, place: Place, farm: str, standing: Runs, *, read_only: bool) -> None:
        """Show where one is, and how fresh that is."""
        narrow = self.size.width < _NARROW
        runs = [Run(f" {printable(farm) or 'farm'} ", "title")]
        if read_only:
            runs.append(Run(" read-only ", "warning"))
        for view, key, name in VIEWS:
            here = view is place
            runs.append(Run(" " if narrow else "  "))
            runs.append(Run(f"{key} ", "accent" if here else "muted"))
            runs.append(Run(name, "strong" if here else "muted"))
        self._left, self._right = tuple(runs), (*standing, Run(" "))
        self.show([split_line(self._left, self._right, max(1, self.content_size.width))])

    def render_line(self, y: int) -> Strip:
        """Draw it."""
        width = self.content_size.width
        return self.line(split_line(self._left, self._right, width) if y == 0 else (), width)


class StatusLine(RunBox):
    """What the table shows, or for some seconds what has just happened."""

    def __init__(self) -> None:
        super().__init__([()], id="status")
        self._message: Runs = ()
        self._until = 0.0

    def tell(self, message: Runs, now: float, for_s: float = 8.0) -> None:
        """Show a message for a while; an empty one takes the last away."""
        self._message, self._until = message, now + for_s if message else now

    def say(self, standing: Runs, now: float) -> None:
        """Show what the table shows, unless a message stands there."""
        if now < self._until:
            self.show([(Run(" "), *self._message)])
        else:
            self.show([(Run(" "), *standing)])


class BottomBar(RunBox):
    """The keys that matter most here."""

    def __init__(self) -> None:
        super().__init__([()], id="bottom")

    def say(self, keys: list[tuple[str, str]]) -> None:
        """Show these keys."""
        runs: list[Run] = []
        for key, word in keys:
            runs += [Run(f" {key} ", "strong"), Run(f"{word} ", "muted")]
        self.show([tuple(runs)])
