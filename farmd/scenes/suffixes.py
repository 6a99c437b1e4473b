"""What the end of a file's name says about its role, for scenes that name files in attributes of every kind.

Only endings that mean one thing are here: a text that ends so names a file. Called by the readers of Houdini and USD.
"""

from __future__ import annotations

from typing import Final

from farmd.scenes.content import Role, Spread
from farmd.scenes.written import pattern_of

_ENDINGS: Final = {
    Role.SCENE: "usd usda usdc usdz ma mb hip hipnc hiplc blend",
    Role.TEXTURE: "bmp cin dds dpx exr gif hdr ies iff jpeg jpg jp2 pic png psd ptex ptx rat sgi tex tga tif tiff tx webp",
    Role.CACHE: "abc ass bgeo bgeo.gz bgeo.sc bhclassic bclip bvh clip fbx geo glb gltf json.gz obj pc pdb ply prt "
    "rib rs rstexbin sim simdata stl vdb vrmesh vrscene",
    Role.GROOM: "xgen xgc",
    Role.COLOUR: "ocio cube clf csp spi1d spi3d lut",
    Role.FONT: "ttf otf pfb pfa ttc",
    Role.SOUND: "wav mp3 aif aiff ogg flac m4a",
    Role.CLIP: "mov mp4 avi mkv mxf",
    Role.OTHER: "hda hdalc hdanc otl otllc otlnc mtlx osl oso mdl vfl",
}
_ROLES: Final = {ending: role for role, endings in _ENDINGS.items() for ending in endings.split()}
_LAST: Final = frozenset(ending.rpartition(".")[2] for ending in _ROLES)
_UDIM_TOKENS: Final = ("<udim>", "<uvtile>", "<u>", "<v>", "<tile>")


def role_of(path: str) -> Role | None:
    """Tell what a file of this name is; None if its ending says nothing."""
    stem, _, last = path.rpartition(".")
    last = last.lower()
    if not stem or last not in _LAST:  # most texts that are asked about end here
        return None
    return _ROLES.get(f"{stem.rpartition('.')[2].lower()}.{last}") or _ROLES.get(last)


def spread_of(path: str) -> Spread:
    """Tell how a path stands for several files, by the tokens in it."""
    small = path.lower()
    if any(token in small for token in _UDIM_TOKENS):
        return Spread.UDIM
    return Spread.FRAMES if any(pattern_of(part) for part in path.replace("\\", "/").split("/")) else Spread.ONE
