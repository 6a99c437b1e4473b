"""Small pictures side by side, each with two lines of words below: the test frames of a job, to be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from protocol.errors import UserError
from tui.halfblocks import Picture, draw
from tui.looks import Run, Runs, fitted
from tui.widgets.painting import Painting

if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS: Final = 2
LEAST_CELLS: Final = 18
GAP: Final = 2


@dataclass(slots=True)
class Shown:
    """One picture.

    Attributes:
        frame: Its number.
        words: Lines below it.
        data: The image file; None while it is not there.
        note: What stands in its place.
    """

    frame: int
    words: list[Runs]
    data: bytes | None = None
    note: str = ""
    _drawn: tuple[tuple[int, int], Picture] | None = field(default=None, repr=False)

    def picture(self, width: int, height: int) -> Picture | None:
        """Return the picture in so many cells; a fault becomes the note."""
        if self.data is None:
            return None
        if self._drawn is None or self._drawn[0] != (width, height):
            try:
                self._drawn = (width, height), draw(self.data, width, height)
            except UserError as error:
                self.data, self.note = None, f"{error.what}: {error.why}"
                return None
        return self._drawn[1]


class Pictures(Painting):
    """A row of pictures, as many as fit: always with the one that the cursor means."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self._shown: list[Shown] = []
        self._meant = 0
        self._first = 0

    def show(self, shown: Sequence[Shown], meant: int = 0) -> None:
        """Show these; `meant` is the number of the one that must be among them."""
        self._shown, self._meant = list(shown), meant
        self.refresh()

    def on_screen(self, width: int) -> list[Shown]:
        """Return those that fit into so many cells."""
        fitting = max(1, (width + GAP) // (LEAST_CELLS + GAP))
        last = max(0, len(self._shown) - fitting)
        self._first = min(max(self._first, self._meant - fitting + 1), self._meant, last)
        return self._shown[self._first : self._first + fitting]

    def render_line(self, y: int) -> Strip:
        """Draw one line through all pictures."""
        width, height = self.content_size.width, self.content_size.height
        if not self._shown:
            return self.line((Run("  no test frames", "muted"),) if y == 1 else (), width)
        shown = self.on_screen(width)
        wide = (width - GAP * (len(shown) - 1)) // max(1, len(shown))
        wide = min(wide, 3 * max(1, height - WORDS))  # a wide screen does not make flat pictures wider
        segments: list[Segment] = []
        for one in shown:
            segments += self._part(one, y, wide, height - WORDS)
            segments.append(Segment(" " * GAP, self.rich_style))
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _part(self, one: Shown, y: int, width: int, height: int) -> list[Segment]:
        picture = one.picture(width, height) if height > 0 else None
        high = len(picture.lines) if picture is not None else height
        if y >= high:
            words = one.words[y - high] if y - high < len(one.words) else ()
            return self.painted(fitted(words, width))
        if picture is None:
            note = one.note or "no picture yet"
            return self.painted(
                fitted((Run(note.center(width), "muted"),) if y == height // 2 else (Run("·" * width, "muted"),), width)
            )
        drawn = [
            Segment("▀", Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))
            for upper, lower in picture.lines[y]
        ]
        return [*drawn, Segment(" " * (width - picture.width), self.rich_style)]
