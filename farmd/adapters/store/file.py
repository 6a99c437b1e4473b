"""The SQLite file under the store: its schema, how it is opened and loaded, what happens when it is broken.

Everything here is synchronous and runs on the thread of the connection. A file of a newer schema is refused, never
touched; a corrupt one is set aside under another name, never deleted: its rows are at the peers, and a person may want
to look at it. Only its owner may read it, whatever the folder allows: rows of hooks carry addresses and signing secrets.
"""

from __future__ import annotations

import gc
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack

from farmd.core.effects import Note
from protocol.errors import FarmError, UserError
from protocol.records import Rec

if TYPE_CHECKING:
    from collections.abc import Iterable

MIGRATIONS = Path(__file__).parents[1] / "sql"
CHECKPOINT_PAGES = 4_000
ASIDE = "rec.corrupt-"
"""Beginning of the name under which a corrupt file is kept."""
TRANSACTION = "-- one transaction"
SIDE_FILES = ("", "-wal", "-shm")
"""What follows the name of the store's file; SQLite gives the others the mode of the first."""
ROWS = "SELECT kind, pk, ver, hlc, origin, seq, rank, body FROM rec ORDER BY kind, pk"

_BUSY_S = 5.0
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
_as_rec = partial(tuple.__new__, Rec)
"""`Rec._make` without its check of the length: a third of the time to load a million rows."""


class StoreFailed(FarmError):
    """The store could not write or read; nothing of that transaction is there, and it may be tried again."""


class StoreFull(StoreFailed):
    """The disk is full; the store works again as soon as there is room."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What stood in the store when it was opened.

    Attributes:
        rows: All replicated rows, by kind and key.
        vector: Version vector: origin -> sequence number.
        meta: Local facts; what was saved as a tuple comes back as a list.
        notes: What had to be done to open it (an unclean exit, a corrupt file set aside), for the event log.
        salvaged: Facts read from a corrupt file that was set aside. Term, vote and epoch are worth keeping; its
            origin must never be used again.
        power_cut: The machine went down while the store was open: a disk may have lost what it had confirmed.
    """

    rows: list[Rec]
    vector: dict[int, int]
    meta: dict[str, Any]
    notes: tuple[Note, ...] = ()
    salvaged: dict[str, Any] = field(default_factory=dict)
    power_cut: bool = False


class Ledger(sqlite3.Connection):
    """A connection on which `executemany(TRANSACTION, steps)` carries out all steps in one transaction."""

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Run one statement for many rows, or a whole transaction."""
        if sql != TRANSACTION:
            return super().executemany(sql, parameters)
        self._roll_back()  # a roll-back that failed on a full disk must not block every later commit
        cursor = self.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in parameters:
                cursor.executemany(statement, rows)
            cursor.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._roll_back()
            raise
        return cursor

    def _roll_back(self) -> None:
        if self.in_transaction:
            self.execute("ROLLBACK")


def begin(path: Path, *, unclean: bool) -> tuple[Ledger, Loaded]:
    """Open and load; a corrupt file is set aside and a fresh one begun."""
    at_ms = time.time_ns() // 1_000_000
    notes: list[Note] = []
    if unclean:
        notes.append(Note(at_ms, "store.unclean", "the last run ended without closing the store: checked"))
    try:
        ledger, loaded = _open_and_load(path, unclean=unclean)
        return ledger, Loaded(loaded.rows, loaded.vector, loaded.meta, tuple(notes))
    except sqlite3.DatabaseError as error:
        if not _is_corruption(error):
            raise
        salvaged = _salvage(path)
        aside = _set_aside(path, at_ms)
        notes.append(Note(at_ms, "store.corrupt", f"{error}: kept as {aside}, begun anew, to be rebuilt from peers"))
    ledger, loaded = _open_and_load(path, unclean=False)
    return ledger, Loaded(loaded.rows, loaded.vector, loaded.meta, tuple(notes), salvaged)


def keep_private(path: Path) -> None:
    """Make the store's file, if there is none, and close it and what was set aside to everybody but the owner."""
    path.touch(mode=0o600)
    for name in [path.with_name(path.name + suffix) for suffix in SIDE_FILES]:
        with suppress(FileNotFoundError):
            name.chmod(0o600)
    for name in path.parent.glob(f"{ASIDE}*"):
        with suppress(FileNotFoundError, PermissionError):  # a copy that root made is root's to close
            name.chmod(0o600)


def _open_and_load(path: Path, *, unclean: bool) -> tuple[Ledger, Loaded]:
    keep_private(path)
    ledger = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, factory=Ledger)
    try:
        refuse_newer(ledger, path)
        ledger.execute("PRAGMA journal_mode = WAL")
        ledger.execute("PRAGMA synchronous = FULL")
        ledger.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        if unclean:
            _quick_check(ledger)
        migrate(ledger, MIGRATIONS)
        return ledger, _load(ledger)
    except BaseException:
        ledger.close()
        raise


def refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    """Leave a store alone whose schema this version does not know.

    Raises:
        UserError: It is newer.
    """
    found, known = _version(connection), max(_numbered(MIGRATIONS))
    if found > known:
        raise UserError(
            f"{path} was written by a newer farmd",
            f"its schema is version {found}, this farmd knows versions up to {known}",
            "start the newer farmd again, or give this one an empty data directory",
        )


def _quick_check(connection: sqlite3.Connection) -> None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        error = sqlite3.DatabaseError(verdict)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def migrate(connection: sqlite3.Connection, folder: Path) -> None:
    """Apply the numbered migrations that the file lacks, each in one transaction with its version."""
    for number, script in sorted(_numbered(folder).items()):
        if number <= _version(connection):
            continue
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{script.read_text()}\nPRAGMA user_version = {number};\nCOMMIT;"
            )
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _numbered(folder: Path) -> dict[int, Path]:
    return {int(script.name[:3]): script for script in folder.glob("[0-9][0-9][0-9]_*.sql")}


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _load(connection: sqlite3.Connection) -> Loaded:
    collecting = gc.isenabled()
    gc.disable()  # a million new tuples would start dozens of full collections, all in vain
    try:
        rows = list(map(_as_rec, connection.execute(ROWS)))
    finally:
        if collecting:
            gc.enable()
    return Loaded(rows, dict(connection.execute("SELECT origin, seq FROM vector")), _facts(connection))


def _facts(connection: sqlite3.Connection) -> dict[str, Any]:
    return {key: msgpack.unpackb(value) for key, value in connection.execute("SELECT key, value FROM meta")}


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a read-only connection; it may read while the writer writes."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None)


def _salvage(path: Path) -> dict[str, Any]:
    try:
        with closing(open_for_reading(path)) as connection:
            return _facts(connection)
    except (sqlite3.Error, ValueError, msgpack.UnpackException):
        return {}


def _set_aside(path: Path, at_ms: int) -> str:
    aside = path.with_name(f"{ASIDE}{at_ms}")
    for suffix in SIDE_FILES:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside.name


def _is_corruption(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN


def failure(error: Exception, doing: str) -> StoreFailed:
    """Tell a full disk from everything else; `doing` completes "cannot … the store"."""
    full = getattr(error, "sqlite_errorcode", 0) in _FULL
    return (StoreFull if full else StoreFailed)(f"cannot {doing} the store: {error}")
