"""Follows the live feed of the farm through one node after another: whoever shows the farm need not know which answers.

Theory. All nodes tell the same, so a viewer needs any one that answers. The one that a person named, or this
machine's, comes first; when it is silent or its connection breaks, the ones that the picture shows alive are tried,
a new one every `STAGGER_S` while the earlier are still being waited for (as RFC 8305, section 5, does with
addresses), and the first that answers is kept until it, too, is lost. What was told stays: an old picture with its
age is worth more than none.

    following = Following()
    async for event in following.run():
        match event:
            case Answer(): draw(following.picture, event.changes)
            case Standing(): say(event.state)

Orders and questions go through `following.call`, to the node that answers now. Runs in one event loop; imports no zmq
before it connects.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from protocol.client import AsyncClient
from protocol.errors import PeerError, Unreachable, UserError
from protocol.feed import Changes, FarmPicture, JobPicture
from protocol.targets import Known, Target, find_target

UNREADABLE = (PeerError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What comes of an answer of another version of this program, whatever is different in it."""
PATIENCE_S = 2.0
"""An answer comes at least so often, so that its age says whether the node is there."""
SILENCE_S = 1.5
"""Beyond patience: after this the node counts as silent."""
STAGGER_S = 0.4
DIAL_S = 3.0
"""A node that is asked first must answer within this time."""
AGAIN_S = (0.25, 0.5, 1.0, 2.0, 3.0)
"""Pauses before all nodes are tried again; the last one holds from then on."""
LASTED_S = 1.0
"""A node that is lost sooner has not served: before the next is asked there is a pause, as if none had been found."""
JOB_AGAIN_S = 1.0
"""Pause before a job is asked for again after an error."""
LOST_S = 15.0
"""Without an answer for so long, the farm is out of reach."""


class Link(StrEnum):
    """How a viewer stands to the farm."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class Standing:
    """The connection has changed.

    Attributes:
        state: To what.
        node_name: The node that answers, or that did so last; empty before the first answer.
        why: What was in the way, in a line; empty when connected.
    """

    state: Link
    node_name: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The picture of the farm has been brought up to date."""

    changes: Changes


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """The picture of the watched job has been brought up to date, or `error` says why there is none."""

    picture: JobPicture
    is_new: bool = False
    error: UserError | None = None


Event = Standing | Answer | JobAnswer


class Asker(Protocol):
    """What is needed of a client."""

    async def call(self, op: str, /, **args: Any) -> Any:
        """Ask for one operation."""

    async def close(self) -> None:
        """End the connection."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that may answer: what names it, and its public key if that is known."""

    name: str
    target: str | Path | None
    public_key: bytes = b""


async def _dial(candidate: Candidate) -> Asker:
    """Connect to a node; of a remote one the key is known from the picture, or from this machine's daemon."""
    named: str | Path | Target | None = candidate.target
    if candidate.public_key:
        named = await asyncio.to_thread(find_target, candidate.target, lambda *_: Known(candidate.public_key))
    return await AsyncClient(named, PATIENCE_S + SILENCE_S).open()


class Following:
    """Keeps a picture of the farm up to date.

    Attributes:
        picture: The farm, as it was told last.
        state: How things stand.
        node_name: The node that answers, or that did so last.
        answered_at: Loop time of the last answer, minus infinity before the first.
    """

    def __init__(
        self,
        target: str | Path | None = None,
        *,
        dial: Callable[[Candidate], Any] = _dial,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.picture = FarmPicture()
        self.state = Link.CONNECTING
        self.node_name = ""
        self.answered_at = float("-inf")
        self._home = Candidate("", target)
        self._dial = dial
        self._patience_s = patience_s
        self._client: Asker | None = None
        self._last: Candidate = self._home
        self._job: JobPicture | None = None
        self._job_task: asyncio.Task[None] | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue(maxsize=4)
        self._said_at = 0.0

    # -- for who shows it -----------------------------------------------------------------------------------------

    async def run(self) -> AsyncGenerator[Event, None]:
        """Yield what changes, until closed; never ends by itself and never raises for what a node does."""
        self._said_at = asyncio.get_running_loop().time()
        task = asyncio.create_task(self._follow())
        try:
            while True:
                yield await self._next(task)
        finally:
            await _ended(task)
            client, self._client = self._client, None
            await _ended(self._job_task)
            if client is not None:
                await client.close()

    async def call(self, op: str, /, **args: Any) -> Any:
        """Ask the node that answers now for one operation.

        Raises:
            UserError: It says no, or nothing; or no node answers at the moment (`Unreachable`).
        """
        if self._client is None:
            raise Unreachable("no node answers at the moment", f"the last was {self.node_name or 'none'}", "wait")
        return await self._client.call(op, **args)

    def watch_job(self, job_id: str | None) -> None:
        """Look at one job, task by task, from now on, or at none."""
        if self._job_task is not None:
            self._job_task.cancel()
            self._job_task = None
        self._job = JobPicture(job_id) if job_id is not None else None
        self._look_at_job()

    async def _next(self, task: asyncio.Task[None]) -> Event:
        """Wait for an event; a bug of the following itself must not leave its viewer waiting for ever."""
        getting = asyncio.ensure_future(self._events.get())
        try:
            await asyncio.wait({getting, task}, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                task.result()
            return await getting
        finally:
            getting.cancel()

    # -- one node after another -----------------------------------------------------------------------------------

    async def _follow(self) -> None:
        now = asyncio.get_running_loop().time
        pauses = iter(AGAIN_S)
        while True:
            found = await self._find()
            if found is None:
                await asyncio.sleep(next(pauses, AGAIN_S[-1]))
                continue
            self._last, self._client = found[:2]
            found_at = now()
            why = await self._listen(found[2])
            has_served = now() - found_at >= LASTED_S
            client, self._client = self._client, None
            await self._say(Link.RECONNECTING, why)
            await _ended(self._job_task)
            self._job_task = None
            if client is not None:
                await client.close()
            if has_served:
                pauses = iter(AGAIN_S)
            else:  # it may answer at once and refuse what comes then, for as long as it is overloaded
                await asyncio.sleep(next(pauses, AGAIN_S[-1]))

    async def _listen(self, answer: Any) -> str:
        """Take answers of the present node until it is lost; returns why."""
        client = self._client
        assert client is not None
        try:
            while True:
                changes = self.picture.apply(answer)
                self.answered_at = asyncio.get_running_loop().time()
                self.node_name = str(self.picture.farm["node_name"])
                await self._say(Link.CONNECTED)
                await self._events.put(Answer(changes))
                patience = 0.0 if self.picture.wants_more else self._patience_s
                answer = await client.call("farm.feed", **self.picture.question(patience))
        except (UserError, OSError) as error:
            return str(error)
        except UNREADABLE as error:
            return f"what {self.node_name or 'the node'} answers cannot be read: {error!r}"

    async def _find(self) -> tuple[Candidate, Asker, Any] | None:
        """Ask one candidate after another; the first that answers is taken, the others are let go."""
        trying: dict[asyncio.Task[tuple[Asker, Any] | str], Candidate] = {}
        left, why = self._candidates(), ""
        try:
            while left or trying:
                if left:
                    candidate = left.pop(0)
                    trying[asyncio.create_task(self._try(candidate))] = candidate
                wait_s = STAGGER_S if left else DIAL_S
                done, _ = await asyncio.wait(trying, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    candidate, found = trying.pop(task), task.result()
                    if not isinstance(found, str):
                        return (candidate, *found)
                    why = why or found
                await self._give_up_if_long(why)
            return None
        finally:
            for task in trying:
                task.cancel()
            for late in await asyncio.gather(*trying, return_exceptions=True):
                if isinstance(late, tuple):  # it answered in the moment in which another was taken
                    await late[0].close()

    async def _try(self, candidate: Candidate) -> tuple[Asker, Any] | str:
        """Ask one candidate for the farm; returns the connection and the answer, or why there is none."""
        client: Asker | None = None
        answer: Any = None
        try:
            async with asyncio.timeout(DIAL_S):
                client = await self._dial(candidate)
                given = await client.call("farm.feed", **self.picture.question(0.0))
                seen = FarmPicture()
                seen.apply(given)  # a node of another version is not taken, since the next one may do
                str(seen.farm["node_name"])
                answer = given
        except TimeoutError:
            return f"no answer from {candidate.name or 'the node of this machine'} within {DIAL_S:g} s"
        except (UserError, OSError) as error:
            return str(error)
        except UNREADABLE as error:
            return f"what {candidate.name or 'the node'} answers cannot be read: {error!r}"
        finally:
            if client is not None and answer is None:
                await client.close()
        return client, answer

    def _candidates(self) -> list[Candidate]:
        """List whom to ask: the last that answered, the one that was named, then all others, those alive first."""
        others = []
        for node in sorted(self.picture.nodes.values(), key=lambda node: node.get("state") in ("lost", "left")):
            with suppress(ValueError, TypeError):
                key, address = bytes.fromhex(node.get("public_key") or ""), node.get("address")
                if key and address:
                    others.append(Candidate(str(node.get("name") or node["id"]), str(address), key))
        return list(dict.fromkeys([self._last, self._home, *others]))

    # -- one job --------------------------------------------------------------------------------------------------

    def _look_at_job(self) -> None:
        if self._job is not None and self._client is not None and self._job_task is None:
            self._job_task = asyncio.create_task(self._follow_job(self._job, self._client))

    async def _follow_job(self, picture: JobPicture, client: Asker) -> None:
        """Take answers of a job: one that fails, or comes late, must not leave the picture as it is for ever.

        Ends when another job or another node is looked at; a cancellation alone may be swallowed by an answer that
        comes in the same moment (`asyncio.wait_for` of Python 3.11).
        """
        told = ""
        while self._client is client and self._job is picture:
            error = await self._ask_of_job(picture, client)
            if error is not None and not isinstance(error, Unreachable) and str(error) != told:
                await self._events.put(JobAnswer(picture, error=error))
            told = str(error) if error is not None else ""
            if error is not None and self._client is client:
                await asyncio.sleep(JOB_AGAIN_S)

    async def _ask_of_job(self, picture: JobPicture, client: Asker) -> UserError | None:
        try:
            answer = await client.call("job.feed", **picture.question(self._patience_s))
            is_new = picture.apply(answer)
        except UserError as error:
            return error
        except (*UNREADABLE, OSError) as error:
            return UserError("the job cannot be shown", repr(error))
        await self._events.put(JobAnswer(picture, is_new))
        return None

    # -- saying so ------------------------------------------------------------------------------------------------

    async def _say(self, state: Link, why: str = "") -> None:
        if state is Link.CONNECTED:
            self._look_at_job()
        if state is not self.state:
            self.state = state
            await self._events.put(Standing(state, self.node_name, why))

    async def _give_up_if_long(self, why: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - max(self.answered_at, self._said_at) >= LOST_S:
            await self._say(Link.DISCONNECTED, why)


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
