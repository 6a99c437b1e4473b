"""The event log on disk: filters, one line of an event, waiting for more, logs of an older version."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from farmd.adapters.store import EventFilter, SqliteStore
from farmd.adapters.store.file import MIGRATIONS
from farmd.core.effects import Note

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

NOTES = [
    Note(1_000, "pause", "shot", job="j1", actor="anna@ws07", key="a.1", why="lunch"),
    Note(2_000, "attempt-failed", "task 3: boom", "n1", "j1", "", task=3),
    Note(3_000, "attempt-stopped", "task 4: gone", "n2", "j2", "ben@ws08", task=4, key="b.7"),
    Note(4_000, "hold", "ws07", "n1", "", "annabel@ws07"),
]


def with_store(folder: Path, story: Callable[[SqliteStore], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with SqliteStore(folder) as store:
            await store.open()
            return await story(store)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (EventFilter(), [0, 1, 2, 3]),
        (EventFilter(job="j1"), [0, 1]),
        (EventFilter(node="n1"), [1, 3]),
        (EventFilter(actor="anna"), [0]),
        (EventFilter(actor="anna@ws07"), [0]),
        (EventFilter(actor="farmd"), [1]),
        (EventFilter(what=("attempt-*",)), [1, 2]),
        (EventFilter(what=("hold", "pause")), [0, 3]),
        (EventFilter(since_ms=2_000, until_ms=4_000), [1, 2]),
        (EventFilter(keyed=True), [0, 2]),
        (EventFilter(job="j2", node="n1"), []),
    ],
)
def test_filter_leaves_what_was_asked_for(tmp_path: Path, wanted: EventFilter, found: list[int]) -> None:
    async def story(store: SqliteStore) -> None:
        await store.commit((), NOTES)
        expected = [NOTES[index] for index in found]
        assert [note for _, note in await store.notes(10, None, wanted)] == expected
        assert [note for _, note in await store.notes(10, 0, wanted)] == expected
        assert [note for _, note in await store.notes(1, None, wanted)] == expected[-1:]
        assert [note for _, note in await store.notes(1, 0, wanted)] == expected[:1]

    with_store(tmp_path, story)


def test_event_that_is_known_is_kept_once_and_lines_without_a_key_each_time(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        await store.commit((), NOTES)
        again = [replace(NOTES[0], text="another word for it"), NOTES[1]]
        await store.commit((), again)
        assert [note for _, note in await store.notes(10)] == [*NOTES, NOTES[1]]

    with_store(tmp_path, story)


def test_who_waits_is_told_when_lines_were_added_also_of_those_that_came_before_it_waited(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        known = store.added
        waiting = asyncio.create_task(store.noted(known, 30))
        await asyncio.sleep(0)
        await store.commit((), NOTES[:1])
        assert await asyncio.wait_for(waiting, 5)
        assert await store.noted(known, 0), "a commit between reading and waiting is not missed"
        assert not await store.noted(store.added, 0.01)

    with_store(tmp_path, story)


def test_log_of_the_version_before_keeps_its_lines(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "rec.db")) as old:
        old.executescript((MIGRATIONS / "001_records.sql").read_text())
        old.execute("INSERT INTO note VALUES (1, 5, 'pause', 'shot', '', 'j1', 'anna@ws07', 9)")
        old.execute("PRAGMA user_version = 1")
        old.commit()

    async def story(store: SqliteStore) -> None:
        await store.commit((), NOTES[:1])
        assert [note for _, note in await store.notes(10)] == [
            Note(5, "pause", "shot", "", "j1", "anna@ws07", 9),
            NOTES[0],
        ]

    with_store(tmp_path, story)
