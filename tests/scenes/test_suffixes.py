from __future__ import annotations

import pytest

from farmd.scenes.content import Role, Spread
from farmd.scenes.suffixes import role_of, spread_of


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("wood.EXR", Role.TEXTURE),
        (r"C:\tex\wood.png", Role.TEXTURE),
        ("/geo/a.bgeo.sc", Role.CACHE),
        ("/geo/a.sc", None),
        ("$HIP/$HIPNAME.$F4.bgeo.gz", Role.CACHE),
        ("set.usda", Role.SCENE),
        ("config.ocio", Role.COLOUR),
        ("font.otf", Role.FONT),
        ("voice.wav", Role.SOUND),
        ("plate.mov", Role.CLIP),
        ("tool.hda", Role.OTHER),
        ("0.5", None),
        ("exr", None),
        ("/shots.abc/frames", None),
        ("", None),
    ],
)
def test_an_ending_says_what_a_file_is(path: str, role: Role | None) -> None:
    assert role_of(path) is role


@pytest.mark.parametrize(
    ("path", "spread"),
    [
        ("fur.<UDIM>.exr", Spread.UDIM),
        ("fur_u<U>_v<V>.exr", Spread.UDIM),
        ("a.$F4.bgeo", Spread.FRAMES),
        ("a.####.exr", Spread.FRAMES),
        ("a.0001.exr", Spread.ONE),
    ],
)
def test_tokens_say_how_a_path_stands_for_several(path: str, spread: Spread) -> None:
    assert spread_of(path) is spread
