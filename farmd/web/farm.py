"""Questions to the daemon on behalf of users: one connection for each user, the least recently used closed first.

Whoever a token belongs to is named to the daemon (`acting_for`), which alone decides what that user may do and writes
the name into each event. This process has no rights of its own towards its clients: without a user nothing is asked
but whose a token is.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from farmd.web.errors import Refusal
from protocol.client import AsyncClient
from protocol.errors import FarmError, Unreachable, UserError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

MAX_USERS: Final = 64
"""Connections that are kept open."""
AT_ONCE: Final = 32
"""Questions that wait for an answer of the daemon: it serves dashboards and farmctl too."""
CALL_S: Final = 10.0
"""A question for which the daemon has longer may wait for something to happen."""
MAX_LONG_EACH: Final = 32


class Farm:
    """The daemon, as one user or as this program itself (user "")."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._clients: OrderedDict[str, AsyncClient] = OrderedDict()
        self._opening = asyncio.Lock()
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._waiting: Counter[str] = Counter()

    async def call(self, user: str, op: str, /, *, limit_s: float = CALL_S, **args: Any) -> Any:
        """Ask for one operation and return its data.

        Args:
            user: In whose name; "" = this program's own.
            op: The operation.
            limit_s: So long the daemon may take.
            args: Of the operation.

        Raises:
            UserError: The daemon says no, or nothing.
        """
        async with self._turn(user, limit_s):
            client = await self._client(user)
            parts: AsyncGenerator[Any, None] = client.stream(op, limit_s=limit_s, **args)
            try:
                async for data in parts:
                    return data
                raise Unreachable("the daemon gave an empty answer", "", "try again")
            except UserError:
                raise
            except FarmError as error:
                raise Unreachable("the daemon's answer cannot be read", str(error), "compare versions") from error
            finally:
                await parts.aclose()

    @asynccontextmanager
    async def _turn(self, user: str, limit_s: float) -> AsyncIterator[None]:
        """Wait for a turn; questions that may wait long take none of it away from others, and each user has few.

        Raises:
            Refusal: The user has too many.
        """
        if limit_s <= CALL_S:
            async with self._at_once:
                yield
            return
        if self._waiting[user] >= MAX_LONG_EACH:
            why = f"{MAX_LONG_EACH} of yours are open already"
            raise Refusal(429, "too many questions wait for an answer", why, "wait", headers={"Retry-After": "5"})
        self._waiting[user] += 1
        try:
            yield
        finally:
            self._waiting[user] -= 1
            if not self._waiting[user]:
                del self._waiting[user]

    async def _client(self, user: str) -> AsyncClient:
        async with self._opening:
            client = self._clients.get(user)
            if client is None:
                client = self._clients[user] = await AsyncClient(self._data_dir, acting_for=user).open()
            self._clients.move_to_end(user)
            if len(self._clients) > MAX_USERS:
                _, oldest = self._clients.popitem(last=False)
                asyncio.get_running_loop().call_later(2 * CALL_S, _close_soon, oldest)
            return client

    async def close(self) -> None:
        """End all connections."""
        while self._clients:
            _, client = self._clients.popitem()
            await client.close()


_closing: set[asyncio.Task[None]] = set()


def _close_soon(client: AsyncClient) -> None:
    """Close a connection after those who still wait on it have had their answers."""
    task = asyncio.get_running_loop().create_task(client.close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)
