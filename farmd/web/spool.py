"""Files on their way in: each user's own folder, a part of each file, and what is known of those that arrived.

A file belongs to whoever sent it: nobody learns here whether somebody else has sent the same one, and a job can be made
only of files that its owner has sent. Names on disk are made here, of the user's name and hexadecimal digits; what a
client writes never becomes a path.

Layout below the spool: `u-<user>/parts/<md5>.part`, `u-<user>/arrived/<md5>.json` (the blob's address), `u-<user>/sets/
<scene md5>.json` (the list that was declared for a scene), `u-<user>/keys/<sha256>.json` (the job of an Idempotency-Key).
"""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from farmd.web.errors import Refusal
from farmd.web.room import Room
from farmd.web.settings import SPOOL_DAYS
from protocol.errors import PeerError
from protocol.ids import BlobAddress, JobId, new_job_id, parse_blob_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_USER: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_MD5: Final = re.compile(r"[0-9a-f]{32}")
MAX_SETS: Final = 100
"""Of one user; the oldest go."""
_MAX_SETS_BYTES: Final = 256 << 20
MAX_HASHES: Final = 1_000_000
"""Declared ones that are kept in memory, of all users; those of who has sent nothing for longest are read again."""
_KNOWN_DAYS: Final = 90
"""So long it is remembered that a file arrived; after that it is sent again."""


class Declared(NamedTuple):
    """One file of a list.

    Attributes:
        local: Where the artist's machine has it.
        md5: Hexadecimal digits.
        xxh64: xxHash64, seed 0.
    """

    local: str
    md5: str
    xxh64: int


class Spool:
    """All of it. Methods touch the disk: call them from a thread where much is read or written."""

    def __init__(self, root: Path, quota_bytes: int) -> None:
        self._root = root
        self._hashes: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._locks: dict[str, threading.Lock] = {}
        self.room = Room(root, quota_bytes)

    def open(self) -> None:
        """Make the folder, for this user alone, and clean up what was left behind."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root.chmod(0o700)
        self.clean()
        for path in (*self._root.glob("tree-*"), *self._root.glob("u-*/*/*.draft")):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def clean(self) -> None:
        """Let go of what nobody went on with for so many days: it counts for its user's quota."""
        kept = ("u-*/parts/*.part", SPOOL_DAYS), ("u-*/keys/*.json", SPOOL_DAYS), ("u-*/arrived/*.json", _KNOWN_DAYS)
        for pattern, days in kept:
            oldest = time.time() - days * 86_400
            for path in self._root.glob(pattern):
                with suppress(OSError):
                    if path.stat().st_mtime < oldest and not self.room.is_promised(path):
                        path.unlink()

    def user(self, name: str) -> Mine:
        """Return what belongs to one user.

        Raises:
            Refusal: The name is none that a user can have.
        """
        if not _USER.fullmatch(name):
            raise Refusal(403, "nothing can be sent", f"{name[:40]!r} is no name of a user", "ask an admin")
        folder = self._root / f"u-{name}"
        for part in ("", "parts", "arrived", "sets", "keys"):
            (folder / part).mkdir(mode=0o700, exist_ok=True)
        return Mine(folder, self._root)

    def declared_xxh64(self, name: str, md5: str) -> int | None:
        """Return the xxHash64 that a user declared for a file in the newest list that names it.

        Raises:
            Refusal: The name is none that a user can have.
        """
        with self._lock_of(name):
            return self._hashes_of(name).get(md5)

    def declare(self, name: str, scene_md5: str, files: list[Declared]) -> None:
        """Remember the files of a scene.

        Raises:
            Refusal: The name is none that a user can have.
        """
        with self._lock_of(name):
            hashes = self._hashes_of(name)
            if self.user(name).put_set(scene_md5, files):
                self._hashes.pop(name, None)  # they are of lists that are gone, too: read what is left
            else:
                hashes |= {file.md5: file.xxh64 for file in files}

    def job_of_key(self, name: str, key: str, request: str) -> JobId:
        """Return the id of the job that a request with a key makes, the same each time.

        Args:
            name: Of the user.
            key: Hash of the key.
            request: Hash of all that is asked.

        Raises:
            Refusal: The key came with another request, or the name is none that a user can have.
        """
        with self._lock_of(name):
            return self.user(name).job_of_key(key, request)

    def _lock_of(self, name: str) -> threading.Lock:
        return self._locks.setdefault(name, threading.Lock())

    def _hashes_of(self, name: str) -> dict[str, int]:
        """Return the xxHash64 of what a user declared, by MD5; the newest list that names a file counts."""
        hashes = self._hashes.pop(name, None)
        if hashes is None:
            lists = [files for _, files in self.user(name).sets()]
            hashes = {file.md5: file.xxh64 for files in reversed(lists) for file in files}
        room = MAX_HASHES - sum(map(len, list(self._hashes.values())))
        while len(hashes) > room and self._hashes:
            with suppress(KeyError):  # another thread was faster
                room += len(self._hashes.popitem(last=False)[1])
        self._hashes[name] = hashes
        return hashes


class Mine:
    """What one user has sent."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder
        self.root = root

    # -- files ------------------------------------------------------------------------------------------------------

    def part(self, md5: str) -> Path:
        """Where a file that is on its way lies."""
        return self._folder / "parts" / f"{_digits(md5)}.part"

    def have_bytes(self, md5: str) -> int:
        """Return how much of a file lies here."""
        try:
            return self.part(md5).stat().st_size
        except FileNotFoundError:
            return 0

    def arrived(self, md5: str) -> BlobAddress | None:
        """Return the address of a file that arrived; the daemon may have dropped it since."""
        try:
            return parse_blob_address(str(_read(self._arrived(md5))["blob"]))
        except (FileNotFoundError, KeyError, ValueError, PeerError):
            return None

    def note_arrived(self, blob: BlobAddress) -> None:
        """Remember a file that the daemon has now, and let go of what lies here of it."""
        md5 = blob.md5.hex()
        _write(self._arrived(md5), {"blob": str(blob)})
        self.part(md5).unlink(missing_ok=True)

    def forget(self, md5: str) -> None:
        """Let go of everything that is known of a file."""
        for path in (self._arrived(md5), self.part(md5)):
            path.unlink(missing_ok=True)

    def _arrived(self, md5: str) -> Path:
        return self._folder / "arrived" / f"{_digits(md5)}.json"

    # -- lists ------------------------------------------------------------------------------------------------------

    def put_set(self, scene_md5: str, files: list[Declared]) -> bool:
        """Remember the files of a scene; tells whether another list gave way to it, of this scene or an older one."""
        sets = self._folder / "sets"
        gave_way = self.get_set(scene_md5) not in (None, files)
        _write(sets / f"{_digits(scene_md5)}.json", {"files": [list(file) for file in files]})
        room = _MAX_SETS_BYTES
        for number, path in enumerate(sorted(sets.glob("*.json"), key=_changed_at, reverse=True)):
            room -= path.stat().st_size
            if number and (number >= MAX_SETS or room < 0):
                path.unlink(missing_ok=True)
                gave_way = True
        return gave_way

    def get_set(self, scene_md5: str) -> list[Declared] | None:
        """Return the files that were declared for a scene; None if none were."""
        try:
            rows = _read(self._folder / "sets" / f"{_digits(scene_md5)}.json")["files"]
            return [Declared(str(local), str(md5), int(xxh64)) for local, md5, xxh64 in rows]
        except (FileNotFoundError, KeyError, ValueError, TypeError):
            return None

    def sets(self) -> Iterator[tuple[str, list[Declared]]]:
        """Go through the lists, the newest first: MD5 of the scene, and the files."""
        for path in sorted((self._folder / "sets").glob("*.json"), key=_changed_at, reverse=True):
            files = self.get_set(path.stem)
            if files is not None:
                yield path.stem, files

    # -- submissions ------------------------------------------------------------------------------------------------

    def job_of_key(self, key: str, request: str) -> JobId:
        """See `Spool.job_of_key`."""
        path = self._folder / "keys" / f"{key}.json"
        try:
            known = _read(path)
        except (FileNotFoundError, ValueError):
            known = {"job": new_job_id(time.time_ns() // 1_000_000, random.SystemRandom()), "request": request}
            _write(path, known)
            _sync(path)
        if known.get("request") != request:
            raise Refusal(422, "the Idempotency-Key was used before", "with another request", "take a new one")
        return JobId(str(known.get("job")))


def _digits(md5: str) -> str:
    if not _MD5.fullmatch(md5):
        raise Refusal(422, f"{md5[:40]!r} is no MD5", "it has 32 hexadecimal digits", "hash the file again")
    return md5


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no object")  # noqa: TRY004  # whoever reads damaged files expects this
    return found


def _sync(path: Path) -> None:
    """See to it that a file is still there after a power cut."""
    for place in (path, path.parent):
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write(path: Path, plain: dict[str, Any]) -> None:
    draft = path.with_suffix(f".{secrets.token_hex(8)}.draft")
    draft.write_text(json.dumps(plain), encoding="utf-8")
    draft.replace(path)
