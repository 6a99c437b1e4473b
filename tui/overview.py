"""What the first screen says: one word for the whole farm, five cards, the pace, and what needs a person.

Called by the overview screen; must not import textual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from protocol.farmword import farm_word
from protocol.human import counted, printable
from tui.looks import Run, Runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tui.columns import Row

BLOCKS: Final = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Card:
    """One of the five numbers."""

    title: str
    count: int
    style: str
    glyph: str
    filter: str


CARDS: Final = (
    ("total", "strong", "", ""),
    ("pending", "pending", "○", "state=pending"),
    ("running", "running", "◐", "state=running"),
    ("completed", "completed", "●", "state=completed"),
    ("failed", "failed", "✖", "state=failed"),
)


def cards(farm: Row) -> list[Card]:
    """Return the five cards of the jobs."""
    counts = farm.get("jobs") or {}
    return [Card(title, int(counts.get(title) or 0), style, glyph, wanted) for title, style, glyph, wanted in CARDS]


def status_word(farm: Row, nodes: Iterable[Row]) -> Runs:
    """Say in one word how the farm is."""
    word = farm_word(farm, nodes)
    return (Run(str(word), word.tone),)


def node_words(nodes: Iterable[Row]) -> Runs:
    """Count the machines by state."""
    states = [str(node.get("state")) for node in nodes]
    if not states:
        return (Run("no machines", "muted"),)
    bad = {"lost": "failed", "sick": "failed", "reconnecting": "warning", "held": "warning", "draining": "warning"}
    runs = [Run(counted(len(states), "machine"), "plain"), Run(": ", "muted")]
    for at, state in enumerate(dict.fromkeys(sorted(states))):
        runs += [Run(", " if at else "", "muted"), Run(f"{states.count(state)} {state}", bad.get(state, "muted"))]
    return tuple(runs)


def leader_words(farm: Row) -> Runs:
    """Name the leader and its term."""
    if not farm.get("leader"):
        return (Run("no leader yet", "warning"),)
    return (
        Run("leader ", "muted"),
        Run(printable(str(farm.get("leader_name") or farm.get("leader"))), "accent"),
        Run(f", term {farm.get('term')}", "muted"),
    )


def pace_words(farm: Row) -> Runs:
    """Say how many frames were finished lately."""
    frames, bucket_s = _pace(farm)
    recent = frames[-6:]
    per_minute = sum(recent) * 60 / max(1, bucket_s * len(recent)) if recent else 0
    minutes = len(frames) * bucket_s // 60
    return (
        Run(f"{per_minute:.0f}", "strong"),
        Run(" frames/min now, ", "muted"),
        Run(str(sum(frames)), "strong"),
        Run(f" in {minutes} min", "muted"),
    )


def sparkline(farm: Row, width: int, height: int = 1) -> list[str]:
    """Draw the pace as blocks.

    Args:
        farm: As the feed tells it.
        width: Cells; what is older does not fit and is left out.
        height: Lines, the top one first.
    """
    frames, _ = _pace(farm)
    shown = _stretched(frames, width)
    highest = max(shown, default=0)
    lines = []
    for line in range(height - 1, -1, -1):
        eighths = [0 if not highest else round(count / highest * height * 8) - 8 * line for count in shown]
        lines.append("".join(BLOCKS[max(0, min(8, level))] for level in eighths))
    if not highest:
        lines[-1] = "▁" * width
    return lines


def _pace(farm: Row) -> tuple[list[int], int]:
    pace: dict[str, Any] = farm.get("pace") or {}
    return [int(count) for count in pace.get("frames") or []], int(pace.get("bucket_s") or 10)


def _stretched(frames: Sequence[int], width: int) -> list[int]:
    """Give each bucket its cells, the newest at the right."""
    if not frames:
        return [0] * width
    if len(frames) >= width:
        return list(frames[-width:])
    return [frames[at * len(frames) // width] for at in range(width)]


def alert_runs(alert: Row) -> Runs:
    """Write one alert: what, and what to try."""
    level = str(alert.get("level"))
    glyph, style = {"error": ("✖", "failed"), "warning": ("◷", "warning")}.get(level, ("·", "muted"))
    hint = str(alert.get("hint") or "")
    told = (Run(f"{glyph} ", style), Run(printable(str(alert.get("text") or alert.get("code") or "")), "plain"))
    return (*told, Run(f"  {printable(hint)}", "muted")) if hint else told
