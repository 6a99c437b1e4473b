"""Questions for logs on threads: each is answered once, searches are few at a time and end when nobody waits."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from farmd.adapters.joblog import JobLogs, Seeker
from farmd.adapters.joblog.counts import LineCounts
from farmd.core.effects import LeaveLog, SeekLog
from farmd.daemon.loglooking import MAX_WAITING, SEARCHES, LogLooking
from farmd.renderers.errorlines import errors_of, level_of
from protocol.logquery import How, LogQuery
from tests.adapters.runnerkit import ref_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    import pytest

    from farmd.core.events import LogFound

EVIL = LogQuery(int(How.FIND | How.REGEX), pattern="(a+)+b")
TAIL = LogQuery(int(How.BACKWARDS), offset=-1)


def looked(folder: Path, story: Callable[[LogLooking, asyncio.Queue[LogFound]], Awaitable[None]]) -> list[Exception]:
    """Run a story with a log of one long line; returns what was raised in the loop."""

    async def run() -> list[Exception]:
        raised: list[Exception] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context["exception"]))
        logs = JobLogs(folder)
        logs.path(ref_of()).parent.mkdir(parents=True)
        logs.path(ref_of()).write_bytes(b"a" * 60 + b"\n")
        events: asyncio.Queue[Any] = asyncio.Queue()
        looking = LogLooking(Seeker(logs, errors_of, level_of), events.put_nowait)
        try:
            async with asyncio.timeout(15):
                await story(looking, events)
        finally:
            looking.close()
        return raised

    return asyncio.run(run())


def test_tail_is_answered_while_searches_take_their_time(tmp_path: Path) -> None:
    async def story(looking: LogLooking, events: asyncio.Queue[LogFound]) -> None:
        for ask in range(SEARCHES + 3):
            looking.seek(SeekLog(ask, ref_of(), EVIL))
        looking.seek(SeekLog(99, ref_of(), TAIL))
        found = await events.get()
        assert found.ask == 99
        assert found.excerpt.lines[0].text == "a" * 60
        for ask in range(SEARCHES + 3):
            looking.leave(LeaveLog(ask))
        ended = sorted([(await events.get()).ask for _ in range(SEARCHES)])
        assert ended == list(range(SEARCHES)), "those that had not begun never did"

    assert looked(tmp_path, story) == []


def test_tail_is_answered_while_the_lines_of_large_logs_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, count = threading.Event(), LineCounts.before

    def slow(self: LineCounts, name: str, fd: int, offset: int, *, always: bool) -> int | None:
        if always:
            counted.wait(10)
        return count(self, name, fd, offset, always=always)

    monkeypatch.setattr(LineCounts, "before", slow)

    async def story(looking: LogLooking, events: asyncio.Queue[LogFound]) -> None:
        for ask in range(4):
            looking.seek(SeekLog(ask, ref_of(), TAIL._replace(how=int(How.BACKWARDS | How.NUMBERS))))
        looking.seek(SeekLog(99, ref_of(), TAIL))
        assert (await events.get()).ask == 99
        counted.set()
        found = [await events.get() for _ in range(4)]
        assert [one.excerpt.lines[0].number for one in found] == [1] * 4

    assert looked(tmp_path, story) == []


def test_more_searches_than_may_wait_are_refused_at_once(tmp_path: Path) -> None:
    async def story(looking: LogLooking, events: asyncio.Queue[LogFound]) -> None:
        for ask in range(MAX_WAITING + 1):
            looking.seek(SeekLog(ask, ref_of(), EVIL))
        refused = await events.get()
        assert refused.ask == MAX_WAITING
        assert "too many searches" in refused.excerpt.fault

    assert looked(tmp_path, story) == []


def test_bug_in_a_question_is_an_answer_and_is_told(tmp_path: Path) -> None:
    async def story(looking: LogLooking, events: asyncio.Queue[LogFound]) -> None:
        many: Any = "many"
        broken = TAIL._replace(lines=many)
        looking.seek(SeekLog(1, ref_of(), broken))
        assert "TypeError" in (await events.get()).excerpt.fault
        await asyncio.sleep(0)

    assert [type(error) for error in looked(tmp_path, story)] == [TypeError]
