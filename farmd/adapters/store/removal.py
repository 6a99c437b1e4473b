"""Giving a store up: count what stands in it, and remove it, while no daemon can open it. Called by `farmd join`."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from farmd.adapters.store.file import ASIDE, failure, open_for_reading, refuse_newer
from farmd.adapters.store.sqlite import FILE_NAME, hold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COUNT = "SELECT kind, count(*) FROM rec GROUP BY kind"


@contextmanager
def out_of_use(data_dir: Path) -> Iterator[None]:
    """Keep every daemon out of a data dir meanwhile.

    Raises:
        UserError: One uses it.
    """
    held = hold(data_dir)
    try:
        yield
    finally:
        os.close(held)


def count_rows(data_dir: Path) -> Counter[int]:
    """Count the rows of each kind; none if there is no store.

    Raises:
        UserError: A newer farmd wrote it.
        StoreFailed: It cannot be read.
    """
    path = data_dir / FILE_NAME
    if not path.exists():
        return Counter()
    try:
        with closing(open_for_reading(path)) as connection:
            refuse_newer(connection, path)
            return Counter(dict(connection.execute(_COUNT)))
    except sqlite3.Error as error:
        raise failure(error, "read") from error


def was_corrupt(data_dir: Path) -> bool:
    """Tell whether an earlier store was set aside, of which nobody knows what stood in it."""
    return any(data_dir.glob(f"{ASIDE}*"))


def remove(data_dir: Path) -> None:
    """Remove the store for good; its write-ahead log goes last, since alone it is worth nothing."""
    for suffix in ("", "-running", "-shm", "-wal"):
        (data_dir / f"{FILE_NAME}{suffix}").unlink(missing_ok=True)
