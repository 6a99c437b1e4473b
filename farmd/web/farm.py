"""Questions to the daemon on behalf of users: one connection for each user, the least recently used closed first.

Whoever a token belongs to is named to the daemon (`acting_for`), which alone decides what that user may do and writes
the name into each event. This process has no rights of its own towards its clients: without a user nothing is asked
but whose a token is.

A connection over which no answer came is not used again: what still lies in its queue would reach a daemon that comes
back after the client was told that nothing had answered.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from farmd.web.turns import Turns
from protocol.client import AsyncClient
from protocol.errors import FarmError, Unreachable, UserError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

MAX_USERS: Final = 64
"""Connections that are kept open."""
CALL_S: Final = 10.0
"""A question for which the daemon has longer is a slow one."""
REACH_S: Final = 12.0
"""For a question that another machine answers, which may be silent: the daemon gives that up before."""


@dataclass(slots=True)
class _Link:
    """The connection of one user.

    Attributes:
        client: It.
        asking: How many questions wait for an answer on it.
        given_up: No further question goes out on it; it is closed with the last answer.
    """

    client: AsyncClient
    asking: int = 0
    given_up: bool = False


class Farm:
    """The daemon, as one user or as this program itself (user "")."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._links: OrderedDict[str, _Link] = OrderedDict()
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._turns = Turns()

    async def call(self, user: str, op: str, /, *, limit_s: float = CALL_S, waits: bool = False, **args: Any) -> Any:
        """Ask for one operation and return its data.

        Args:
            user: In whose name; "" = this program's own.
            op: The operation.
            limit_s: So long the daemon may take.
            waits: The daemon answers when something has happened.
            args: Of the operation.

        Raises:
            UserError: The daemon says no, or nothing.
        """
        async with self._turn(user, limit_s, waits=waits), self._link(user) as client:
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

    def _turn(self, user: str, limit_s: float, *, waits: bool) -> AbstractAsyncContextManager[None]:
        if waits:
            return self._turns.waiting(user)
        return self._turns.slow(user) if limit_s > CALL_S else self._turns.quick(user)

    @asynccontextmanager
    async def _link(self, user: str) -> AsyncIterator[AsyncClient]:
        """Lend a user's connection for one question."""
        link = await self._opened(user)
        link.asking += 1
        try:
            yield link.client
        except Unreachable:
            if self._links.get(user) is link:
                del self._links[user]
            link.given_up = True
            raise
        finally:
            link.asking -= 1
            await _close_unused(link)

    async def _opened(self, user: str) -> _Link:
        async with self._opening.setdefault(user, asyncio.Lock()):  # nobody waits for the link of another user
            link = self._links.get(user)
            if link is None:
                link = self._links[user] = _Link(await AsyncClient(self._data_dir, acting_for=user).open())
            self._links.move_to_end(user)
            if len(self._links) > MAX_USERS:
                _, oldest = self._links.popitem(last=False)
                oldest.given_up = True
                await _close_unused(oldest)
            return link

    async def close(self) -> None:
        """End all connections."""
        while self._links:
            _, link = self._links.popitem()
            await link.client.close()


async def _close_unused(link: _Link) -> None:
    """Close a connection that is given up, unless somebody still waits for an answer on it."""
    if link.given_up and not link.asking:
        await link.client.close()
