"""Looks at this machine's folders for `resolve` and `repair`: each is listed once, however many paths lead there.

An exact name is asked of the file system itself, which answers in microseconds even where a folder holds a hundred
thousand files; listings are made only for patterns and for names in other letters. A folder that cannot be listed is
an empty one: the reason is found by whoever needs it.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Final, NamedTuple

from farmd.scenes.written import pattern_of

_MAX_WAYS: Final = 8
"""So many spellings of one path are followed; who has more has another problem."""


class Match(NamedTuple):
    """What a path leads to here.

    Attributes:
        path: Absolute, with its tokens if it has any.
        files: That it stands for, sorted; one where it has no tokens.
    """

    path: str
    files: tuple[Path, ...]


class Folders:
    """Cached listings."""

    def __init__(self) -> None:
        self._listings: dict[str, tuple[str, ...]] = {}

    def names(self, folder: str) -> tuple[str, ...]:
        """List a folder, sorted."""
        if folder not in self._listings:
            try:
                self._listings[folder] = tuple(sorted(os.listdir(folder)))  # noqa: PTH208  # names, not paths
            except OSError:
                self._listings[folder] = ()
        return self._listings[folder]

    def exact(self, path: str) -> Match | None:
        """Find the file of this very name, tokens taken for letters."""
        return Match(path, (Path(path),)) if os.path.isfile(path) else None  # noqa: PTH113  # 10 times faster

    def matching(self, path: str) -> Match | None:
        """Find the files that a path with tokens stands for."""
        files = [found for found in self._walk(path, other_letters=False) if os.path.isfile(found[0])]  # noqa: PTH113
        return Match(path, tuple(Path(file) for file, _ in files)) if files else None

    def in_other_letters(self, path: str) -> list[Match]:
        """Find what a path leads to if letters are taken as Windows and macOS take them; each spelling by itself."""
        spelled: dict[str, list[Path]] = {}
        for file, spelling in self._walk(path, other_letters=True):
            if spelling != path and os.path.isfile(file):  # noqa: PTH113
                spelled.setdefault(spelling, []).append(Path(file))
        return [Match(spelling, tuple(files)) for spelling, files in spelled.items()]

    def _walk(self, path: str, *, other_letters: bool) -> list[tuple[str, str]]:
        """Follow a path component by component.

        Returns:
            Pairs of what is there and how the path would have to be written for it.
        """
        anchor, *parts = Path(path).parts
        ways = [(anchor, anchor)]
        for part in parts:
            pattern = pattern_of(part, other_letters=other_letters)
            there: list[tuple[str, str]] = []
            for real, spelled in ways:
                if pattern is not None:
                    names = [(name, pattern.restored(name)) for name in self.names(real)]
                    there += [(_join(real, name), _join(spelled, again)) for name, again in names if again is not None]
                else:
                    there += [
                        (_join(real, name), _join(spelled, name)) for name in self._spellings(real, part, other_letters)
                    ]
            ways = there
            if not ways:
                return []
        return ways

    def _spellings(self, folder: str, name: str, other_letters: bool) -> list[str]:
        if not other_letters or os.path.lexists(_join(folder, name)):
            return [name]
        wanted = plain_letters(name)
        return [other for other in self.names(folder) if plain_letters(other) == wanted][:_MAX_WAYS]


def plain_letters(name: str) -> str:
    """Return a name as file systems compare it that do not tell letters apart, composed accents or not."""
    return unicodedata.normalize("NFC", name).casefold()


def _join(folder: str, name: str) -> str:
    return folder + name if folder.endswith(os.sep) else f"{folder}{os.sep}{name}"
