"""From the files of a task to what a job needs: the files here, what is asked for, what cannot be had, what is kept.

A task is often made on another machine, with its paths. Each file is looked for where it is said to be, and else below
the folder of task.json, in the tree that the service keeps: `D:/show/x.exr` as `D/show/x.exr`. What is found there
becomes a path rule of the job, so that the scene finds it too, and the way back to the paths as they were written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from farmd.scenes.content import Remark
from farmd.scenes.renderbus.back import is_ours
from farmd.scenes.renderbus.fields import own_part, read_wish
from farmd.scenes.renderbus.kept import pack_kept
from farmd.scenes.renderbus.lists import Listed, read_assets, read_upload
from farmd.scenes.renderbus.paths import Rules, mapped, server_path, top_of
from farmd.scenes.renderbus.plain import Document, object_at, parse_document
from farmd.scenes.renderbus.remarks import refuse_impossible, remarks_of
from protocol.errors import NotFound, UsageError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from farmd.scenes.renderbus.wish import Wish
    from protocol.frames import FrameSet

DOCUMENTS: Final = ("task", "upload", "asset", "tips")
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Ordered:
    """What a task became.

    Attributes:
        wish: What is asked for.
        more: Further fields of a job's specification, by dotted names, as our own export wrote them.
        scene: The scene here.
        scene_md5: Of the scene when the task was made, hexadecimal; "" = not said.
        inputs: All other files, here.
        rules: Prefix as the task writes it -> where its files are here.
        foreign: What is kept for the way back.
        remarks: What a person should know.
    """

    wish: Wish
    more: Document
    scene: Path
    scene_md5: str
    inputs: tuple[Path, ...]
    rules: Rules
    foreign: bytes
    remarks: tuple[Remark, ...]


def read_order(
    task: Document,
    folder: Path,
    *,
    renderer: str | None = None,
    frames: FrameSet | None = None,
    rules: Iterable[tuple[str, str]] = (),
) -> Ordered:
    """Read a task and the files beside it.

    Args:
        task: What `recognise` has read.
        folder: Where it lies.
        renderer: What renders it, if a person says so.
        frames: The same of its frames.
        rules: Path rules that a person gives.

    Raises:
        UserError: It cannot be imported, or files are missing.
    """
    refuse_impossible(task)
    documents = {"task": task} | {name: _beside(folder, name) for name in DOCUMENTS[1:]}
    wish = read_wish(task, renderer=renderer, frames=frames)
    listed = _listed(documents, wish.scene)
    more = object_at(own_part(task), "more")
    search = _Search(folder.absolute(), (*rules, *_pairs(more.get("path_rules"))))
    scene = search.scene(listed.scene or wish.scene)
    inputs = search.files(name for name in listed.files if name != listed.scene)
    foreign, remarks = _kept(documents, wish, more, search.found)
    return Ordered(
        wish=wish,
        more=more,
        scene=scene,
        scene_md5=listed.scene_md5,
        inputs=tuple(path for path in inputs if path != scene),
        rules=tuple(search.found.items()),
        foreign=foreign,
        remarks=(*remarks_of(task, documents["tips"], wish), *_of_lists(documents), *remarks),
    )


def _beside(folder: Path, name: str) -> Document:
    path = folder / f"{name}.json"
    try:
        return parse_document(path.read_bytes(), str(path))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"cannot read {path}", str(error.strerror), "check the permissions of the file") from error


def _listed(documents: Document, scene: str) -> Listed:
    """Return the files of a task: those to upload, or, where nobody says that, those that the analysis found."""
    listed = read_upload(documents["upload"])
    files = listed.files if documents["upload"] else read_assets(documents["asset"])
    first = scene or listed.scene
    if not first:
        raise UsageError(
            "the task has no scene", "neither input_cg_file nor upload.json names one", "correct task.json"
        )
    return Listed(first, listed.scene_md5 if listed.scene in ("", first) else "", files)


def _pairs(plain: object) -> Rules:
    if not isinstance(plain, list):
        return ()
    return tuple((str(rule[0]), str(rule[1])) for rule in plain if isinstance(rule, list) and len(rule) == 2)


class _Search:
    """Finds files that are named by paths of another machine."""

    def __init__(self, folder: Path, rules: Rules) -> None:
        self._folder = folder
        self._rules = rules
        self.found: dict[str, str] = {}

    def scene(self, written: str) -> Path:
        """Find the scene; it may also lie right beside task.json.

        Raises:
            NotFound: It is nowhere.
        """
        path = self._path(written)
        beside = self._folder / written.rpartition("/")[2]
        if path is None and beside.is_file():
            self.found[written] = str(beside)
            return beside
        if path is None:
            raise self._missing([written], "the scene is not on this machine")
        return path

    def files(self, written: Iterable[str]) -> tuple[Path, ...]:
        """Find files.

        Raises:
            NotFound: Some are nowhere.
        """
        found = {name: self._path(name) for name in written}
        missing = [name for name, path in found.items() if path is None]
        if missing:
            raise self._missing(missing, f"{len(missing)} of {len(found)} files are not on this machine")
        return tuple(path for path in found.values() if path is not None)

    def _path(self, written: str) -> Path | None:
        """Find a file: where it is said to be, where a rule leads, in the tree below the task."""
        if written.startswith("/") and Path(written).exists():
            return Path(written)
        for rule in self._rules:
            here = Path(mapped(written, [rule]))
            if here.is_absolute() and here.exists():
                self.found[rule[0]] = rule[1]
                return here
        tree = self._folder / server_path(written).lstrip("/")
        if not tree.exists():
            return None
        top = top_of(written)
        self.found[top] = f"{self._folder / server_path(top).lstrip('/')}/"
        return tree

    def _missing(self, names: list[str], what: str) -> NotFound:
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        tree = self._folder / server_path(names[0]).lstrip("/")
        return NotFound(what, f"there is no {shown}", f"put them below the folder of the task: {tree}")


def _kept(documents: Document, wish: Wish, more: Document, found: dict[str, str]) -> tuple[bytes, tuple[Remark, ...]]:
    """Pack what the way back needs; nothing for a task that we wrote ourselves and nobody has changed."""
    if is_ours(documents["task"], wish, more) and not documents["tips"]:
        return pack_kept({"places": [list(rule) for rule in found.items()]})[0] if found else b"", ()
    present: dict[str, Any] = {name: document for name, document in documents.items() if document}
    foreign, left_out = pack_kept(present | {"places": [list(rule) for rule in found.items()]})
    if not left_out:
        return foreign, ()
    files = ", ".join(f"{name}.json" for name in left_out)
    return foreign, (Remark("kept", f"too large to be kept for the way back, and written anew then: {files}"),)


def _of_lists(documents: Document) -> tuple[Remark, ...]:
    if documents["upload"]:
        return ()
    if documents["asset"]:
        return (Remark("upload", "there is no upload.json beside it: the files are those of asset.json"),)
    return (Remark("upload", "there is no upload.json beside it: only the scene is sent"),)
