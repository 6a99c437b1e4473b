"""Scans layers of USD that are text (`.usda`), in blocks: never the whole file in memory.

It is no parser: it stops only at quotes, at signs, braces and equals signs, and looks back for the word before them, so
that arrays of points go by at the speed of a search. What it keeps track of is which prim is open, and which attribute a
path belongs to. Source of the grammar: the specification of the `usda` file format in OpenUSD's documentation.

Called by `usd`; the same events come from `in_usd`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from farmd.scenes.usd_events import ROOT, SETTINGS, Asset, Opened, Setting
from protocol.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from farmd.scenes.usd_events import Event

MAGIC: Final = b"#usda"
_BLOCK: Final = 1 << 20
_LONGEST: Final = 16 << 20
"""A text or path that goes on longer has lost its end."""
_DEEPEST: Final = 1000
_AROUND: Final = 512
"""Bytes around a sign that decide what it means."""
_SIGN: Final = re.compile(rb"[@\"'#{}=]")
_SIGN_OF_A_HEADER: Final = re.compile(rb"[@\"'#{}=()]")
_PRIM: Final = re.compile(rb"\b(?:def|over|class)\s+(?:(\w+)\s+)?$")
_NAME: Final = re.compile(rb"([A-Za-z_][\w:.]*)\s*$")
_QUOTED_PATH: Final = re.compile(rb"\basset\s+[\w:.]+\s*=\s*$")
"""A path may be written as a string where its attribute says that it is one."""
_OF_AN_ARC: Final = ("offset", "scale")
"""Stand in parentheses behind one path of several."""
_VALUE: Final = re.compile(rb"=\s*(\([^()\n]*\)|\"[^\"\n]*\"|'[^'\n]*'|<[^<>\n]*>|[-+\w.]+)")
_ENDS: Final = {
    b'"""': re.compile(rb'\\.|"""', re.DOTALL),
    b"'''": re.compile(rb"\\.|'''", re.DOTALL),
    b"@@@": re.compile(rb"\\@@@|@@@"),
    b'"': re.compile(rb'\\.|["\n]', re.DOTALL),
    b"'": re.compile(rb"\\.|['\n]", re.DOTALL),
    b"@": re.compile(rb"[@\n]"),
    b"#": re.compile(rb"\n"),
}
"""How what begins so ends; what begins with a backslash is no end."""


class TextScan:
    """One pass over one layer.

    Args:
        name: Of the file, for errors.
        file: Open at its beginning; need not be seekable.
    """

    def __init__(self, name: str, file: IO[bytes]) -> None:
        self._name = name
        self._file = file
        self._data = b""
        self._base = 0
        self._ended = False
        self._open: list[str | None] = []
        self._header: tuple[str, str] | None = None
        self._depth = 0
        self._attribute = ""

    def __iter__(self) -> Iterator[Event]:
        """Yield what the layer says.

        Raises:
            UserError: It is no text layer, or a text in it does not end.
        """
        self._more()
        if not self._data.startswith(MAGIC):
            raise UserError(f"{self._name} is no USD text", "it does not begin with #usda", "check what made it")
        at = 0
        while True:
            found = (_SIGN_OF_A_HEADER if self._header else _SIGN).search(self._data, at)
            known = len(self._data) - (0 if self._ended else _AROUND)
            if found is None or found.start() >= known:
                if self._ended:
                    break
                at = self._forget(max(at, known if found is None else found.start()))
                self._more()
                continue
            at = found.start()
            event, at = self._take(found[0], at)
            if event is not None:
                yield event
        if self._open or self._header:
            raise self._damaged("it ends before its last brace")

    @property
    def _prim(self) -> str:
        names = [name for name in self._open if name is not None]
        if self._header:
            names.append(self._header[1])
        return ROOT + "/".join(names)

    def _more(self) -> None:
        block = self._file.read(_BLOCK)
        self._data += block
        self._ended = not block

    def _forget(self, at: int) -> int:
        """Let go of what is far behind; return where `at` is now."""
        gone = max(0, at - _AROUND)
        self._data, self._base = self._data[gone:], self._base + gone
        return at - gone

    def _take(self, sign: bytes, at: int) -> tuple[Event | None, int]:
        """Take what begins at a sign; return what it says, and where it ends."""
        match sign:
            case b"=":
                return self._equals(at), at + 1
            case b"{":
                return self._brace(), at + 1
            case b"}":
                if self._open:
                    self._open.pop()
                return None, at + 1
            case b"(":
                self._depth += 1
                return None, at + 1
            case b")":
                self._depth = max(0, self._depth - 1)
                return None, at + 1
        return self._text(sign, at)

    def _equals(self, at: int) -> Event | None:
        name = _NAME.search(self._data, max(0, at - _AROUND), at)
        if name is None:
            return None
        word = name[1].decode()
        if word not in _OF_AN_ARC:
            self._attribute = word.removesuffix(".timeSamples")
        if word in SETTINGS and (value := _VALUE.match(self._data, at, at + _AROUND)):
            return Setting(self._prim, word, value[1].decode(errors="replace").strip("\"'"))
        return None

    def _brace(self) -> Event | None:
        if len(self._open) >= _DEEPEST:
            raise self._damaged(f"braces are nested {_DEEPEST} deep")
        if self._header and self._depth == 0:
            kind, name = self._header
            self._header = None
            self._open.append(name)
            return Opened(kind, self._prim)
        self._open.append(None)
        return None

    def _text(self, sign: bytes, at: int) -> tuple[Event | None, int]:
        """Take a string, an asset path or a comment."""
        mark = sign * 3 if self._data.startswith(sign * 3, at) and sign != b"#" else sign
        while (end := self._end_of(mark, at + len(mark))) is None:
            at = self._forget(at)
            if self._ended and mark == b"#":
                return None, len(self._data)
            if self._ended or len(self._data) > _LONGEST:
                raise self._damaged(f"what begins at byte {self._base + at} has no end")
            self._more()
        inside = self._data[at + len(mark) : end - len(mark)]
        if sign == b"@" and self._data[end - 1 : end] == b"@":
            written = inside.replace(b"\\@@@", b"@@@").decode(errors="replace")
            return (Asset(self._prim, self._attribute, written) if written else None), end
        if mark in (b'"', b"'"):
            return self._string(inside, at), end
        return None, end

    def _end_of(self, mark: bytes, at: int) -> int | None:
        for found in _ENDS[mark].finditer(self._data, at):
            if not found[0].startswith(b"\\"):
                return found.end()
        return None

    def _string(self, inside: bytes, at: int) -> Event | None:
        """Take a short string: the name of a prim that begins, or a path."""
        before = max(0, at - _AROUND)
        if found := _PRIM.search(self._data, before, at):
            self._header = ((found[1] or b"").decode(), inside.decode(errors="replace"))
            self._depth = 0
        elif inside and _QUOTED_PATH.search(self._data, before, at):
            return Asset(self._prim, self._attribute, inside.decode(errors="replace"))
        return None

    def _damaged(self, why: str) -> UserError:
        return UserError(f"{self._name} is damaged", why, "copy it again from where it was made, or export it again")
