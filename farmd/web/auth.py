"""Who asks: a bearer token, which the daemon alone can tell the owner of.

Tokens are never kept, never logged, and taken from the Authorization header only: an address is written into logs and
histories. Wrong ones are counted by the address that they come from; past the limit nothing is asked of the daemon for
that address until time has passed, but for tokens that were good before: whoever tries tokens behind a proxy shuts
out nobody else.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from farmd.web.errors import Refusal
from protocol.errors import NotAllowed, NotFound, Unreachable, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from farmd.web.farm import Farm

WRONG_AT_ONCE: Final = 10
WRONG_REFILL_S: Final = 6.0
"""After so long one more wrong token is looked at."""
TURN_S: Final = 5.0
"""So long an unknown token waits for those before it: a daemon that hangs is told to all of them soon."""
MAX_ADDRESSES: Final = 4096
MAX_KNOWN: Final = 1024
MAX_TOKEN_CHARS: Final = 256
_HINT: Final = "send Authorization: Bearer TOKEN; an admin makes one with: farmctl user token NAME"


@dataclass(slots=True)
class _Tries:
    """How many wrong tokens an address may still bring, as of an instant."""

    left: float
    at: float


class Gate:
    """Lets in who brings a good token."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._good: OrderedDict[bytes, None] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def user_of(self, request: Request) -> str:
        """Return the name of the user whose token a request brings.

        Raises:
            Refusal: It brings none, a wrong one, or the address has brought too many wrong ones.
            UserError: The daemon does not answer.
        """
        token = token_in(request)
        address = request.client.host if request.client is not None else ""
        mark = hashlib.sha256(token.encode()).digest()
        async with self._turn(address, mark):
            try:
                answer = await self._farm.call("", "user.check", token=token)
            except (NotAllowed, NotFound, UsageError):
                self._good.pop(mark, None)
                self._note_wrong(address)
                raise _no_token("the token is not valid", "it was revoked, is mistyped, or of another farm") from None
        self._note_good(mark)
        return str(answer["user"])

    @asynccontextmanager
    async def _turn(self, address: str, mark: bytes) -> AsyncIterator[None]:
        """Look at the unknown tokens of an address one after another: of many at once, each wrong one counts.

        Raises:
            Refusal: The address has brought too many wrong ones.
            Unreachable: Those before it wait for the daemon.
        """
        if mark in self._good:
            yield
            return
        async with self._alone(address):
            left, wait_s = self._left(address)
            if left < 1 and mark not in self._good:
                why = f"{WRONG_AT_ONCE} wrong ones came from {address}"
                after = {"Retry-After": str(int(wait_s) + 1)}
                raise Refusal(429, "no more tokens are looked at", why, "wait", headers=after)
            yield

    @asynccontextmanager
    async def _alone(self, address: str) -> AsyncIterator[None]:
        turn = self._turns.setdefault(address, asyncio.Lock())
        try:
            async with asyncio.timeout(TURN_S):
                await turn.acquire()
        except TimeoutError:
            raise Unreachable("the token was not looked at", "the daemon is slow to answer", "try again") from None
        try:
            yield
        finally:
            turn.release()

    def _left(self, address: str) -> tuple[float, float]:
        """Return how many tries an address has left, and how long until there is one."""
        known, now = self._tries.get(address), time.monotonic()
        if known is None:
            return WRONG_AT_ONCE, 0.0
        left = min(WRONG_AT_ONCE, known.left + (now - known.at) / WRONG_REFILL_S)
        return left, max(0.0, (1 - left) * WRONG_REFILL_S)

    def _note_wrong(self, address: str) -> None:
        self._tries[address] = _Tries(self._left(address)[0] - 1, time.monotonic())
        self._tries.move_to_end(address)
        while len(self._tries) > MAX_ADDRESSES:
            self._tries.popitem(last=False)

    def _note_good(self, mark: bytes) -> None:
        self._good[mark] = None
        self._good.move_to_end(mark)
        while len(self._good) > MAX_KNOWN:
            self._good.popitem(last=False)


def token_in(request: Request) -> str:
    """Return the token that a request brings.

    Raises:
        Refusal: There is none, or what is there is none.
    """
    given = request.headers.getlist("authorization")
    if not given:
        raise _no_token("a token is needed", "the request brings none")
    scheme, _, token = given[0].partition(" ")
    token = token.strip()
    plain = token.isascii() and token.isprintable() and 0 < len(token) <= MAX_TOKEN_CHARS
    if len(given) > 1 or scheme.lower() != "bearer" or not plain or " " in token:
        raise _no_token("the token cannot be read", "the Authorization header has another form")
    return token


def _no_token(what: str, why: str) -> Refusal:
    return Refusal(401, what, why, _HINT, headers={"WWW-Authenticate": 'Bearer realm="farm"'})
