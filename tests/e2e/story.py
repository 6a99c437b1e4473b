"""The story that every door must be able to tell: a shot of POV-Ray with two bad frames, and a job that can never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = 8
BAD = (6, 7)
"""Frames that fail as long as their texture is not there: none of them is a test frame."""

_SCENE = """\
#if (clock = 6 | clock = 7)
  #if (!file_exists("{texture}"))
    #error "the wood texture is not there"
  #end
#end
camera {{ location <0, 1, -4> look_at 0 }}
light_source {{ <2, 4, -3>, 1 }}
background {{ rgb <0.1, 0.2, 0.4> }}
sphere {{ <0.2 * clock - 1, 0, 0>, 1 pigment {{ rgb <1, 0.1 * clock, 0> }} }}
"""

RENDERED = ("--param", "width=64", "--param", "height=36", "--frames", f"1-{FRAMES}", "--output-name", "f.{frame}.png")
HELD = ("--gate", "hold", "--retries", "0")


def write_shot(folder: Path) -> tuple[Path, Path]:
    """Write the scene; return it, and the texture that is missing until somebody makes it."""
    texture = folder / "wood.png"
    scene = folder / "shot.pov"
    scene.write_text(_SCENE.format(texture=texture))
    return scene, texture
