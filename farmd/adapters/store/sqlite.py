"""The record store: one SQLite file that holds everything this node has promised.

Invariant: when `commit` has returned, its rows, vector entries and facts survive a kill and a power cut, together; when
it has raised, none of them is there (a commit is idempotent, so the driver tries it again). One connection writes and
makes every checkpoint, on a thread of its own; readers open read-only connections and close them at once.

Decided here: only what belongs to the file (its schema version, whether it is sound, who may open it). Which version of
a row wins was decided by the core before; this module must never compare stamps.

Two properties of aiosqlite 0.22 are worked around through documented doors only:
- each call is one hop to the thread, and a transaction of several statements would be five or more. `sqlite3` lets a
  program bring its own connection class, and aiosqlite takes any connector: `Ledger` carries out a whole transaction
  as one `executemany`. (Rejected: aiosqlite's private `_execute`.)
- its thread is no daemon: a main coroutine that raises before `close` hangs the process at exit. A thread inherits
  `daemon` from the one that makes it, so a daemon thread makes the connection object.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from dataclasses import astuple, replace
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

import aiosqlite
import msgpack

from farmd.adapters.store.eventlog import COLUMNS, EventFilter, note_of, question
from farmd.adapters.store.file import TRANSACTION, Loaded, StoreFailed, begin, failure, open_for_reading
from protocol.errors import FarmError, InvariantBroken, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from farmd.core.effects import Note, Save
    from protocol.records import Rec

    Step = tuple[str, Iterable[Iterable[Any]]]
    """One statement of a transaction, and its parameter rows."""

FILE_NAME = "rec.db"
NOTES_KEPT = 100_000
NOTES_KEPT_MS = 90 * 86_400_000
EVERYTHING = EventFilter()
TRIM_EVERY = 1_000
"""Notes written between two trims of the event log."""

_UPSERT = "INSERT OR REPLACE INTO rec (kind, pk, ver, hlc, origin, seq, rank, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_DROP = "DELETE FROM rec WHERE kind = ? AND pk = ?"
_VECTOR = "INSERT OR REPLACE INTO vector (origin, seq) VALUES (?, ?)"
_META = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)"
_NOTE = (
    f"INSERT INTO note ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  # constants
    " ON CONFLICT (key) WHERE key != '' DO NOTHING"
)
"""A line whose key is there already is the same event, and is left out."""
_TRIM_BY_COUNT = "DELETE FROM note WHERE id <= (SELECT max(id) FROM note) - ?"
_TRIM_BY_AGE = (
    "DELETE FROM note WHERE id < (SELECT id FROM note WHERE at_ms >= ? ORDER BY id LIMIT 1)"
    " AND id <= (SELECT min(id) FROM note) + ?"
)
"""No more than twice what came since the last trim: an hour with a clock that is years ahead must not take them all."""


class SqliteStore:
    """The store of one data directory. Usable as a context manager that closes; `open` it inside.

    Attributes:
        added: Lines that were added to the event log in this life.
    """

    def __init__(self, data_dir: Path, boot: str = "") -> None:
        """Prepare; nothing is touched before `open`.

        Args:
            data_dir: Where the file is.
            boot: Names this boot of the machine: a store left open in another one was left by a power cut.
        """
        self._boot = boot
        self._dir = data_dir
        self._path = data_dir / FILE_NAME
        self._running_mark = data_dir / f"{FILE_NAME}-running"
        self._lock: int | None = None
        self._writer: aiosqlite.Connection | None = None
        self._untrimmed = 0
        self._is_trimmed = False  # lives may be too short to come to their first trim
        self._is_marked = False
        self._noted: asyncio.Future[None] | None = None
        self.added = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> Loaded:
        """Lock the directory, bring the schema up to date, load everything.

        Raises:
            UserError: Another daemon uses the directory, or a newer farmd has written it.
            StoreFailed: The file cannot be opened.
        """
        self._lock = hold(self._dir)
        left_by = self._left_by()
        unclean = left_by is not None
        opened: list[Loaded] = []

        def connect() -> sqlite3.Connection:
            if not unclean:
                self._mark_running()
            self._path.touch(mode=0o600)
            _sync_folder(self._dir)  # both names are durable before the first commit
            ledger, loaded = begin(self._path, unclean=unclean)
            opened.append(loaded)
            return ledger

        try:
            self._writer = await _connect(connect)
        except BaseException as error:
            if not unclean:
                self._running_mark.unlink(missing_ok=True)
            self._unlock()
            if isinstance(error, sqlite3.Error | OSError):
                raise failure(error, "open") from error
            raise
        self._is_marked = left_by in (None, self._boot)
        return replace(opened.pop(), power_cut=not self._is_marked)

    def _mark_running(self) -> None:
        self._running_mark.write_text(self._boot, encoding="ascii")
        self._is_marked = True

    def _left_by(self) -> str | None:
        """Name the boot in which the store was left open; None if it was closed."""
        try:
            return self._running_mark.read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return None

    async def close(self) -> None:
        """Checkpoint, close and unlock; does nothing when it is not open."""
        writer, self._writer = self._writer, None
        try:
            if writer is not None:
                await writer.close()
                self._running_mark.unlink(missing_ok=True)
        finally:
            self._unlock()

    async def commit(self, saves: Sequence[Save], notes: Sequence[Note] = ()) -> None:
        """Write everything in one transaction, later saves over earlier ones; return when it is durable.

        Raises:
            StoreFull: No room; nothing was written.
            StoreFailed: An I/O error, or not open.
            InvariantBroken: A number of a row does not fit 63 bits and a sign.
        """
        if self._writer is None:
            raise StoreFailed("cannot write the store: it is not open")
        steps = [*merged(saves), *self._note_steps(notes)]
        if not steps:
            return
        try:
            await self._writer.executemany(TRANSACTION, steps)
        except sqlite3.Error as error:
            raise failure(error, "write") from error
        except OverflowError as error:  # to try again would never help: the core must refuse such a row
            raise InvariantBroken(f"a number of a row to be saved does not fit 64 bits: {error}") from error
        if not self._is_marked:  # the core has made a note of the power cut: it need not be told again
            self._mark_running()
        self._untrimmed = (self._untrimmed + len(notes)) % TRIM_EVERY
        self._is_trimmed = self._is_trimmed or bool(notes)
        self.added += len(notes)
        if notes and self._noted is not None:
            self._noted.set_result(None)
            self._noted = None

    async def notes(
        self, limit: int, after: int | None = None, wanted: EventFilter = EVERYTHING
    ) -> list[tuple[int, Note]]:
        """Read the event log, oldest first: (number, note).

        Args:
            limit: Most lines to return.
            after: Lines with larger numbers only, from there on; None = the last `limit` lines.
            wanted: Which lines.

        Raises:
            StoreFailed: The file cannot be read.
        """
        sql, values = question(limit, after, wanted)
        try:
            reader = await _connect(partial(open_for_reading, self._path))
            try:
                lines = await reader.execute_fetchall(sql, values)
            finally:
                await reader.close()
        except sqlite3.Error as error:
            raise failure(error, "read") from error
        return [note_of(tuple(line)) for line in lines]

    async def noted(self, known: int, wait_s: float) -> bool:
        """Wait until more than the `known` lines were `added` to the event log; False if none were for so long."""
        if self.added > known:
            return True
        waiting = self._noted = self._noted or asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait({waiting}, timeout=wait_s)
        return bool(done)

    def _note_steps(self, notes: Sequence[Note]) -> list[Step]:
        if not notes:
            return []
        lines = [astuple(note) for note in notes]
        steps: list[Step] = [(_NOTE, lines)]
        if self._untrimmed + len(notes) >= TRIM_EVERY or not self._is_trimmed:
            oldest_ms = notes[-1].at_ms - NOTES_KEPT_MS
            steps += [(_TRIM_BY_COUNT, [(NOTES_KEPT,)]), (_TRIM_BY_AGE, [(oldest_ms, 2 * TRIM_EVERY)])]
        return steps

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def merged(saves: Iterable[Save]) -> list[Step]:
    """Merge saves in order into the fewest statements; within one save, what it drops goes after its rows."""
    rows: dict[tuple[int, bytes], Rec] = {}
    dropped: dict[tuple[int, bytes], None] = {}
    vector: dict[int, int] = {}
    meta: dict[str, Any] = {}
    for save in saves:
        for row in save.rows:
            rows[row.kind, row.pk] = row
            dropped.pop((row.kind, row.pk), None)
        for key in save.dropped:
            rows.pop(key, None)
            dropped[key] = None
        vector.update(save.vector)
        meta.update(save.meta)
    packed = [(key, msgpack.packb(value)) for key, value in meta.items()]
    steps: list[Step] = [
        (_DROP, list(dropped)),
        (_UPSERT, list(rows.values())),
        (_VECTOR, list(vector.items())),
        (_META, packed),
    ]
    return [step for step in steps if step[1]]


async def _connect(connect: Callable[[], sqlite3.Connection]) -> aiosqlite.Connection:
    """Run `connect` on a new thread, which does not keep the process alive (see the top of this module).

    When a connector raises, aiosqlite stops its thread without waiting for it, and the thread then calls into an event
    loop that may be closed; so an expected error is handed over beside a stand-in, which is closed in the regular way.
    """
    failed: list[Exception] = []

    def connector() -> sqlite3.Connection:
        try:
            return connect()
        except (sqlite3.Error, OSError, FarmError) as error:
            failed.append(error)
            return sqlite3.connect(":memory:")

    made: list[aiosqlite.Connection] = []
    maker = Thread(target=lambda: made.append(aiosqlite.Connection(connector, 64)), daemon=True)
    maker.start()
    maker.join()
    connection = await made.pop()
    if failed:
        await connection.close()
        raise failed.pop()
    return connection


def hold(data_dir: Path) -> int:
    """Hold the data directory for this process; the kernel lets go of it however the process ends.

    Returns:
        The descriptor that holds it: closing it lets go.

    Raises:
        UserError: Another process holds it, or it cannot be used.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        why = f"{error.strerror}: {error.filename}"
        raise UserError(
            f"cannot use the data directory {data_dir}", why, "name a folder that farmd may write"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise UserError(
            f"the data directory {data_dir} is in use",
            f"another farmd (process {holder}) has locked it",
            "stop that one first, or give this one a data directory of its own",
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
