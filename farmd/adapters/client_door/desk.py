"""The desk behind the door: numbers requests, carries answers back, runs the operations that need no decision.

Knows no socket: a request comes with who asks and a function that carries a response there, so that a request which
came through another node takes the same way as one of a local client.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from farmd.core.events import ClientAsked, ClientLeft
from protocol.api import (
    OP_CANCEL,
    Request,
    Response,
    error_facts,
    pack_data,
    pack_response,
    pack_response_around,
    unpack_request,
)
from protocol.errors import InvariantBroken, NotAllowed, PeerError, UsageError, UserError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from farmd.core.events import Event
    from protocol.api import ErrorFacts

    LocalHandler = Callable[[ClientAsked], Awaitable[Any]]
    Answer = Callable[[bytes], bool]
    Connection = tuple[bytes, Answer]

_log = logging.getLogger(__name__)
MAX_WAITING = 4096
"""Requests without an answer, all clients together."""
HANDLERS_AT_ONCE = 8
GO_ON: Final = object()
"""What a handler returns that has only prepared something: the core answers the request."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        actor: Name for the history.
        same_user: It is the daemon's own user.
        connection: A name of the connection, if several share one way back.
        user: The person whose role counts; empty for who has none: the daemon's own user, root, another node.
        proof: What that person was recognised by: "local" or "key".
        may_act: It may ask in the name of others.
        vouches: It is believed whom it names for the history.
    """

    actor: str
    same_user: bool
    connection: bytes = b""
    user: str = ""
    proof: str = ""
    may_act: bool = False
    vouches: bool = False


class Patient:
    """A handler that mostly waits for something to happen: it takes no place among those that are at work."""

    def __init__(self, handler: LocalHandler) -> None:
        self._handler = handler

    def __call__(self, asked: ClientAsked) -> Awaitable[Any]:
        """Answer one request."""
        return self._handler(asked)


@dataclass(frozen=True, slots=True)
class _Waiting:
    request: Request
    caller: Caller
    answer: Answer


class Desk:
    """Requests in, answers out.

    Args:
        on_event: Takes `ClientAsked` and `ClientLeft`; must not block.
        handlers: Operations answered here, by name; a `UserError` that one raises is its answer, and `GO_ON` is none.
        check: Raises a `UserError` for what the caller may not do; asked before a handler is. The core asks by itself.
    """

    def __init__(
        self,
        on_event: Callable[[Event], None],
        handlers: Mapping[str, LocalHandler],
        check: Callable[[ClientAsked], None] = lambda _asked: None,
    ) -> None:
        self.bad = 0
        self._on_event = on_event
        self._handlers = dict(handlers)
        self._check = check
        self._waiting: dict[int, _Waiting] = {}
        self._numbers: dict[tuple[Connection, int], int] = {}
        self._last = 0
        self._shared: tuple[object, bytes] = (None, b"")
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._at_once = asyncio.Semaphore(HANDLERS_AT_ONCE)

    def receive(self, data: bytes, caller: Caller, answer: Answer) -> None:
        """Take a request that came by whatever way; `answer` carries a response there and says if it could.

        Two answers of one connection must be equal and hash alike: a client numbers its requests itself, so a number
        means something only together with the connection.
        """
        try:
            request = unpack_request(data)
        except PeerError as error:
            self.bad += 1
            refusal = UsageError("the request cannot be read", str(error), "use a client of the daemon's own version")
            answer(packed(Response(0, error=error_facts(refusal))))
            return
        if request.op == OP_CANCEL:
            number = request.args.get("id")
            if type(number) is int:
                self._forget(self._numbers.get(((caller.connection, answer), number), 0), left=True)
            return
        refused = self._refusal_of(request, caller, answer)
        if refused is None:
            self._ask(_Waiting(request, caller, answer))
        else:
            answer(packed(Response(request.id, error=error_facts(refused))))

    def close(self) -> None:
        """Stop all handlers; whoever waits gets no answer."""
        self._waiting.clear()
        for task in list(self._tasks.values()):
            task.cancel()

    def _refusal_of(self, request: Request, caller: Caller, answer: Answer) -> UserError | None:
        if request.acting_for and not caller.may_act:
            return NotAllowed(
                f"{caller.actor} may not ask in the name of {request.acting_for}",
                "only the daemon's own user and root may, for the doors that they run",
                "ask in your own name",
            )
        if ((caller.connection, answer), request.id) in self._numbers:
            self.bad += 1
            return UsageError(f"request {request.id} is in flight already", "", "number each request anew")
        if len(self._waiting) >= MAX_WAITING:
            return UserError(
                "the daemon is busy", f"{MAX_WAITING} requests wait for an answer", "try again in a moment"
            )
        return None

    def reply(self, client: int, data: Any = None, error: ErrorFacts | None = None, *, more: bool = False) -> None:
        """Answer a request; unless `more` follow, it is over with that. One that is over already is ignored."""
        waiting = self._waiting.get(client)
        if waiting is None:
            return
        more = more and error is None
        if not more:
            self._forget(client)
        if not waiting.answer(self._packed(Response(waiting.request.id, data, error, more))) and more:
            self._forget(client, left=True)

    def _packed(self, response: Response) -> bytes:
        """Pack a response; data that several clients are given one after another is packed once."""
        if not isinstance(response.data, dict):
            return packed(response)
        if response.data is not self._shared[0]:
            try:
                self._shared = (response.data, pack_data(response.data))
            except InvariantBroken:
                return packed(response)
        return pack_response_around(self._shared[1], response)

    def _ask(self, waiting: _Waiting) -> None:
        self._last += 1
        client, request, caller = self._last, waiting.request, waiting.caller
        self._waiting[client] = waiting
        self._numbers[(caller.connection, waiting.answer), request.id] = client
        asked = _asked(client, request, caller)
        handler = self._handlers.get(request.op)
        if handler is None:
            self._on_event(asked)
            return
        task = asyncio.get_running_loop().create_task(self._run(handler, asked))
        self._tasks[client] = task
        task.add_done_callback(partial(self._handled, asked))

    def _forget(self, client: int, *, left: bool = False) -> None:
        waiting = self._waiting.pop(client, None)
        if waiting is None:
            return
        self._numbers.pop(((waiting.caller.connection, waiting.answer), waiting.request.id), None)
        task = self._tasks.get(client)
        if task is not None and left:
            task.cancel()
        elif left:
            self._on_event(ClientLeft(client))

    async def _run(self, handler: LocalHandler, asked: ClientAsked) -> Any:
        self._check(asked)
        if isinstance(handler, Patient):
            return await handler(asked)
        async with self._at_once:
            return await handler(asked)

    def _handled(self, asked: ClientAsked, task: asyncio.Task[Any]) -> None:
        client = asked.client
        del self._tasks[client]
        if task.cancelled():
            self._forget(client)
            return
        error = task.exception()
        if error is None and task.result() is GO_ON:
            self._on_event(asked)
        elif error is None:
            self.reply(client, task.result())
        elif isinstance(error, UserError):
            self.reply(client, error=error_facts(error))
        elif isinstance(error, PeerError):
            self.bad += 1
            self.reply(client, error=error_facts(UsageError("the request makes no sense", str(error))))
        else:
            _log.error("a request failed by a bug", exc_info=error)
            bug = UserError("the daemon made a mistake", repr(error), "please report it, with the daemon's log")
            self.reply(client, error=error_facts(bug))


def _asked(client: int, request: Request, caller: Caller) -> ClientAsked:
    """Tell the core of a request, in the name of the person that it is really from."""
    if request.acting_for:
        name = request.acting_for
        return ClientAsked(client, request.op, request.args, name, same_user=False, user=name, proof="token")
    actor = request.said_by if caller.vouches and request.said_by else caller.actor
    return ClientAsked(client, request.op, request.args, actor, caller.same_user, user=caller.user, proof=caller.proof)


def packed(response: Response) -> bytes:
    """Pack a response; one that cannot be sent becomes an error that can."""
    try:
        return pack_response(response)
    except InvariantBroken as error:
        _log.error("cannot send an answer: %s", error)
        told = UserError("the answer cannot be sent", str(error), "ask for less at a time")
        return pack_response(Response(response.id, error=error_facts(told)))
