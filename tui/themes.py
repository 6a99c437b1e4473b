"""The colours: one palette for the states everywhere, calm greys for all else, dark and light."""

from __future__ import annotations

from typing import Final

from textual.theme import BUILTIN_THEMES, Theme

from protocol.errors import UsageError
from protocol.human import nearest_word

VARIABLES: Final = {
    "pending": "#e0b44c",
    "running": "#6aa5f2",
    "completed": "#73c27c",
    "failed": "#f0717a",
    "quiet": "#8a93a3",
    "cursor": "#2a3444",
    "marked": "#26302f",
    "lead": "#7cc7c3",
    "bar": "#191d24",
}
"""What the style sheets use besides the names of Textual; for themes that are not ours too."""

FARM_DARK: Final = Theme(
    name="farm-dark",
    primary="#6aa5f2",
    secondary="#7cc7c3",
    accent="#7cc7c3",
    warning="#e0b44c",
    error="#f0717a",
    success="#73c27c",
    foreground="#d5dae2",
    background="#12151a",
    surface="#171b21",
    panel="#1d222a",
    dark=True,
    variables=VARIABLES,
)

FARM_LIGHT: Final = Theme(
    name="farm-light",
    primary="#1f5fb8",
    secondary="#1d7a75",
    accent="#1d7a75",
    warning="#8a6100",
    error="#b3261e",
    success="#22713a",
    foreground="#1f2530",
    background="#fafafa",
    surface="#f1f3f5",
    panel="#e6e9ed",
    dark=False,
    variables={
        "pending": "#8a6100",
        "running": "#1f5fb8",
        "completed": "#22713a",
        "failed": "#b3261e",
        "quiet": "#667080",
        "cursor": "#d6e2f3",
        "marked": "#e2eee5",
        "lead": "#1d7a75",
        "bar": "#eceff2",
    },
)


def check_theme(name: str) -> None:
    """Refuse the name of a theme that does not exist.

    Raises:
        UsageError: It is none.
    """
    known = [FARM_DARK.name, FARM_LIGHT.name, *sorted(BUILTIN_THEMES)]
    if name not in known:
        meant = nearest_word(name, known)
        hint = f"did you mean {meant}?" if meant else f"known are: {', '.join(known)}"
        raise UsageError(f"no theme is called {name[:80]!r}", "it was asked for by --theme, or below [tui]", hint)
