r"""Reads the texts that a Houdini scene keeps of a node: its parameters and its channels.

A `.parm` has a line per parameter, fields between tabs; what holds blanks is quoted, and may go on over lines:

    res  [ 0  locks=0 ]  (  1280  720  )
    file [ 0  locks=0 ]  (  "$HIP/wood 01.exr"  )
    f    [ 0  locks=0 ]  (  [ f1  1 ]   [ f2  240 ]   1  )

`[ f2  240 ]` is a value that the channel `f2` gives: 240 is what it was when the scene was saved. What the channel says
itself, `$FEND`, stands in the `.chn`. Texts in, texts out; called by `houdini`. Takes time in proportion to the text,
whatever stands in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENTRY: Final = re.compile(r"^(\S{1,200})\t\[[^\]\n]{0,200}\]\t\(", re.MULTILINE)
_VALUE: Final = re.compile(
    r'\t(?:\[ ([^\t\n]+)\t)?(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^\t\n"]*+))(?: \] )?(?=[\t\n])', re.DOTALL
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_LETTERS: Final = {"n": "\n", "t": "\t", "r": "\r"}
_CHANNEL: Final = re.compile(r"^\s*channel (\S+) \{", re.MULTILINE)
_EXPRESSION: Final = re.compile(r'\bexpr = (?:\\?"(.*?)\\?"|(\S+))')
_SETTING: Final = re.compile(r"^set -g (\w+) = '(.*)'$", re.MULTILINE)


def parms_in(text: str) -> dict[str, tuple[str, ...]]:
    """Read a `.parm`: name of each parameter -> its values as they are written."""
    found: dict[str, tuple[str, ...]] = {}
    at = 0
    while entry := _ENTRY.search(text, at):
        values, at = _values(text, entry.end())
        found[entry[1]] = values
    return found


def _values(text: str, at: int) -> tuple[tuple[str, ...], int]:
    values = []
    while (one := _VALUE.match(text, at)) and one[3] != ")":
        bare = one[3] if one[1] is None else (one[3] or "").removesuffix(" ] ")
        values.append(bare if one[2] is None else unescaped(one[2]))
        at = one.end()
    return tuple(values), at


def unescaped(text: str) -> str:
    r"""Take backslashes away as Houdini reads them: `\"` is a quote, `\n` ends a line."""
    return _ESCAPED.sub(lambda found: _LETTERS.get(found[1], found[1]), text)


def expressions_in(text: str) -> dict[str, str]:
    """Read a `.chn`: name of each channel -> the expression of its first segment, without quotes."""
    found: dict[str, str] = {}
    starts = list(_CHANNEL.finditer(text))
    for one, after in zip(starts, [*starts[1:], None], strict=False):  # without channels the end has no start
        expression = _EXPRESSION.search(text, one.end(), after.start() if after else len(text))
        if expression:
            found[one[1]] = expression[1] if expression[1] is not None else expression[2]
    return found


def settings_in(text: str) -> dict[str, str]:
    """Read `.variables`: name of each -> its value."""
    return {name: value.replace("\\'", "'") for name, value in _SETTING.findall(text)}


def number(values: Mapping[str, tuple[str, ...]], name: str, at: int = 0) -> float | None:
    """Return a parameter as a number; None if there is none."""
    try:
        return float(values[name][at])
    except (KeyError, IndexError, ValueError):
        return None


def word(values: Mapping[str, tuple[str, ...]], name: str) -> str:
    """Return the first value of a parameter; empty if there is none."""
    return next(iter(values.get(name, ())), "")
