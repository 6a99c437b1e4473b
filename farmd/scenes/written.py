"""Paths as scenes write them: whose notation it is, what its variables mean, which part of it stands for many files.

Works on texts only and never looks at a disk. Both kinds of slash separate everywhere, since a scene that was saved on
Windows is read on Linux; that some programs take a backslash for a letter is `resolve`'s concern. Called by `resolve`,
`repair` and `rules`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from farmd.scenes.content import Spread

if TYPE_CHECKING:
    from collections.abc import Mapping

_DRIVE: Final = re.compile(r"[A-Za-z]:")
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}|\$([A-Za-z_]\w*)|%([A-Za-z_]\w*)%")
_NESTED: Final = 8
"""Variables that name variables: so deep, and no circle goes on for ever."""
_UDIM: Final = r"<udim>|<uvtile>|<tile>|<u>|<v>|<attr:[^<>]*>"
_FRAMES: Final = r"#+|%0?\d*d|<f\d?>|<frame\d?>|\$F\d?(?!\w)|\$\{?frame\b\}?"
_TOKEN: Final = re.compile(f"{_UDIM}|{_FRAMES}", re.IGNORECASE)
_TILE_NUMBER: Final = re.compile(r"(?<!\d)[1-9]\d{3}(?!\d)(?!.*(?<!\d)[1-9]\d{3}(?!\d))")
_TILE_PAIR: Final = re.compile(r"u\d+_v\d+(?!.*u\d+_v\d+)", re.IGNORECASE)
_LAST_DIGITS: Final = re.compile(r"\d+(?!.*\d)")


class Kind(StrEnum):
    """Where a written path starts."""

    ROOT = "root"
    DRIVE = "drive"
    SHARE = "share"
    SCENE = "scene"
    """Blender's `//`: the folder of the file that names it."""
    RELATIVE = "relative"


class Pattern(NamedTuple):
    """One component of a path that stands for several names.

    Attributes:
        names: Which names it stands for; each group is what a token stood for.
        tokens: The tokens, in the order of the groups.
    """

    names: re.Pattern[str]
    tokens: tuple[str, ...]

    def restored(self, name: str) -> str | None:
        """Put the tokens back into a name that it stands for, in whatever letters; None if it does not."""
        found = self.names.fullmatch(name)
        if found is None:
            return None
        parts, at = [], 0
        for group, token in enumerate(self.tokens, 1):
            parts += [name[at : found.start(group)], token]
            at = found.end(group)
        return "".join((*parts, name[at:]))


def kind_of(text: str, application: str) -> Kind:
    """Tell where a path starts."""
    if _DRIVE.match(text):
        return Kind.DRIVE
    if text.startswith("//") and application == "blender":
        return Kind.SCENE
    if text.startswith(("//", "\\\\")):
        return Kind.SHARE
    return Kind.ROOT if text.startswith(("/", "\\")) else Kind.RELATIVE


def components(text: str) -> list[str]:
    """Split a path at both kinds of slash; neither drive nor root is among the parts."""
    return [part for part in re.split(r"[\\/]+", _DRIVE.sub("", text, count=1)) if part not in ("", ".")]


def slashed(text: str) -> str:
    """Write a path with forward slashes, each run of them as one."""
    return re.sub(r"[\\/]+", "/", text)


def expand(text: str, values: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Put in what variables mean.

    Returns:
        The text, and the names that nothing gives a meaning to.
    """
    for _ in range(_NESTED):
        grown = _VARIABLE.sub(lambda found: values.get(name_in(found), found[0]), text)
        if grown == text:
            break
        text = grown
    return text, tuple(dict.fromkeys(name_in(found) for found in _variables(text)))


def name_in(found: re.Match[str]) -> str:
    """Name the variable that was found."""
    return found[1] or found[2] or found[3]


def _variables(text: str) -> list[re.Match[str]]:
    return [found for found in _VARIABLE.finditer(text) if not _TOKEN.fullmatch(found[0])]


def with_tokens(text: str, spread: Spread) -> str:
    """Write a path that names one tile or frame of many as the pattern of all: `wood.1001.exr` -> `wood.<UDIM>.exr`."""
    if spread not in (Spread.UDIM, Spread.FRAMES) or _TOKEN.search(text):
        return text
    cut = max(text.rfind("/"), text.rfind("\\")) + 1
    folder, name = text[:cut], text[cut:]
    if spread is Spread.UDIM:
        changed = _TILE_NUMBER.sub("<UDIM>", name)
        return folder + (changed if changed != name else _TILE_PAIR.sub("<UVTILE>", name))
    stem, dot, ending = name.rpartition(".")
    if not dot:
        stem, ending = name, ""
    return folder + _LAST_DIGITS.sub(lambda found: "#" * len(found[0]), stem) + dot + ending


def pattern_of(component: str, *, other_letters: bool = False) -> Pattern | None:
    """Read the tokens of one component of a path; None if it has none."""
    tokens = tuple(_TOKEN.finditer(component))
    if not tokens:
        return None
    parts, at = [], 0
    for found in tokens:
        parts += [re.escape(component[at : found.start()]), f"({_values(found[0])})"]
        at = found.end()
    text = "".join((*parts, re.escape(component[at:])))
    return Pattern(re.compile(text, re.IGNORECASE if other_letters else 0), tuple(found[0] for found in tokens))


def _values(token: str) -> str:
    small = token.lower()
    if small == "<udim>":
        return r"[1-9]\d{3}"
    if small in ("<uvtile>", "<tile>"):
        return r"_?u\d+_v\d+"
    if small.startswith("<attr:"):
        return r"[^/\\]*"
    if small in ("<u>", "<v>"):
        return r"\d+"
    if small.startswith("#"):
        return rf"-?\d{{{len(small)},}}"
    width = re.search(r"\d+", small)
    return rf"-?\d{{{int(width[0]) if width else 1},}}"
