"""The demo's picture as numbers: a sea of spheres, each going round on its own ellipse, the later the farther out.

Both renderers draw this one sea. The wave comes round after `LOOP_FRAMES` frames, so that the pictures make a film that
can be repeated. Standard library only, and Python 3.10: it is imported inside Blender too.
"""

from __future__ import annotations

import math
from typing import NamedTuple

ACROSS = 11
LOOP_FRAMES = 24
RADIUS = 0.46
LIFT = 0.6
SWAY = 0.16
SHADES = 12
SIZE = (384, 216)
CAMERA = (0.0, -10.2, 7.0)
LOOKS_AT = (0.0, -0.75, 0.0)
FIELD_OF_VIEW_DEG = 46.0
SUN_COMES_FROM = (-0.45, -0.5, 0.75)
SKY = (0.20, 0.30, 0.52)

_COLD, _WARM = (0.01, 0.10, 0.42), (0.95, 0.20, 0.07)


class Ball(NamedTuple):
    """One sphere.

    Attributes:
        x: Middle of its way.
        y: The same.
        outward: Direction in which it sways, as an angle around the vertical axis.
        behind: How far it is behind the ball in the middle, in radians.
        shade: Number of its colour, see `colour_of`.
    """

    x: float
    y: float
    outward: float
    behind: float
    shade: int

    def place_at(self, frame: int) -> tuple[float, float, float]:
        """Say where it is in a frame."""
        turn = 2 * math.pi * frame / LOOP_FRAMES - self.behind
        out = SWAY * math.cos(turn)
        return (
            self.x + out * math.cos(self.outward),
            self.y + out * math.sin(self.outward),
            LIFT * math.sin(turn),
        )


def balls() -> list[Ball]:
    """List all spheres."""
    half = (ACROSS - 1) / 2
    found = []
    for place in range(ACROSS**2):
        x, y = place % ACROSS - half, place // ACROSS - half
        away = math.hypot(x, y)
        shade = min(SHADES, round(SHADES * away / (half * 1.3)))
        found.append(Ball(x, y, math.atan2(y, x), away * 0.9, shade))
    return found


def colour_of(shade: int) -> tuple[float, float, float]:
    """Return linear red, green and blue of a shade: deep blue in the middle of the sea, coral outside."""
    share = shade / SHADES
    red, green, blue = (low + (high - low) * share for low, high in zip(_COLD, _WARM))  # noqa: B905  # three and three
    return red, green, blue
