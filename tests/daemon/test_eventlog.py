"""What `event.list` answers, and when: filters, pages, and waiting for what has not happened yet."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from farmd.adapters.store import SqliteStore
from farmd.core.effects import Note, ReadNotes
from farmd.core.events import ClientAsked, NotesRead
from farmd.daemon.eventlog import EventLog, recaller
from protocol.errors import NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from farmd.core.events import Event


class Names:
    """A node of which only names are asked."""

    id = "n0"
    jobs = ()

    @property
    def registry(self) -> Names:
        return self

    def find(self, text: str) -> list[str]:
        return [text] if text.startswith("n") else []

    def name_of(self, node: str) -> str:
        return f"ws-{node}"


def note(number: int, **rest: Any) -> Note:
    return Note(1_000 * number, "pause", f"event {number}", **rest)


def with_log(folder: Path, story: Callable[[SqliteStore, Callable[..., Awaitable[Any]]], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with SqliteStore(folder) as store:
            await store.open()
            node: Any = Names()
            handler = EventLog(store, node).handlers["event.list"]
            return await story(store, lambda **args: handler(ClientAsked(1, "event.list", args, "anna@ws07")))

    return asyncio.run(run())


def test_last_lines_and_those_after_a_number_come_with_the_number_to_go_on_from(tmp_path: Path) -> None:
    async def story(store: SqliteStore, ask: Callable[..., Awaitable[Any]]) -> None:
        await store.commit((), [note(number, node="n7", key=f"k{number}") for number in range(1, 11)])
        answer = await ask(limit=3)
        assert [event["text"] for event in answer["events"]] == ["event 8", "event 9", "event 10"]
        assert (answer["last"], answer["node_name"]) == (10, "ws-n0")
        answer = await ask(after=2, limit=2)
        assert [event["id"] for event in answer["events"]] == [3, 4]
        assert answer["last"] == 4
        assert (await ask(after=10))["last"] == 10
        event = answer["events"][0]
        assert (event["key"], event["actor"], event["node_name"], event["task"]) == ("k3", "farmd", "ws-n7", None)

    with_log(tmp_path, story)


def test_line_without_a_key_is_named_after_the_node_that_tells_it(tmp_path: Path) -> None:
    async def story(store: SqliteStore, ask: Callable[..., Awaitable[Any]]) -> None:
        await store.commit((), [note(1)])
        assert (await ask())["events"][0]["key"] == "n0.1"

    with_log(tmp_path, story)


def test_who_waits_is_answered_when_a_line_that_is_wanted_was_committed_and_not_before(tmp_path: Path) -> None:
    async def story(store: SqliteStore, ask: Callable[..., Awaitable[Any]]) -> None:
        waiting = asyncio.ensure_future(ask(after=0, wait_s=20, actor="ben"))
        await store.commit((), [note(1, actor="anna@ws07")])
        await asyncio.sleep(0.6)
        assert not waiting.done()
        began = time.monotonic()
        await store.commit((), [note(2, actor="ben@ws08")])
        answer = await asyncio.wait_for(waiting, 5)
        assert [event["id"] for event in answer["events"]] == [2]
        assert time.monotonic() - began < 2

    with_log(tmp_path, story)


def test_patience_ends_without_a_line(tmp_path: Path) -> None:
    async def story(store: SqliteStore, ask: Callable[..., Awaitable[Any]]) -> None:
        began = time.monotonic()
        assert (await ask(after=5, wait_s=0.3))["events"] == []
        assert 0.25 < time.monotonic() - began < 5

    with_log(tmp_path, story)


@pytest.mark.parametrize(
    ("args", "error"),
    [({"what": 7}, UsageError), ({"what": [1]}, UsageError), ({"node": "x"}, NotFound), ({"limit": "x"}, UsageError)],
)
def test_words_that_make_no_sense_are_refused(tmp_path: Path, args: dict[str, Any], error: type[Exception]) -> None:
    async def story(store: SqliteStore, ask: Callable[..., Awaitable[Any]]) -> None:
        with pytest.raises(error):
            await ask(**args)

    with_log(tmp_path, story)


def test_what_all_nodes_tell_is_read_for_one_that_was_away(tmp_path: Path) -> None:
    async def story(store: SqliteStore, ask: Callable[..., Awaitable[Any]]) -> None:
        told = [note(number, key=f"k{number}" if number % 2 else "") for number in range(1, 8)]
        await store.commit((), told)
        events: asyncio.Queue[Event] = asyncio.Queue()
        recaller(store, events.put_nowait)(ReadNotes(9, 2_000, 2))
        assert await asyncio.wait_for(events.get(), 5) == NotesRead(9, (told[4], told[6]))

    with_log(tmp_path, story)
