"""Questions to the daemon: whose turn it is, and what becomes of those that nobody answers."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from farmd.web import farm as farm_module
from farmd.web.errors import Refusal
from farmd.web.farm import CALL_S, Farm
from farmd.web.farmschemas import LogQuery
from farmd.web.jobs import show_thumbnail
from farmd.web.logs import list_logs, show_log, show_raw_log
from farmd.web.sending import beside
from farmd.web.turns import MAX_WAITING_EACH, QUICK_AT_ONCE, SLOW_EACH, Turns
from protocol.api import Response
from protocol.client import AsyncClient
from protocol.errors import Unreachable
from protocol.places import SOCKET_NAME
from tests.protocol.answering import Daemon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from protocol.api import Request


def answering(folder: Path, silent: frozenset[str] = frozenset()) -> Daemon:
    def answer(request: Request) -> list[Response]:
        return [] if request.op in silent else [Response(request.id, {"op": request.op})]

    return Daemon(f"ipc://{folder / SOCKET_NAME}", answer)


async def true(condition: Callable[[], bool]) -> None:
    """Let the loop go on until something holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what is looked at has no event
            await asyncio.sleep(0.001)


def test_a_user_has_only_so_many_questions_that_wait() -> None:
    async def scenario() -> None:
        turns = Turns()
        async with AsyncExitStack() as stack:
            for _ in range(MAX_WAITING_EACH):
                await stack.enter_async_context(turns.waiting("anna"))
            with pytest.raises(Refusal) as refused:
                await stack.enter_async_context(turns.waiting("anna"))
            await stack.enter_async_context(turns.waiting("ben"))
            await stack.enter_async_context(turns.slow("anna"))
            await stack.enter_async_context(turns.quick("anna"))
        assert (refused.value.status, turns._waiting.total(), turns._slow) == (429, 0, {})

    asyncio.run(scenario())


def test_slow_questions_of_one_user_wait_for_one_another_and_for_nobody_else() -> None:
    async def scenario() -> None:
        turns = Turns()
        ended = asyncio.Event()
        began: list[str] = []

        async def ask(user: str) -> None:
            async with turns.slow(user):
                began.append(user)
                await ended.wait()

        asking = [asyncio.create_task(ask("anna")) for _ in range(SLOW_EACH + 5)] + [asyncio.create_task(ask("ben"))]
        await true(lambda: "ben" in began)
        assert began.count("anna") == SLOW_EACH
        ended.set()
        await asyncio.gather(*asking)
        assert began.count("anna") == SLOW_EACH + 5

    asyncio.run(scenario())


def test_tokens_are_looked_at_while_all_quick_places_are_taken() -> None:
    async def scenario() -> None:
        turns = Turns()
        async with AsyncExitStack() as stack:
            for _ in range(QUICK_AT_ONCE):
                await stack.enter_async_context(turns.quick("anna"))
            async with asyncio.timeout(5), turns.quick(""):
                assert turns._quick.locked()

    asyncio.run(scenario())


@pytest.mark.parametrize("handler", [list_logs, show_log, show_raw_log, show_thumbnail])
def test_a_question_for_another_machine_takes_a_place_of_its_user(handler: Callable[[Any], Awaitable[Any]]) -> None:
    limits: list[float] = []

    async def call(_op: str, /, *, limit_s: float = CALL_S, **_args: Any) -> Any:
        limits.append(limit_s)
        return {"data": b"", "offset": 0, "size": 0, "ended": True, "attempt": 1}

    for offset in (None, 0):
        query = LogQuery(frame=1, offset=offset)
        asked = SimpleNamespace(call=call, path={"job": "j", "frame": "1"}, query=query)
        asyncio.run(handler(asked))  # type: ignore[arg-type]  # as much of a request as it needs
    assert min(limits) > CALL_S


def test_uploads_go_on_while_as_many_questions_wait_as_may(tmp_path: Path) -> None:
    async def scenario() -> None:
        farm = Farm(tmp_path)
        waiting = [
            asyncio.create_task(farm.call("anna", "farm.feed", limit_s=30.0, waits=True))
            for _ in range(MAX_WAITING_EACH)
        ]
        await true(lambda: farm._turns._waiting["anna"] == MAX_WAITING_EACH)
        puts = [farm.call("anna", "blob.put", limit_s=60.0) for _ in range(4 * SLOW_EACH)]
        async with asyncio.timeout(10):
            assert await asyncio.gather(*puts) == [{"op": "blob.put"}] * len(puts)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await farm.close()

    with closing(answering(tmp_path, frozenset({"farm.feed"}))):
        asyncio.run(scenario())


def test_an_order_that_was_not_answered_is_not_carried_out_when_the_daemon_is_back(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        farm = Farm(tmp_path)
        with closing(answering(tmp_path)):
            await farm.call("anna", "farm.status")
        for _ in range(2):  # the end of the connection, and then silence
            with pytest.raises(Unreachable):
                await farm.call("anna", "job.submit", limit_s=0.1)
        with closing(answering(tmp_path)) as daemon:
            assert await farm.call("anna", "farm.status") == {"op": "farm.status"}
            await farm.close()
            return [request.op for request in daemon.heard]

    assert asyncio.run(scenario()) == ["farm.status"]


def test_a_connection_that_others_displace_is_closed_after_its_last_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farm_module, "MAX_USERS", 1)
    held, told = threading.Event(), threading.Event()

    def answer(request: Request) -> list[Response]:
        if request.op == "slow":
            held.set()
            told.wait(10)
        return [Response(request.id, {"op": request.op})]

    async def scenario() -> None:
        farm = Farm(tmp_path)
        slow = asyncio.create_task(farm.call("anna", "slow", limit_s=10.0))
        await true(held.is_set)
        link = farm._links["anna"]
        await farm._opened("ben")  # the daemon of this test answers one question after another
        assert (list(farm._links), link.given_up, link.client._wire is not None) == (["ben"], True, True)
        told.set()
        assert await slow == {"op": "slow"}
        assert link.client._wire is None
        await farm.close()

    with closing(Daemon(f"ipc://{tmp_path / SOCKET_NAME}", answer)):
        asyncio.run(scenario())


def test_the_first_question_of_one_user_is_waited_for_by_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, may_open = AsyncClient.open, asyncio.Event()

    async def open_later(client: AsyncClient) -> AsyncClient:
        if client._acting_for == "ben":
            await may_open.wait()
        return await opened(client)

    monkeypatch.setattr(AsyncClient, "open", open_later)

    async def scenario() -> None:
        farm = Farm(tmp_path)
        first, second = (asyncio.create_task(farm.call("ben", "farm.status")) for _ in range(2))
        async with asyncio.timeout(10):
            for user in ("anna", "anna", "carl"):
                assert await farm.call(user, "farm.status") == {"op": "farm.status"}
            assert [first.done(), second.done()] == [False, False]
            may_open.set()
            assert await first == await second
        await farm.close()

    with closing(answering(tmp_path)):
        asyncio.run(scenario())


def test_files_that_are_hashed_keep_no_other_look_at_the_disk_waiting() -> None:
    async def scenario() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        done = threading.Event()
        hashing = [asyncio.create_task(beside(lambda: done.wait(10))) for _ in range(12)]
        try:
            async with asyncio.timeout(5):
                assert await asyncio.to_thread(lambda: 1) == 1
        finally:
            done.set()
        assert await asyncio.gather(*hashing) == [True] * 12

    asyncio.run(scenario())
