"""Is a store sound? Read-only: `farmd --check` may ask it of a store that is in use."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farmd.adapters.store.file import ROWS, failure, open_for_reading, refuse_newer
from farmd.adapters.store.sqlite import FILE_NAME
from protocol.errors import UserError
from protocol.records import Rec, row_hash

if TYPE_CHECKING:
    from pathlib import Path

_BEYOND_VECTOR = (
    "SELECT rec.kind, hex(rec.pk), rec.origin, rec.seq, vector.seq FROM rec LEFT JOIN vector USING (origin)"
    " WHERE vector.seq IS NULL OR rec.seq > vector.seq OR rec.seq < 1 LIMIT 5"
)
_SEQ_TWICE = "SELECT origin, seq, count(*) FROM rec GROUP BY origin, seq HAVING count(*) > 1 LIMIT 5"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `check` found; `digest` is the XOR of all row hashes, to compare with a node of equal vector."""

    rows: int
    vector: dict[int, int]
    digest: int
    problems: tuple[str, ...]


def check(data_dir: Path) -> Verdict:
    """Look at a store without changing it: is the file sound, does every row keep its invariants? (`farmd --check`).

    Raises:
        UserError: There is no store in this directory, or a newer farmd wrote it.
        StoreFailed: It cannot be read at all.
    """
    path = data_dir / FILE_NAME
    if not path.exists():
        raise UserError(f"no store in {data_dir}", f"{path} does not exist", "name the data directory of a node")
    try:
        with closing(open_for_reading(path)) as connection:
            refuse_newer(connection, path)
            problems = _problems(connection)
            digest, rows = 0, 0
            for line in connection.execute(ROWS):
                digest ^= row_hash(Rec._make(line))
                rows += 1
            return Verdict(rows, dict(connection.execute("SELECT origin, seq FROM vector")), digest, problems)
    except sqlite3.Error as error:
        raise failure(error, "check") from error


def _problems(connection: sqlite3.Connection) -> tuple[str, ...]:
    problems = [line for (line,) in connection.execute("PRAGMA quick_check(5)") if line != "ok"]
    for kind, pk, origin, seq, known in connection.execute(_BEYOND_VECTOR):
        problems.append(f"row {kind}/{pk} has number {seq} of stream {origin}, whose vector entry is {known}")
    for origin, seq, count in connection.execute(_SEQ_TWICE):
        problems.append(f"number {seq} of stream {origin} names {count} rows")
    return tuple(problems)
