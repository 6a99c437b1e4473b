"""Files near a scene: what lies below its folder and its project, and what its ancestors hold, by the end of a path.

The search is bounded: at most so many entries are looked at, and a remark says so when there were more. Names are
compared as Windows does, since that is where the paths come from that need repair; the number of equal components from
the end decides, the very letters break a tie. Made once for a scene, and only when something is missing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from farmd.scenes.content import Remark
from farmd.scenes.folders import Match, plain_letters
from farmd.scenes.written import components, pattern_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmd.scenes.folders import Folders

MOST_ENTRIES: Final = 20_000


class Nearby:
    """Looks for files by the end of their path."""

    def __init__(self, scene: Path, project: Path | None, folders: Folders, most: int = MOST_ENTRIES) -> None:
        roots = [scene.parent] if project is None else [project, scene.parent]
        self.roots = [
            root for root in roots if not any(root != other and root.is_relative_to(other) for other in roots)
        ]
        self.remarks: list[Remark] = []
        self._above = tuple(dict.fromkeys(scene.parents))
        self._folders = folders
        self._most = most
        self._by_name: dict[str, list[str]] | None = None

    def with_longest_end(self, text: str, least: int) -> list[Match]:
        """Find the files whose paths end as a text does, in as many components as possible.

        Args:
            text: Written path; tokens in its last component stand for several names.
            least: So many components must be equal, the name included.

        Returns:
            Those with the longest equal end; several if it cannot be told which is meant.
        """
        wanted = components(text)
        if not wanted:
            return []
        ends: dict[str, tuple[int, int, bool]] = {}
        matches: dict[str, list[str]] = {}
        for file, path in self._named(wanted):
            ends[path] = (*_equal_end(components(path), wanted), self._is_inside(file))
            matches.setdefault(path, []).append(file)
        best = max(ends.values(), default=(0, 0, False))
        if best[0] < least:
            return []
        return [Match(path, tuple(map(Path, sorted(matches[path])))) for path in sorted(ends) if ends[path] == best]

    def _is_inside(self, file: str) -> bool:
        """Tell whether a file is of this scene's own tree, and not only of a folder around it."""
        return any(Path(file).is_relative_to(root) for root in self.roots)

    def _named(self, wanted: list[str]) -> Iterator[tuple[str, str]]:
        """Yield files that may be meant, and how the path to them would be written."""
        seen: set[str] = set()
        for file, path in (*self._below(wanted[-1]), *self._beside_ancestors(wanted)):
            if file not in seen:
                seen.add(file)
                yield file, path

    def _below(self, name: str) -> Iterator[tuple[str, str]]:
        index = self._index()
        pattern = pattern_of(name, other_letters=True)
        if pattern is None:
            yield from ((path, path) for path in index.get(plain_letters(name), ()))
            return
        for paths in index.values():
            restored = pattern.restored(os.path.basename(paths[0]))  # noqa: PTH119
            if restored is not None:
                for path in paths:
                    again = pattern.restored(os.path.basename(path)) or restored  # noqa: PTH119
                    yield path, os.path.join(os.path.dirname(path), again)  # noqa: PTH118, PTH120

    def _beside_ancestors(self, wanted: list[str]) -> Iterator[tuple[str, str]]:
        for folder in self._above:
            for start in range(len(wanted) - 1):
                path = os.path.join(folder, *wanted[start:])  # noqa: PTH118
                found = self._folders.exact(path)
                if found is None and pattern_of(path):
                    found = self._folders.matching(path)
                if found is not None:
                    yield from ((str(file), found.path) for file in found.files)
                    break  # what starts later is shorter

    def _index(self) -> dict[str, list[str]]:
        if self._by_name is None:
            self._by_name = {}
            for count, path in enumerate(_entries_below(self.roots)):
                if count >= self._most:
                    text = f"only the first {self._most} entries below {self.roots[0]} were searched for missing files"
                    self.remarks.append(Remark("search_bounded", text))
                    break
                if path is not None:
                    self._by_name.setdefault(plain_letters(os.path.basename(path)), []).append(path)  # noqa: PTH119
        return self._by_name


def _entries_below(roots: list[Path]) -> Iterator[str | None]:
    """Yield the files below some folders, and None for each folder: it costs as much."""
    for root in roots:
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield None
            yield from (os.path.join(folder, name) for name in sorted(names))  # noqa: PTH118


def _equal_end(path: list[str], wanted: list[str]) -> tuple[int, int]:
    """Count the components that are equal from the end: in any letters, and in the very same."""
    plain = exact = 0
    for mine, other in zip(reversed(path), reversed(wanted), strict=False):
        if plain_letters(mine) != plain_letters(other):
            break
        plain += 1
        exact += mine == other
    return plain, exact
