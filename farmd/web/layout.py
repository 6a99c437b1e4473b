"""Where the files of a user lie: in the manifest of a job, and in a tree that is made to look at a scene.

Paths are those of the artist's machine, Windows or not, written with slashes: `C:/Project/x`, `//filer/show/x`,
`/home/ada/x`. In a tree the drive is a folder of its letter and the share lies like a POSIX path, as the rule of the
render service has it (`C:/Project/x` -> `/C/Project/x`).
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final, NamedTuple

from farmd.ingest.manifest import Manifest, ManifestEntry
from farmd.ingest.tree import place_of
from farmd.scenes.renderbus.paths import slashed, top_of
from farmd.web.errors import Refusal
from protocol.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from protocol.ids import BlobAddress

_MODE: Final = 0o644


class Laid(NamedTuple):
    """Files in the tree of a job.

    Attributes:
        manifest: The list of files.
        scene: The scene's place in the tree.
        rules: Path rules that the job needs to find its files: for shares of a network.
    """

    manifest: Manifest
    scene: str
    rules: tuple[tuple[str, str], ...]


def plain_path(written: str) -> str:
    """Return a path with slashes, if it can be a file of somebody's machine.

    Raises:
        UsageError: It is not absolute, or leads upwards.
        Refusal: It has no place in a tree.
    """
    path = slashed(written)
    try:
        place_in_tree(path)
    except PeerError as error:
        raise Refusal(422, f"{written[:80]!r} cannot be sent", str(error)[:160], "rename the file") from error
    return path


def place_in_tree(path: str) -> str:
    """Say where in a tree a path lies.

    Raises:
        PeerError: Nowhere.
    """
    return place_of(path.lstrip("/"))


def rules_into(tree: str, paths: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return rules by which everything that paths name is read below a tree, and nothing else.

    Args:
        tree: Absolute.
        paths: With slashes.
    """
    tops = {top_of(path) for path in paths if not _is_posix(path)}
    rules = [
        (top, f"{tree}/{place_in_tree(top.rstrip('/'))}/" if ":" not in top else f"{tree}/{top[0].upper()}/")
        for top in sorted(tops)
    ]
    return (*rules, ("/", f"{tree}/"))


def lay_out(scene: str, files: Mapping[str, BlobAddress]) -> Laid:
    """Make the manifest of a job.

    Args:
        scene: Path of the scene, one of `files`.
        files: Path on the artist's machine -> content.

    Raises:
        Refusal: Two files would lie in one place, or one in another.
    """
    posix = [path for path in files if _is_posix(path)]
    drives = [path for path in files if path[1:2] == ":"]
    only_posix = len(posix) == len(files)
    root = posixpath.commonpath([posixpath.dirname(path) for path in posix]) if only_posix else "/" if posix else ""
    if len(posix) + len(drives) < len(files):
        root = "/"
    inner = {path: _inner(path, root) for path in files}
    entries = [ManifestEntry(inner[path], blob.size, 0, _MODE, blob.xxh64, blob.md5) for path, blob in files.items()]
    refuse_clashes([entry.path for entry in entries])
    manifest = Manifest(root, inner[scene], tuple(sorted(entries)))
    shares = sorted({top_of(path) for path in files if path.startswith("//")})
    return Laid(manifest, place_of(inner[scene]), tuple((share, f"/{share.lstrip('/')}") for share in shares))


def _is_posix(path: str) -> bool:
    return path.startswith("/") and not path.startswith("//")


def _inner(path: str, root: str) -> str:
    if path[1:2] == ":" or not root:
        return path
    if path.startswith("//"):
        return path.lstrip("/")
    return path.removeprefix(root.rstrip("/") + "/")


def refuse_clashes(paths: Iterable[str]) -> None:
    """Check that files can lie in one tree beside each other.

    Args:
        paths: As in a manifest, or as the artist's machine has them.

    Raises:
        Refusal: Two would lie in one place, or one in another.
    """
    places: dict[str, str] = {}
    for path in paths:
        place = place_in_tree(path)
        if place in places:
            raise Refusal(422, "two files would lie in one place", f"{places[place]} and {path}"[:200], "rename one")
        places[place] = path
    for place, path in places.items():
        folder = place.rpartition("/")[0]
        while folder:
            if folder in places:
                raise Refusal(422, "a file cannot be a folder too", f"{places[folder]} and {path}"[:200], "rename one")
            folder = folder.rpartition("/")[0]
