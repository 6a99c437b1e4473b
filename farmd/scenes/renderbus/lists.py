"""The lists of files: upload.json and asset.json, read for what a job needs, and written from the files that it has.

A list that an imported job kept is given back as it was, with what has changed in place and what has come since at its
end; so nothing that another program put into it is lost.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from farmd.scenes.renderbus.paths import server_path, slashed
from farmd.scenes.renderbus.plain import Document, list_at, text_at
from protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LINE: Final = re.compile(r"(?P<path>.*?)\s+\(mtime (?P<mtime>[^()]*)\)\s+size (?P<size>\d+)\s*", re.DOTALL)


class File(NamedTuple):
    """A file of a job.

    Attributes:
        local: Its absolute path, as the task writes it.
        size_bytes: Of it.
        mtime_ms: Of it.
        md5: Hexadecimal digits.
        xxh64: xxHash64, seed 0.
    """

    local: str
    size_bytes: int
    mtime_ms: int
    md5: str
    xxh64: int


class Listed(NamedTuple):
    """What the lists of a task say of its files.

    Attributes:
        scene: The scene; "" = not said.
        scene_md5: Of it when the task was made; "" = not said.
        files: All of them, the scene too if it is listed; each once.
    """

    scene: str
    scene_md5: str
    files: tuple[str, ...]


def read_upload(upload: Document) -> Listed:
    """Read upload.json.

    Raises:
        UsageError: It is not of that form, or keeps a file elsewhere than its path says.
    """
    scenes = [_row(row) for row in _rows_at(upload, "scene")]
    assets = [_row(row) for row in _rows_at(upload, "asset")]
    first = scenes[0] if scenes else ("", "")
    return Listed(*first, tuple(dict.fromkeys(local for local, _ in (*scenes, *assets))))


def _rows_at(upload: Document, name: str) -> list[Any]:
    """Return the rows of a list; for some programs the scene is one row without a list around it."""
    found = upload.get(name)
    return [found] if found and isinstance(found, dict) else list_at(upload, name)


def _row(row: object) -> tuple[str, str]:
    local = text_at(row, "local") if isinstance(row, dict) else None
    if not isinstance(row, dict) or local is None:
        raise UsageError("upload.json cannot be read", f"{str(row)[:80]!r} names no local file", "write it anew")
    return slashed(local), (text_at(row, "hash") or "").lower()


def read_assets(asset: Document) -> tuple[str, ...]:
    """Return the paths that asset.json lists.

    Raises:
        UsageError: It is not of that form.
    """
    lines = list_at(asset, "asset")
    if not all(isinstance(line, str) for line in lines):
        raise UsageError(
            "asset.json cannot be read", "its list 'asset' holds something else than lines", "write it anew"
        )
    return tuple(dict.fromkeys(slashed(_path_in(line)) for line in lines if line.strip()))


def _path_in(line: str) -> str:
    found = _LINE.fullmatch(line)
    return found["path"] if found else line


def write_upload(kept: Document, scene: str, files: Sequence[File]) -> Document:
    """Write upload.json.

    Args:
        kept: As it was when the job was imported; empty for a job that was not.
        scene: Local path of the scene.
        files: All files of the job.
    """
    scenes = [file for file in files if file.local == scene]
    others = [file for file in files if file.local != scene]
    document: Document = {name: value for name, value in kept.items() if name not in ("scene", "asset")}
    if kept.get("scene") or not kept:
        rows = _rows(_rows_at(kept, "scene"), scenes)
        document["scene"] = rows[0] if isinstance(kept.get("scene"), dict) else rows
    # The service's own client lists the scene among the assets too, at their end.
    document["asset"] = _rows(_rows_at(kept, "asset"), others if kept.get("scene") else [*others, *scenes])
    return {name: document[name] for name in (*kept, *document) if name in document}


def _rows(old: Iterable[Any], files: Iterable[File]) -> list[Any]:
    by_local = {file.local: file for file in files}
    rows = [_refreshed(row, by_local) for row in old]
    listed = {_row(row)[0] for row in rows}
    return [*rows, *(_new_row(file) for file in by_local.values() if file.local not in listed)]


def _refreshed(row: Document, by_local: dict[str, File]) -> Document:
    file = by_local.get(_row(row)[0])
    written = (text_at(row, "hash") or "").lower()
    if file is None or written in ("", file.md5):
        return row
    return row | {
        name: value for name, value in _new_row(file).items() if name in row and name not in ("local", "server")
    }


def _new_row(file: File) -> Document:
    return {"local": file.local, "server": server_path(file.local), "hash": file.md5, "xxhash": str(file.xxh64)}


def write_assets(kept: Document, scene: str, files: Sequence[File], known: Iterable[str] = ()) -> Document:
    """Write asset.json.

    Args:
        kept: As it was when the job was imported.
        scene: Local path of the scene.
        files: All files of the job.
        known: Paths that were listed elsewhere when the job was imported, and not here.
    """
    others = {file.local: file for file in files if file.local != scene}
    document = dict(kept)
    if not kept:
        sizes = [file.size_bytes for file in files if file.local == scene]
        document = {"scene_file": scene, "scene_file_size": sum(sizes)}
    lines = [_refreshed_line(line, others) for line in list_at(kept, "asset")]
    listed = {slashed(_path_in(line)) for line in lines} | set(known)
    added = [_line(file) for file in others.values() if file.local not in listed]
    if kept and [*lines, *added] == list_at(kept, "asset"):
        return document
    document |= {"asset_num": len(lines) + len(added), "asset_size": _total([*lines, *added])}
    document["asset"] = [*lines, *added]
    if not kept:
        document["missing"] = {}
    return document


def _refreshed_line(line: str, files: dict[str, File]) -> str:
    found = _LINE.fullmatch(line)
    file = files.get(slashed(_path_in(line)))
    return line if file is None or found is None or int(found["size"]) == file.size_bytes else _line(file)


def _line(file: File) -> str:
    changed = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(file.mtime_ms // 1000))
    return f"{file.local}  (mtime {changed}) size {file.size_bytes}"


def _total(lines: Iterable[str]) -> int:
    return sum(int(found["size"]) for found in map(_LINE.fullmatch, lines) if found)
