"""A folder that nothing gets out of: names that came from elsewhere are resolved inside it, and nowhere else.

Two guards, since each alone has a hole. `place_of` looks at the name: no `..`, no root, no NUL. `Tree` looks at the disk:
it goes down folder by folder on descriptors with O_NOFOLLOW, so that a symbolic link that somebody left inside (a script
in a scene, an artist in the output folder) leads nowhere either. A file appears under its name complete or not at all.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from protocol.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_DRIVE = re.compile(r"([A-Za-z]):/")
_MAX_NAME_BYTES = 255
_MAX_PLACE_BYTES = 3_000
"""Room is left below PATH_MAX (4,096) for the folder that the tree lies in."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def place_of(path: str) -> str:
    """Return where below a tree a path of a manifest lies: `a/b` stays, `C:/x` becomes `C/x`.

    Raises:
        PeerError: It would lead out of the tree, or names no file.
    """
    drive = _DRIVE.match(path)
    place = f"{drive[1].upper()}/{path[3:]}" if drive else path
    if "\0" in place or place.startswith("/"):
        raise PeerError(f"path is not relative: {path!r}")
    if any(part in ("", ".", "..") for part in place.split("/")):
        raise PeerError(f"path names no place inside a folder: {path!r}")
    try:
        lengths = [len(part.encode()) for part in place.split("/")]
    except UnicodeEncodeError as error:
        raise PeerError(f"path is not Unicode text: {path!r}") from error
    if max(lengths) > _MAX_NAME_BYTES or sum(lengths) + len(lengths) > _MAX_PLACE_BYTES:
        raise PeerError(f"path is too long: {path[:80]!r}…")
    return place


class Tree:
    """An open folder; close it, or use it as a context manager. For one thread."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._here: tuple[str, int] = ("", self._root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
        if self._here[1] != self._root:
            os.close(self._here[1])
        os.close(self._root)

    def put(self, place: str, fill: Callable[[int], None], *, mode: int, mtime_ns: int | None = None) -> None:
        """Write one file, replacing what is there; folders on the way are made.

        Args:
            place: Where; what `place_of` returns.
            fill: Writes the content to the descriptor that it is given; if it raises, nothing has changed.
            mode: Permissions of the file.
            mtime_ns: Set unless None.

        Raises:
            PeerError: A link or a file stands where a folder should be.
            OSError: As the system says.
        """
        folder, name = self._open(place, make=True)
        temporary = f".{secrets.token_hex(8)}.farmd-tmp"
        target = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            try:
                fill(target)
                os.fchmod(target, mode)
                if mtime_ns is not None:
                    os.utime(target, ns=(mtime_ns, mtime_ns))
            finally:
                os.close(target)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise

    def status(self, place: str) -> os.stat_result | None:
        """Look at what is there, never through a link; None if nothing is."""
        try:
            folder, name = self._open(place, make=False)
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open_file(self, place: str) -> int:
        """Open a file for reading, never through a link.

        Raises:
            OSError: As the system says.
        """
        folder, name = self._open(place, make=False)
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)

    def _open(self, place: str, *, make: bool) -> tuple[int, str]:
        """Return the descriptor of the folder of `place`, and the name in it; the last folder stays open."""
        way, _, name = place.rpartition("/")
        if way == self._here[0]:
            return self._here[1], name
        folder = os.dup(self._root)
        for part in way.split("/") if way else ():
            outer = folder
            try:
                folder = self._step(outer, part, make=make)
            finally:
                os.close(outer)
        if self._here[1] != self._root:
            os.close(self._here[1])
        self._here = (way, folder)
        return folder, name

    @staticmethod
    def _step(outer: int, part: str, *, make: bool) -> int:
        if make:
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=outer)
        try:
            return os.open(part, _FOLDER, dir_fd=outer)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise PeerError(f"{part!r} is a link or a file where a folder should be") from error
            raise
