"""How things look: runs of text with the name of a style, made from the tables of `protocol.states`.

A run names its style by a word (running, muted, …); the widget that draws it asks the style sheet what that is. So view
models know no colour, a theme changes all of it at once, and a glyph with a word stands beside every colour.

Called by the columns, the grid and the pages; must not import textual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from protocol.human import cell_width, printable
from protocol.states import JOB_LOOKS, NODE_LOOKS, TASK_LOOKS, ColourGroup, JobState, Look, NodeState, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_K = TypeVar("_K", bound=str)

STYLES: Final = (
    "plain",
    "muted",
    "strong",
    "accent",
    "warning",
    "alarm",
    "chosen",
    "title",
    "found",
    *[group.value for group in ColourGroup],
)
"""Every word that a run may name; the style sheet has one rule for each."""
CUT: Final = "…"


class Run(NamedTuple):
    """A piece of text in one style."""

    text: str
    style: str = "plain"


Runs = tuple[Run, ...]


def plain(text: object) -> Runs:
    """Make a run of anything; nothing becomes no run, and what could move the cursor is replaced."""
    return (Run(printable(str(text))),) if text not in (None, "") else ()


def styled(text: object, style: str) -> Runs:
    """Make a run in a style."""
    return (Run(printable(str(text)), style),) if text not in (None, "") else ()


def text_of(runs: Iterable[Run]) -> str:
    """Return the text alone."""
    return "".join(run.text for run in runs)


def width_of(runs: Iterable[Run]) -> int:
    """Return how many cells the runs take."""
    return sum(cell_width(run.text) for run in runs)


def cut(text: str, width: int) -> str:
    """Shorten a text to so many cells; an ellipsis says that something is missing."""
    if width <= 0:
        return ""
    if text.isascii():
        return text if len(text) <= width else text[: width - 1] + CUT
    if cell_width(text) <= width:
        return text
    kept, room = [], width - 1
    for letter in text:
        room -= cell_width(letter)
        if room < 0:
            break
        kept.append(letter)
    return "".join(kept) + CUT


def fitted(runs: Runs, width: int, *, right: bool = False) -> Runs:
    """Cut runs to a width, or fill them up to it."""
    taken, shown = 0, []
    for at, run in enumerate(runs):
        size = cell_width(run.text)
        if taken + size > width or (taken + size == width and any(later.text for later in runs[at + 1 :])):
            shown.append(Run(cut(run.text + (CUT if size < width - taken + 1 else ""), width - taken), run.style))
            taken = sum(cell_width(part.text) for part in shown)
            break
        shown.append(run)
        taken += size
    fill = Run(" " * max(0, width - taken))
    return (fill, *shown) if right else (*shown, fill)


def _look(looks: Mapping[_K, Look], kind: Callable[[str], _K], word: str) -> Look | None:
    try:
        return looks[kind(word)]
    except ValueError:
        return None


def job_look(word: str) -> Look | None:
    """Return how a job's state looks; None for a word that a newer node made up."""
    return _look(JOB_LOOKS, JobState, word)


def node_look(word: str) -> Look | None:
    """Return how a machine's state looks; None for a word that a newer node made up."""
    return _look(NODE_LOOKS, NodeState, word)


def task_look(word: str) -> Look | None:
    """Return how a task's state looks; None for a word that a newer node made up."""
    return _look(TASK_LOOKS, TaskState, word)


def state_runs(look: Look | None, word: str) -> Runs:
    """Write a state: glyph and word in the colour of its group."""
    if look is None:
        return (Run(f"? {printable(word)}", "muted"),)
    return (Run(f"{look.glyph} {word}", look.group.value),)


def bar_runs(parts: Iterable[tuple[int, str]], total: int, width: int) -> Runs:
    """Draw a stacked bar: each part with its own mark and colour, so that it reads without colour too.

    Args:
        parts: Counts with the style word of each; what is missing to the total stays empty.
        total: What the whole width stands for.
        width: Cells.
    """
    runs: list[Run] = []
    done, drawn = 0, 0
    for count, style in parts:
        done += count
        cells = 0 if total <= 0 else min(width, done * width // total) - drawn
        if count > 0 and cells <= 0 and drawn < width and style != ColourGroup.COMPLETED:
            cells = 1  # one failed frame among thousands must be seen
        if cells > 0:
            runs.append(Run(BAR_MARKS.get(style, "█") * cells, style))
            drawn += cells
    if drawn < width:
        runs.append(Run("·" * (width - drawn), "muted"))
    return tuple(runs)


BAR_MARKS: Final = {ColourGroup.COMPLETED.value: "█", ColourGroup.RUNNING.value: "▒", ColourGroup.FAILED.value: "▚"}
