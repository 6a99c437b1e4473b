"""Where a finished frame is: done and available are two things, and the words for the second are here.

A frame is *delivered* once it stands in the output folder, *available* while a machine that answers has it, and else
away, with the machines that have it. Made by `farmd.core.resultviews`; shown by farmctl, tui and board. Imports the
standard library only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Whereabouts(StrEnum):
    """Where the outputs of one done task are."""

    DELIVERED = "delivered"
    AVAILABLE = "available"
    AWAY = "away"
    NONE = "none"
    """The frame left no files."""


def away_text(names: Sequence[str]) -> str:
    """Say who has what cannot be had now."""
    if not names:
        return "no machine that is known has it"
    if len(names) == 1:
        return f"only copy on {names[0]}, which is off"
    return f"copies only on {' and '.join(names)}, which are off"


def away_hint(names: Sequence[str], job: str, frames: str) -> str:
    """Say what can be done about it."""
    again = f"render it again: farmctl job retry {job} --frames {frames}"
    if not names:
        return again
    return f"switch {' or '.join(names)} on, or {again}"
