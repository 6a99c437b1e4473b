"""A folder that nothing gets out of: names that came from elsewhere are resolved inside it, and nowhere else.

Two guards, since each alone has a hole. `place_of` looks at the name: no `..`, no root, no NUL. `Tree` looks at the disk:
it goes down folder by folder on descriptors with O_NOFOLLOW, so that a symbolic link that somebody left inside (a script
in a scene, an artist in the output folder) leads nowhere either. A file appears under its name complete or not at all.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from protocol.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PLAIN = re.compile(r"(?:(?!\.{1,2}(?:/|\Z))[^/\0:\ud800-\udfff]{1,63}(?:/(?!\Z)|\Z))+")
"""What nearly all paths are: no drive, and short enough in any letters; they need no closer look."""
_MAX_PLAIN_CHARS = 750
_DRIVE = re.compile(r"([A-Za-z]):/")
_MAX_NAME_BYTES = 255
_MAX_PLACE_BYTES = 3_000
"""Room is left below PATH_MAX (4,096) for the folder that the tree lies in."""
_MAX_ASIDE = 1_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def place_of(path: str) -> str:
    """Return where below a tree a path of a manifest lies: `a/b` stays, `C:/x` becomes `C/x`.

    Raises:
        PeerError: It would lead out of the tree, or names no file.
    """
    if len(path) <= _MAX_PLAIN_CHARS and _PLAIN.fullmatch(path):
        return path
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

    def put(
        self,
        place: str,
        fill: Callable[[int], None],
        *,
        mode: int,
        mtime_ns: int | None = None,
        aside: bool = False,
        part: str = "",
    ) -> str:
        """Write one file; folders on the way are made.

        Args:
            place: Where; what `place_of` returns.
            fill: Writes the content to the descriptor that it is given; if it raises, nothing has changed.
            mode: Permissions of the file.
            mtime_ns: Set unless None.
            aside: What has the name keeps its content under another one, instead of being replaced.
            part: Name of a file beside it that an interrupted `fill` leaves and the next one is given again, at its
                end; one at a time. Empty = nothing is left.

        Returns:
            The name that what was there has now, or "".

        Raises:
            PeerError: A link or a file stands where a folder should be.
            OSError: As the system says.
        """
        folder, name = self._open(place, make=True)
        temporary, target = _open_temporary(folder, part)
        try:
            try:
                fill(target)
                os.fchmod(target, mode)
                if mtime_ns is not None:
                    os.utime(target, ns=(mtime_ns, mtime_ns))
                kept = _move_aside(folder, name) if aside else ""
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                if temporary != part or not os.fstat(target).st_size:
                    with suppress(OSError):
                        os.unlink(temporary, dir_fd=folder)
                raise
        finally:
            os.close(target)
        return kept

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


def _open_temporary(folder: int, part: str) -> tuple[str, int]:
    """Open the part to go on with, if nobody else does, or a new file; returns its name and descriptor."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    if part:
        target = os.open(part, flags, 0o600, dir_fd=folder)
        if _is_ours(folder, part, target):
            os.lseek(target, 0, os.SEEK_END)
            return part, target
        os.close(target)
    temporary = f".{os.urandom(8).hex()}.farmd-tmp"
    return temporary, os.open(temporary, flags | os.O_EXCL, 0o600, dir_fd=folder)


def _is_ours(folder: int, part: str, target: int) -> bool:
    """Lock a part; False if somebody else writes it, or has given it its name in this moment."""
    try:
        fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a drive without locks; what two have mixed up does not match its hash
    try:
        return os.path.samestat(os.fstat(target), os.stat(part, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _move_aside(folder: int, name: str) -> str:
    """Give what has a name another one, as numbered backups have it; "" if nothing has it."""
    try:
        is_folder = stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return ""
    if is_folder:
        raise IsADirectoryError(errno.EISDIR, f"a folder has the name {name}")
    for number in range(1, _MAX_ASIDE):
        kept = f"{name}.~{number}~"
        with suppress(FileExistsError):
            # The name is taken with an empty file first: renaming alone would replace what another has put there.
            os.close(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder))
            try:
                os.rename(name, kept, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                os.unlink(kept, dir_fd=folder)
                raise
            return kept
    raise FileExistsError(errno.EEXIST, f"{name} has {_MAX_ASIDE - 1} older files beside it")
