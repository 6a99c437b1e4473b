"""Which files a job takes along: what was named, and everything below the folders that were named.

Links. A file is taken along as its content, by whatever link it was reached: a checkout holds files only. A link to a
folder is followed, out of the project too; one that leads to a folder above itself would never end and is refused. A
link that leads nowhere is a missing file and is named, with where it leads.

What has no content (a pipe, a socket, a device) and what cannot be listed is refused, never left out: a job that lacks
a file in silence renders the wrong picture.

Names are bytes to Linux and stay as they are: newlines, leading dashes, two ways to write one letter. Which of them can
travel is for `farmd.ingest.manifest` to say.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from farmd.ingest.finding import marks_of
from farmd.ingest.hashing import not_regular, unreadable
from protocol.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from farmd.ingest.finding import Marks

    Found = tuple[str, str, Marks]
    """One file: where a scene names it, how it is opened, and its marks, links followed.

    A scene names it by an absolute path without `..`, these taken lexically, as they will be inside the checkout, where
    there are no links.
    """


def original_of(path: str | os.PathLike[str]) -> str:
    """Return where a scene names this file."""
    name = os.path.abspath(os.fspath(path))  # noqa: PTH100  # resolve() would follow links
    return name[1:] if name.startswith("//") else name


def gather(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Found]:
    """Go through the files, each folder's in no order; one that was named twice comes twice.

    Raises:
        UserError: Something cannot be taken along.
    """
    for path in paths:
        original, opened = original_of(path), os.fspath(path)
        status = _status(opened)
        if stat.S_ISDIR(status.st_mode):
            yield from _below(original.rstrip("/"), opened.rstrip("/"))
        else:
            yield _file(original, opened, status)


def _below(original: str, path: str) -> Iterator[Found]:
    folders = [(original, path)]
    while folders:
        original, path = folders.pop()
        for name, marks in _listed(path or "/"):
            named = f"{original}/{name}"
            opened = named if path == original else f"{path}/{name}"
            kind = stat.S_IFMT(marks[2])
            if kind == stat.S_IFREG:
                yield named, opened, marks
            elif kind == stat.S_IFDIR or _is_folder_link(opened):
                folders.append((named, opened))
            else:
                yield _file(named, opened, _status(opened))


def _listed(folder: str) -> Iterator[tuple[str, Marks]]:
    """Look at what lies in a folder, not through links.

    It is opened, so that its path is not walked again for each. Looking at all of them and asking the status for the
    kind is faster than `os.scandir`, which makes an object of each first.
    """
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise unreadable(folder, error) from error
    name = ""
    try:
        for name in os.listdir(opened):  # noqa: PTH208  # a descriptor, not a path
            yield name, marks_of(os.lstat(name, dir_fd=opened))
    except OSError as error:
        raise unreadable(f"{folder}/{name}" if name else folder, error) from error
    finally:
        os.close(opened)


def _is_folder_link(path: str) -> bool:
    status = _status(path)
    if not stat.S_ISDIR(status.st_mode):
        return False
    _refuse_loop(path, status)
    return True


def _status(path: str) -> os.stat_result:
    """Look at a file, through links."""
    try:
        return os.stat(path)  # noqa: PTH116  # Path.stat costs half as much again
    except OSError as error:
        raise _missing_or_unreadable(path, error) from error


def _missing_or_unreadable(path: str, error: OSError) -> UserError:
    try:
        target = os.readlink(path)  # noqa: PTH115  # a path that is no Path
    except OSError:
        return unreadable(path, error)
    return UserError(
        f"cannot read {path}", f"it is a link to {target}: {error.strerror}", "bring that file back, or remove the link"
    )


def _file(original: str, path: str, status: os.stat_result) -> Found:
    if not stat.S_ISREG(status.st_mode):
        raise not_regular(path, status.st_mode)
    return original, path, marks_of(status)


def _refuse_loop(link: str, target: os.stat_result) -> None:
    """Refuse a link to a folder that it lies in, however far above: below it is the same link again."""
    folder = os.path.abspath(link)  # noqa: PTH100  # resolve() would follow links
    while folder != "/":
        folder = os.path.dirname(folder)  # noqa: PTH120  # a path that is no Path
        if os.path.samestat(_status(folder), target):
            raise UserError(
                f"{link} never ends",
                f"it is a link to {folder}, in which it lies",
                "remove the link, or name the files",
            )
