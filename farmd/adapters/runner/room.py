"""The place of one attempt: its folders, and the environment that its processes see.

Each attempt writes into its own place, so the outputs of two attempts never mix. The environment is the daemon's
without what speaks to or of the daemon itself (systemd's sockets, secrets, the virtual environment, the display of
whoever started it): licence servers and colour configurations that an administrator set for the service stay.

| variable | value |
|---|---|
| FARM_JOB, FARM_TASK, FARM_ATTEMPT | names of what runs |
| FARM_NODE, FARM_DAEMON | node that runs it, data folder of its daemon |
| FARM_FRAME, FARM_START, FARM_END | first frame of this process, first and last of this process |
| FARM_OUTPUT | folder for everything that it leaves |
| FARM_CORES, OMP_NUM_THREADS | processors that it may use |
| CUDA_VISIBLE_DEVICES | UUIDs of the GPUs that it may use; empty = none |
| TMPDIR | removed with the attempt |
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from farmd.adapters.runner.leftovers import MARK
from protocol.pathrules import PathMap, PathRule, for_platform, platform_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from farmd.adapters.runner.ports import Laid
    from farmd.core.effects import StartAttempt
    from protocol.ids import AttemptRef

_PRIVATE: Final = re.compile(
    r"FARM|PYTHON|VIRTUAL_ENV|NOTIFY_SOCKET|WATCHDOG_|LISTEN_|MAINPID|INVOCATION_ID|JOURNAL_STREAM|CREDENTIALS_DIRECTORY"
    r"|DISPLAY$|WAYLAND_DISPLAY|XAUTHORITY|DBUS_|SSH_|SUDO_|CUDA_VISIBLE_DEVICES|.*(?:SECRET|PASSWORD|PASSWD|TOKEN|PRIVATE_KEY)"
)
_SHARED: Final = "shared-"


@dataclass(frozen=True, slots=True)
class Room:
    """Folders and resources of one attempt.

    Attributes:
        checkout: Root of the job's files.
        folder: Goes when the attempt is over.
        cores: Processors that it may use.
        gpus: UUIDs of the GPUs that it may use.
        paths: What is read instead of the paths that its scene names; None if nothing is.
    """

    checkout: Path
    folder: Path
    cores: int
    gpus: tuple[str, ...]
    paths: PathMap | None = None

    @property
    def output_dir(self) -> Path:
        """Where the renderer writes; empty at first."""
        return self.folder

    @property
    def is_shared(self) -> bool:
        """Its attempt promises no output, and its folders are used again."""
        return self.folder.name.startswith(_SHARED)

    @property
    def scratch(self) -> Path:
        """For helper and temporary files."""
        return scratch_of(self.folder)

    def make(self) -> None:
        """Make the folders, empty even if a crashed daemon left some of the same name.

        Raises:
            OSError: The disk refused.
        """
        for folder in (self.output_dir, self.scratch):
            if not self.is_shared:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
            elif not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)


@lru_cache(256)
def scratch_of(folder: Path) -> Path:
    """Name the folder for temporary files that goes with an attempt's folder."""
    return folder.with_name(folder.name + ".tmp")


class Rooms:
    """Names the folders of attempts, and uses those that stayed empty again.

    Making and removing folders waits for the file system's journal, which the database keeps busy: for a frame that
    does nothing it was most of the cost. Only attempts that promise no output share names, one after the other, and
    nothing is ever collected from them; so outputs of two attempts cannot mix, even if a stray process writes late.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spare: list[Path] = []
        self._made = 0

    def take(self, ref: AttemptRef, *, promised: bool) -> Path:
        """Name a folder for an attempt."""
        if promised:
            return self._folder / str(ref).replace("/", "-")
        if self._spare:
            return self._spare.pop()
        self._made += 1
        return self._folder / f"{_SHARED}{self._made}"

    def give_back(self, folder: Path) -> bool:
        """Take a folder back after its attempt; False if it must be removed with what is in it."""
        shared = folder.name.startswith(_SHARED)
        for each in (folder, scratch_of(folder)):
            try:
                if not shared:
                    each.rmdir()
                elif os.listdir(each):  # noqa: PTH208 - a thousand times a second
                    return False
            except FileNotFoundError:
                shared = False  # it ended before it had one
            except OSError:
                return False
        if shared:
            self._spare.append(folder)
        return True


def paths_of(effect: StartAttempt, laid: Laid) -> PathMap | None:
    """Say what is read instead of written paths; a job without files and rules of its own pays nothing for it."""
    own = effect.spec.path_rules
    if laid.root is None and not own:
        return None
    job = tuple([PathRule(*pair) for pair in own])
    farm = for_platform(effect.path_rules, platform_of(sys.platform))
    return PathMap(job, farm, laid.root or "", str(laid.tree) if laid.root is not None else "")


def remove(folder: Path) -> None:
    """Remove both folders of an attempt with all that is in them; may take long."""
    for each in (folder, scratch_of(folder)):
        shutil.rmtree(each, ignore_errors=True)


def public_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out of the daemon's environment what is not for renderers."""
    return {name: value for name, value in environ.items() if not _PRIVATE.match(name)}


def environ_of(
    base: Mapping[str, str], ref: AttemptRef, *, node: str, frames: tuple[int, ...], room: Room
) -> dict[str, str]:
    """Compose the environment of one process."""
    return {
        **base,
        "FARM_JOB": ref.job,
        "FARM_TASK": str(ref.task),
        MARK: str(ref),
        "FARM_NODE": node,
        "FARM_FRAME": str(frames[0]),
        "FARM_START": str(frames[0]),
        "FARM_END": str(frames[-1]),
        "FARM_OUTPUT": str(room.output_dir),
        "FARM_CORES": str(room.cores),
        "OMP_NUM_THREADS": str(room.cores),
        "CUDA_VISIBLE_DEVICES": ",".join(room.gpus),
        "TMPDIR": str(room.scratch),
    }
