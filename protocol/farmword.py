"""How the farm is, in one word: the same on the dashboard and at the command line.

What a person has to mend comes before what mends itself, and both before what is merely going on. An election is over
within seconds as a rule, so a farm without a leader is `electing`: the alert beside it says that nothing new starts.

Called by `farmctl.overview` and `tui.overview`. Imports the standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ELECTING: Final = "no_leader"
"""Code of the alert that says the same as the word `electing`."""
_AWAY: Final = ("lost", "sick", "reconnecting")
"""States of machines that do not work though they should."""


class FarmWord(NamedTuple):
    """The word, and how it is drawn.

    Attributes:
        glyph: One character that stands before it wherever it is shown.
        word: What it says.
        tone: muted, failed, warning, running, pending or completed.
    """

    glyph: str
    word: str
    tone: str

    def __str__(self) -> str:
        return f"{self.glyph} {self.word}"


def farm_word(farm: Mapping[str, Any], nodes: Iterable[Mapping[str, Any]]) -> FarmWord:
    """Say how the farm is.

    Args:
        farm: What `farm.feed` tells of the farm (`FarmPicture.farm`), or a document with the same keys; empty: not told yet.
        nodes: Its machines, as `node.list` gives them.
    """
    if not farm:
        return FarmWord("…", "asking", "muted")
    alerts = [alert for alert in farm.get("alerts") or [] if alert.get("code") != _ELECTING]
    levels = [alert.get("level") for alert in alerts]
    if farm.get("disk_fault") or "error" in levels:
        return FarmWord("✖", "needs attention", "failed")
    if not farm.get("leader"):
        return FarmWord("◷", "electing", "warning")
    if "warning" in levels or any(node.get("state") in _AWAY for node in nodes):
        return FarmWord("◷", "impaired", "warning")
    jobs = farm.get("jobs") or {}
    if jobs.get("running"):
        return FarmWord("◐", "rendering", "running")
    return FarmWord("○", "waiting", "pending") if jobs.get("pending") else FarmWord("●", "idle", "completed")
