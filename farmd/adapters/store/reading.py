"""Rows of one kind, read without opening the store: whether a daemon has it open or none runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from farmd.adapters.store.file import failure, open_for_reading, refuse_newer
from farmd.adapters.store.sqlite import FILE_NAME
from protocol.records import Rec

if TYPE_CHECKING:
    from pathlib import Path

    from protocol.records import Kind

_ROWS = "SELECT kind, pk, ver, hlc, origin, seq, rank, body FROM rec WHERE kind = ? ORDER BY pk"


def read_rows(data_dir: Path, kind: Kind) -> list[Rec]:
    """Read the rows of a kind as this machine knows them; none if there is no store.

    Raises:
        UserError: A newer farmd wrote it.
        StoreFailed: It cannot be read.
    """
    path = data_dir / FILE_NAME
    if not path.exists():
        return []
    try:
        with closing(open_for_reading(path)) as connection:
            refuse_newer(connection, path)
            return [Rec._make(row) for row in connection.execute(_ROWS, (int(kind),))]
    except sqlite3.Error as error:
        raise failure(error, "read") from error
