"""Answers `event.list`: who did what, when and why, as this node's log has it.

    after     the last number that the client has: lines after it come, oldest first; without it the last `limit` lines
    limit     most lines (100, at most 10,000)
    wait_s    answer when a line that is wanted was committed, or after so many seconds with none
    job, node, actor, what (words or patterns such as "attempt-*"), since_ms, until_ms   which lines are wanted

The answer (farm.events.v1) names the node whose log it is and the number to go on from. A line has the same `key` on
every node whose log has it. `events` is the older name of the operation. Waiting costs nothing: the store tells when
lines were added, and the file is read then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from farmd.adapters.client_door import Patient
from farmd.adapters.store import EventFilter
from farmd.core.arguments import find_job, number_of, seconds_of, text_of
from farmd.core.eventlog import FARM
from farmd.core.events import NotesRead
from protocol.errors import FarmError, NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from farmd.adapters.store import SqliteStore
    from farmd.core.effects import Note, ReadNotes
    from farmd.core.events import ClientAsked, Event
    from farmd.core.node import Node

MAX_LINES: Final = 10_000
MAX_WAIT_S: Final = 30.0
MAX_WORDS: Final = 50
PAUSE_S: Final = 0.25
"""Lines that come together are told together: at most four answers a second."""


class EventLog:
    """The event log for clients."""

    def __init__(self, store: SqliteStore, node: Node) -> None:
        self._store = store
        self._node = node

    @property
    def handlers(self) -> Mapping[str, Callable[[ClientAsked], Awaitable[Any]]]:
        """The table for the door."""
        return {"event.list": Patient(self._list), "events": Patient(self._list)}

    async def _list(self, asked: ClientAsked) -> dict[str, Any]:
        after = None if asked.args.get("after") is None else max(0, number_of(asked, "after", 0))
        limit = max(1, min(number_of(asked, "limit", 100), MAX_LINES))
        wait_s = seconds_of(asked, "wait_s", MAX_WAIT_S) if asked.args.get("wait_s") is not None else 0.0
        wanted = self._filter(asked)
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        known = self._store.added
        found = await self._store.notes(limit, after, wanted)
        while not found and after is not None and (left_s := until - loop.time()) > 0:
            if await self._store.noted(known, left_s):
                await asyncio.sleep(min(PAUSE_S, max(0.0, until - loop.time())))
            known = self._store.added
            found = await self._store.notes(limit, after, wanted)
        last = found[-1][0] if found else after or 0
        return {
            "schema": "farm.events.v1",
            "node": self._node.id,
            "node_name": self._node.registry.name_of(self._node.id),
            "last": last,
            "events": [self._view(number, note) for number, note in found],
        }

    def _filter(self, asked: ClientAsked) -> EventFilter:
        """Read what is wanted.

        Raises:
            UsageError: It makes no sense.
            NotFound: There is no such node.
        """
        what = asked.args.get("what") or ()
        words = (what,) if isinstance(what, str) else what
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise UsageError("the request names no words", f"it carries {what!r}", "")
        return EventFilter(
            job=self._job(text_of(asked, "job", "")),
            node=self._named(text_of(asked, "node", "")),
            actor=text_of(asked, "actor", ""),
            what=tuple(words[:MAX_WORDS]),
            since_ms=number_of(asked, "since_ms", 0),
            until_ms=number_of(asked, "until_ms", 0),
        )

    def _job(self, text: str) -> str:
        """Return the id of a job; one that is no more is named by its whole id."""
        if not text:
            return ""
        try:
            return find_job(self._node, text).id
        except NotFound:
            return text

    def _named(self, text: str) -> str:
        found = self._node.registry.find(text) if text else []
        if text and len(found) != 1:
            raise NotFound(
                f"no single node is called {text!r}", "neither a name nor an id of a node", "farmctl node list"
            )
        return found[0] if found else ""

    def _view(self, number: int, note: Note) -> dict[str, Any]:
        node = self._node
        return {
            "id": number,
            "key": note.key or f"{node.id}.{number}",
            "at_ms": note.at_ms,
            "noted_ms": note.noted_ms or note.at_ms,
            "what": note.what,
            "text": note.text,
            "why": note.why,
            "actor": note.actor or FARM,
            "job": note.job,
            "task": note.task if note.task >= 0 else None,
            "node": note.node,
            "node_name": node.registry.name_of(note.node) if note.node else "",  # type: ignore[arg-type]  # a node id
        }


def recaller(store: SqliteStore, post: Callable[[Event], None]) -> Callable[[ReadNotes], None]:
    """Make what carries out `ReadNotes`: reads what all nodes tell, for one that was away."""
    tasks: set[asyncio.Task[None]] = set()

    async def read(effect: ReadNotes) -> None:
        try:
            found = await store.notes(effect.limit, None, EventFilter(since_ms=effect.since_ms, keyed=True))
        except FarmError:
            found = []  # it asks another one, or does without
        post(NotesRead(effect.ask, tuple([note for _, note in found])))

    def recall(effect: ReadNotes) -> None:
        task = asyncio.get_running_loop().create_task(read(effect))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    return recall
