"""Scenes of this machine, below the folders that the administrator named: which files they need, hashed and handed over.

The daemon's user can read what clients must not, its own keys among it, and who can write into a share can swap a link
between a look and a read. So every file is opened first and then asked where it really lies; what is hashed and sent is
read from that very descriptor. A scene is analysed by its name, in a process that holds it open and tells of it only if
it was not replaced (`farmd.web.analysis_process`).
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farmd.ingest.hashing import hash_descriptor
from farmd.web.errors import Refusal
from farmd.web.sending import beside, missing, send_file
from protocol.human import counted
from protocol.pathrules import PathRule, for_platform, platform_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from farmd.web.endpoints import Asked
    from protocol.ids import BlobAddress


def path_here(asked: Asked, written: str) -> tuple[Path, tuple[Path, ...]]:
    """Return a scene of this machine that may be read, and the folders that all it needs must lie in.

    Raises:
        Refusal: It is none of those that may be, whether it is there or not.
    """
    folders = asked.parts.settings.scenes
    real = os.path.realpath(written) if written.startswith("/") and "\0" not in written else ""
    if not lies_in(real, folders):
        why = "it is not below a folder whose scenes may be named, and you have sent no file of this name"
        raise Refusal(403, f"{written[:120]!r} is not read", why, "send it, or: farmd web --scenes DIR")
    return Path(real), folders


def lies_in(real: str, folders: Sequence[Path]) -> bool:
    """Tell whether a path without links lies below one of some folders."""
    roots = [os.path.realpath(folder).rstrip("/") for folder in folders]
    return any(real.startswith(f"{root}/") for root in roots)


def open_inside(path: str, folders: Sequence[Path]) -> int:
    """Open a file that really lies below one of some folders; returns its descriptor.

    Raises:
        Refusal: It does not, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Refusal(409, f"{path[:160]} cannot be read", str(error.strerror), "check its permissions") from error
    if lies_in(str(Path(f"/proc/self/fd/{descriptor}").readlink()), folders):
        return descriptor
    os.close(descriptor)
    raise Refusal(403, f"{path[:160]} is not read", "it is not below a folder whose scenes may be named")


async def farm_rules(asked: Asked) -> tuple[tuple[str, str], ...]:
    """Return the farm's path rules that hold on this machine: a render would follow them, too."""
    rows = (await asked.call("path.list"))["rules"]
    rules = [PathRule(str(row["written"]), str(row["becomes"]), str(row["platform"])) for row in rows]
    return tuple((rule.written, rule.becomes) for rule in for_platform(rules, platform_of(sys.platform)))


async def files_here(asked: Asked, scene: str, *, allow_missing: bool) -> dict[str, BlobAddress]:
    """Find the files that a scene of this machine needs, and hand them over to the daemon.

    Args:
        asked: The request.
        scene: Its path, as written.
        allow_missing: Go on although some are not there.

    Returns:
        The content of each, by path; the scene comes first.

    Raises:
        UserError: The scene may not be read, or files are missing.
    """
    path, folders = path_here(asked, scene)
    analyst, rules = asked.parts.analyst, await farm_rules(asked)
    found = (await analyst.analyse(asked.user, path, folders, rules))["analysis"]
    stopping = [one for one in found["missing"] if one["stops"]]
    if stopping and not allow_missing:
        raise _missing_refusal(stopping)
    paths = [str(path), *(str(one["path"]) for one in found["found"])]
    blobs = {name: await beside(partial(_address_of, name, folders)) for name in paths}
    lacking = await missing(asked, blobs.values())
    for name, blob in blobs.items():
        if str(blob) in lacking:
            descriptor = await asyncio.to_thread(open_inside, name, folders)
            try:
                await send_file(asked, blob, Path(f"/proc/self/fd/{descriptor}"))
            finally:
                os.close(descriptor)
    return blobs


def _address_of(path: str, folders: Sequence[Path]) -> BlobAddress:
    descriptor = open_inside(path, folders)
    try:
        return hash_descriptor(descriptor)
    finally:
        os.close(descriptor)


def _missing_refusal(missing_files: Sequence[dict[str, Any]]) -> Refusal:
    shown = ", ".join(f"{one['written']} ({one['text']})" for one in missing_files[:3])
    return Refusal(
        409,
        f"{counted(len(missing_files), 'file')} of the scene missing",
        shown[:300],
        'put them there, or say "allow_missing": true',
        more={"missing": [{"written": one["written"], "text": one["text"]} for one in missing_files[:1000]]},
    )
