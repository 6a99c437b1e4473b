"""How fresh the screen is: connected, reconnecting, or nobody answers; and the words for it.

Age is the time since a node answered last, on a clock that only goes forward. What is shown is never thrown away: it is
dimmed once it is old. Called by the console; must not import textual.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from protocol.following import LOST_S, Link
from protocol.human import format_age, printable
from tui.looks import Run, Runs

STALE_S: Final = 5.0
"""From this age on, the age is amber and the data is dimmed."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the connection stands.

    Attributes:
        link: What it does.
        node_name: The node that answers, or that did so last.
        answered_at: When a node answered last, on the monotonic clock; None if none ever did.
        began_at: When the first try began.
        why: What the last try said.
    """

    link: Link = Link.CONNECTING
    node_name: str = ""
    answered_at: float | None = None
    began_at: float = 0.0
    why: str = ""

    def answered(self, now: float, node_name: str = "") -> Standing:
        """A node answered."""
        return replace(self, link=Link.CONNECTED, answered_at=now, node_name=node_name or self.node_name, why="")

    def told(self, link: Link, node_name: str = "", why: str = "") -> Standing:
        """The feed says how the connection is."""
        return replace(self, link=link, node_name=node_name or self.node_name, why=why)

    def age_s(self, now: float) -> float:
        """Return how old the shown data is."""
        return max(0.0, now - (self.began_at if self.answered_at is None else self.answered_at))

    def shown(self, now: float) -> Link:
        """Return what is shown: silence for long enough is a disconnection, whatever the feed says."""
        if self.link in (Link.RECONNECTING, Link.CONNECTING) and self.age_s(now) >= LOST_S:
            return Link.DISCONNECTED
        return self.link

    def is_stale(self, now: float) -> bool:
        """Tell whether what is shown should be dimmed."""
        return self.answered_at is not None and (self.age_s(now) >= STALE_S or self.shown(now) is Link.DISCONNECTED)

    def runs(self, now: float) -> Runs:
        """Say it, for the top line."""
        name, age = printable(self.node_name), self.age_s(now)
        match self.shown(now):
            case Link.CONNECTED:
                return (
                    Run("● ", "completed"),
                    Run(name, "plain"),
                    Run(f"  as of {_age(age)}", "warning" if age >= STALE_S else "muted"),
                )
            case Link.CONNECTING:
                return (Run(f"◐ connecting to {name}" if name else "◐ connecting", "warning"),)
            case Link.RECONNECTING:
                # The node that is named is the one that was lost; which are tried changes several times a second.
                lost = f", {name} does not answer" if name else ""
                old = f"  as of {_age(age)}" if self.answered_at is not None else ""
                return (Run(f"◐ Reconnecting{lost}{old}", "warning"),)
            case Link.DISCONNECTED:
                return (Run(f" ✖ DISCONNECTED {format_age(age)} ", "alarm"),)


def _age(seconds: float) -> str:
    return "now" if seconds < 2 else f"{format_age(seconds)} ago"
