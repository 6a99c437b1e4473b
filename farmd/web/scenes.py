"""`POST /api/scene/analyse` and `POST /api/scene/upload`: what a scene needs, and which files are still to be sent.

A scene is a file of this machine below a folder that the administrator named, or one that its owner has sent. For the
latter a tree is made in which each declared file has its place: those that are scenes themselves with their content, all
others as holes of the right name, since of a texture nothing is looked at but that it is there.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from farmd.scenes.readers import FORMATS
from farmd.scenes.renderbus.lists import File, write_upload
from farmd.scenes.renderbus.paths import server_path
from farmd.web.errors import Refusal
from farmd.web.here import farm_rules, path_here
from farmd.web.layout import place_in_tree, plain_path, refuse_clashes, rules_into
from farmd.web.sending import missing
from farmd.web.spool import Declared
from protocol.api import MAX_CHUNK_BYTES
from protocol.human import counted, format_size

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from farmd.web.endpoints import Asked
    from farmd.web.schemas import FileRow
    from farmd.web.spool import Mine
    from protocol.ids import BlobAddress

SCHEMA: Final = "farm.upload.v1"
_ENDINGS: Final = "|".join(kind.names for kind in FORMATS)
_MAX_READ_BYTES: Final = 4 << 30
"""Of all scenes that one analysis reads."""


async def analyse_scene(asked: Asked) -> dict[str, Any]:
    """Say what a scene needs."""
    body = asked.body
    await asked.call("blob.missing", blobs=[])  # whoever may not send files does not keep this machine busy either
    if body.scene_hash is None:
        declared = await asyncio.to_thread(_declared_for, asked, body.scene_file)
    else:
        scene_md5 = body.scene_hash.lower()
        files = await asyncio.to_thread(asked.parts.spool.user(asked.user).get_set, scene_md5)
        declared = scene_md5, files or [Declared(plain_path(body.scene_file), scene_md5, 0)]
    if declared is not None:
        return await _analyse_sent(asked, *declared)
    scene, folders = path_here(asked, body.scene_file)
    return await asked.parts.analyst.analyse(asked.user, scene, folders, await farm_rules(asked))


def _declared_for(asked: Asked, written: str) -> tuple[str, list[Declared]] | None:
    """Find the newest list whose scene has this path."""
    for scene_md5, files in asked.parts.spool.user(asked.user).sets():
        for file in files:
            if file.md5 == scene_md5 and file.local == written.replace("\\", "/"):
                return scene_md5, files
    return None


async def _analyse_sent(asked: Asked, scene_md5: str, files: Sequence[Declared]) -> dict[str, Any]:
    mine = asked.parts.spool.user(asked.user)
    arrived = await asyncio.to_thread(_arrived, mine, files)
    scene = next(file for file in files if file.md5 == scene_md5)
    if scene not in arrived or await missing(asked, (arrived[scene],)):
        raise Refusal(
            409, "the scene is not here yet", f"{scene.local} was declared", f"PUT /api/files/{scene_md5}, then again"
        )
    async with asked.parts.analyst.turn(asked.user) as analyse, _tree(mine.root) as tree:
        scenes, holes = _sorted_out(scene, files, arrived)
        async with asked.parts.spool.room.for_tree(tree, sum(blob.size for blob in scenes.values())):
            await _fill(asked, tree, scenes, holes)
            rules = rules_into(str(tree), [file.local for file in files])
            return await analyse(tree / place_in_tree(scene.local), (tree,), rules, _names(rules))


def _arrived(mine: Mine, files: Sequence[Declared]) -> dict[Declared, BlobAddress]:
    return {file: blob for file in files if (blob := mine.arrived(file.md5)) is not None}


def _names(rules: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Say what paths in a tree are called by who sent them; the longest first."""
    return {here: written for written, here in sorted(rules, key=lambda rule: -len(rule[1]))}


@asynccontextmanager
async def _tree(root: Path) -> AsyncIterator[Path]:
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="tree-", dir=root))
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _sorted_out(
    scene: Declared, files: Iterable[Declared], arrived: Mapping[Declared, BlobAddress]
) -> tuple[dict[str, BlobAddress], dict[str, int]]:
    """Tell which files are looked into, and which are only looked for.

    Args:
        scene: Which is looked into whatever else is.
        files: All, the scene among them.
        arrived: Content of those that have been sent.

    Returns:
        Contents of scenes, and sizes of all others, both by their places in a tree.

    Raises:
        Refusal: The scene is too large.
    """
    scenes = {place_in_tree(scene.local): arrived[scene]}
    holes: dict[str, int] = {}
    room = _MAX_READ_BYTES - arrived[scene].size
    if room < 0:
        why = f"at most {format_size(_MAX_READ_BYTES)} are looked into"
        raise Refusal(413, "the scene is too large", why, "analyse it where it lies: farmctl scene analyse")
    for file in files:
        place, blob = place_in_tree(file.local), arrived.get(file)
        if re.fullmatch(_ENDINGS, Path(place).suffix.lower()) is None:
            holes[place] = blob.size if blob is not None else 0
        elif blob is not None and blob.size <= room and place not in scenes:
            room -= blob.size
            scenes[place] = blob
    return scenes, {place: size for place, size in holes.items() if place not in scenes}


async def _fill(asked: Asked, tree: Path, scenes: Mapping[str, BlobAddress], holes: Mapping[str, int]) -> None:
    try:
        await asyncio.to_thread(_make_holes, tree, holes)
        for place, blob in scenes.items():
            (tree / place).parent.mkdir(parents=True, exist_ok=True)
            await _bring(asked, blob, tree / place, partial(asked.parts.spool.room.has_come, tree))
    except OSError as error:
        raise Refusal(
            409, "the files cannot be laid out", str(error.strerror), "tell the admin of this machine"
        ) from error


def _make_holes(tree: Path, holes: Mapping[str, int]) -> None:
    for place, size in holes.items():
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        with (tree / place).open("wb") as file:
            file.truncate(size)


async def _bring(asked: Asked, blob: BlobAddress, path: Path, came: Callable[[int], None]) -> None:
    with path.open("wb") as file:
        offset = 0
        while offset < blob.size:
            answer = await asked.call("blob.get", blob=str(blob), offset=offset, limit=MAX_CHUNK_BYTES)
            if not answer["data"]:
                return
            offset += file.write(answer["data"])
            file.flush()
            came(len(answer["data"]))


async def upload_scene(asked: Asked) -> dict[str, Any]:
    """Take the list of files of a scene, and say which of them are still to be sent."""
    scene_md5 = asked.body.scene_hash.lower()
    await asked.call("blob.missing", blobs=[])  # whoever may not send files leaves no list of them either
    files = await asyncio.to_thread(declared_files, asked.body.files)
    scene = next((file for file in files if file.md5 == scene_md5), None)
    if scene is None:
        raise Refusal(422, "scene_hash names no file", "no file of the list has this hash", "list the scene too")
    await asyncio.to_thread(asked.parts.spool.declare, asked.user, scene_md5, files)
    rows = [File(file.local, 0, 0, file.md5, file.xxh64) for file in files]
    return {"schema": SCHEMA, **write_upload({}, scene.local, rows), "lacking": await lacking(asked, files)}


def declared_files(rows: Sequence[FileRow]) -> list[Declared]:
    """Read a list of files.

    Raises:
        UserError: A path is none, or two files cannot lie beside each other.
    """
    files: dict[str, Declared] = {}
    for row in rows:
        file = Declared(plain_path(row.local), row.hash.lower(), int(row.xxhash))
        if files.setdefault(file.local, file) != file:
            raise Refusal(422, f"{file.local[:120]!r} is listed twice", "with two contents", "list each file once")
    refuse_clashes(files)
    return list(files.values())


async def lacking(asked: Asked, files: Sequence[Declared]) -> list[dict[str, Any]]:
    """List the files that are still to be sent, each content once, and how much of each is here."""
    mine = asked.parts.spool.user(asked.user)
    by_md5 = {file.md5: file for file in files}
    blobs = await asyncio.to_thread(lambda: {md5: mine.arrived(md5) for md5 in by_md5})
    gone = await missing(asked, [blob for blob in blobs.values() if blob is not None])
    rows = []
    for md5, file in by_md5.items():
        blob = blobs[md5]
        if blob is None or str(blob) in gone or file.xxh64 not in (0, blob.xxh64):
            have = mine.have_bytes(md5)
            rows.append({"local": file.local, "server": server_path(file.local), "hash": md5, "have_bytes": have})
    return rows


def lacking_refusal(rows: Sequence[dict[str, Any]]) -> Refusal:
    """Say that files are still to be sent."""
    shown = ", ".join(str(row["local"]) for row in rows[:3]) + (" …" if len(rows) > 3 else "")
    return Refusal(
        409,
        f"{counted(len(rows), 'file')} still to be sent",
        shown[:300],
        "PUT /api/files/{hash}, then again",
        more={"lacking": list(rows[:1000])},
    )
