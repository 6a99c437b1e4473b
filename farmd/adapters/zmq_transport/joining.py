"""How a stranger gets in: the doors where join requests wait for an answer, and the side that asks.

Whether an invitation is good is judged by an injected function (it knows the farm's signing key and the time); whether
its bearer is admitted is decided by the core. A stranger's words are few, small and slow: `ASKS_PER_S` for all of them
together, since each costs the check of a signature.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import zmq

from farmd.adapters.zmq_transport.sockets import open_dealer
from farmd.core.events import JoinAsked
from protocol.codec import decode, encode
from protocol.errors import PeerError, Unreachable
from protocol.messages import JoinAsk, JoinReply
from protocol.pacing import Allowance, Drain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from farmd.adapters.zmq_transport.sockets import Context, Keys, Socket

ASKS_PER_S = 5
MAX_DOORS = 256
MAX_NAME_CHARS = 100


class Verdict(NamedTuple):
    """What a token is good for.

    Attributes:
        role: That it grants.
        fault: Empty if it is good.
        token: Digits that name it.
        uses: How many machines it may admit; 0 = as many as like.
    """

    role: str
    fault: str
    token: str = ""
    uses: int = 0


class Doors:
    """Join requests that wait for the core's answer."""

    def __init__(self, judge: Callable[[bytes], Verdict], now: Callable[[], float]) -> None:
        self._judge = judge
        self._allowance = Allowance(ASKS_PER_S, now)
        self._waiting: OrderedDict[int, bytes] = OrderedDict()
        self._last = 0

    def open(self, routing_id: bytes, public_key: bytes, ask: JoinAsk) -> JoinAsked:
        """Remember where to answer, and say what was asked.

        Raises:
            PeerError: Strangers ask too often.
        """
        if not self._allowance.spend():
            raise PeerError(f"more than {ASKS_PER_S} join requests a second")
        verdict = self._judge(ask.token)
        self._last += 1
        self._waiting[self._last] = routing_id
        if len(self._waiting) > MAX_DOORS:
            self._waiting.popitem(last=False)
        name = "".join(filter(str.isprintable, ask.name))[:MAX_NAME_CHARS]
        return JoinAsked(self._last, public_key, name, ask.address[:MAX_NAME_CHARS], *verdict)

    def leave(self, door: int) -> bytes | None:
        """Return where the answer goes, once."""
        return self._waiting.pop(door, None)


async def ask_to_join(
    context: Context, keys: Keys, seeds: Sequence[tuple[str, bytes]], ask: JoinAsk, *, timeout_s: float
) -> JoinReply:
    """Ask the seeds, given as (endpoint, public key), in turn until one answers.

    Raises:
        Unreachable: None did.
    """
    for endpoint, server_key in seeds:
        dealer = open_dealer(
            context, keys, server_key, bulk=True
        )  # not IMMEDIATE: the request waits for the connection
        try:
            dealer.setsockopt(zmq.IPV6, int("[" in endpoint))
            dealer.connect(endpoint)
            dealer.send(encode(ask), zmq.NOBLOCK)
            return await asyncio.wait_for(_reply(dealer), timeout_s)
        except (TimeoutError, PeerError):
            continue
        finally:
            dealer.close()
    raise Unreachable(
        "no node of the farm answered",
        f"asked {', '.join(endpoint.removeprefix('tcp://') for endpoint, _ in seeds) or 'nobody'}",
        "start farmd on one of these machines, open its port in the firewall, or ask for a new token: farmd invite",
    )


async def _reply(dealer: Socket) -> JoinReply:
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def take() -> bool:
        try:
            frames = dealer.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        if not answer.done():
            answer.set_result(frames[-1])
        return True

    drain = Drain(dealer.fileno(), take)
    drain.start()
    try:
        message = decode(await answer)
    finally:
        drain.stop()
    if not isinstance(message, JoinReply):
        raise PeerError(f"expected a JoinReply, got {type(message).__name__}")
    return message
