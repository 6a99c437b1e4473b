"""The client library: what farmctl, the dashboard and other people's scripts talk to a daemon with.

    with Client() as farm:                       # this machine's daemon
        print(farm.call("farm.status"))
    async with AsyncClient("ws07:7000") as farm:
        async for change in farm.stream("farm.follow"):
            ...

A target is a data dir, or HOST:PORT of a node; without one it is $FARM_NODE, or the default data dir. HOST:PORT of a
daemon on this machine leads to its Unix socket. A daemon elsewhere is asked over its node socket with the person's own
keys (`protocol.places.user_key_path`), or else with those of the caller's data dir ($FARM_DATA_DIR or the default one):
either must be known there; the other's public key comes
from the local daemon (operation `node.key`, args {"address": HOST:PORT} -> {"public_key": 32 bytes, "address": where it
listens}), so an impostor at that address is never spoken to. HOST may be a node's name, a host's name or an address.

A door that serves people of its own (HTTP) asks in the name of one with `acting_for="anna"`: with that person's role,
and the events name that person. Only the daemon's own user and root may.

Errors of the daemon are raised as the `UserError` of their exit code; silence is `Unreachable`. zmq (when a connection
is made) and asyncio (by `AsyncClient`) are imported late: `farmctl --help` needs neither. Not thread-safe: one client
for each thread or loop.
"""

from __future__ import annotations

import struct
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from protocol.api import (
    API_MARK,
    MAX_API_BYTES,
    OP_CANCEL,
    Request,
    Response,
    error_facts,
    error_of,
    pack_request,
    unpack_response,
)
from protocol.errors import PeerError, Unreachable, UserError
from protocol.pacing import Drain
from protocol.targets import Known, Target, find_target

if TYPE_CHECKING:
    import asyncio

    import zmq

TIMEOUT_S = 5.0
_EVENT = struct.Struct("=HI")
"""First frame of a monitor's message: which event, and its value (zmq_socket_monitor(3))."""


class Client:
    """Asks one question at a time and waits for the answer."""

    def __init__(self, target: str | Path | None = None, timeout_s: float = TIMEOUT_S, *, acting_for: str = "") -> None:
        self.target = _find(target, timeout_s)
        self.timeout_s = timeout_s
        self._wire = _Wire(self.target, acting_for)

    def call(self, op: str, /, **args: Any) -> Any:
        """Ask for one operation and return its data (the first part, if the daemon sends several).

        Raises:
            UserError: The daemon says no, in the class of its exit code.
            Unreachable: It says nothing within the time limit.
        """
        for data in self.stream(op, **args):
            return data
        return None

    def stream(self, op: str, /, *, limit_s: float | None = None, **args: Any) -> Iterator[Any]:
        """Yield every part of an answer; the time limit, `limit_s` if given, holds for each part.

        Raises:
            UserError: The daemon says no, in the class of its exit code.
            Unreachable: It says nothing within the time limit.
        """
        number = self._wire.ask(op, args)
        more = True
        try:
            while more:
                response = self._answer(number, self.timeout_s if limit_s is None else limit_s)
                more = response.more
                if response.error is not None:
                    raise error_of(response.error)
                yield response.data
        finally:
            if more:
                self._wire.cancel(number)

    def _answer(self, number: int, wait_s: float) -> Response:
        until = time.monotonic() + wait_s
        while self._wire.wait(max(0.0, until - time.monotonic())):
            response = self._wire.take()
            if response is not None and response.id in {number, 0}:
                return response
        raise _silence(self.target, wait_s)

    def close(self) -> None:
        """End the connection."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient:
    """Asks many questions at once, in one event loop; to be used as `async with`.

    When the connection breaks, whoever waits is told at once (`Unreachable`); later questions go out when it is back.
    """

    def __init__(
        self, target: str | Path | Target | None = None, timeout_s: float = TIMEOUT_S, *, acting_for: str = ""
    ) -> None:
        self.timeout_s = timeout_s
        self._named = target
        self._acting_for = acting_for
        self._wire: _Wire | None = None
        self._drain: Drain | None = None
        self._ends: Drain | None = None
        self._waiting: dict[int, asyncio.Queue[Response]] = {}

    async def open(self) -> Self:
        """Connect.

        Raises:
            UserError: See `protocol.targets.find_target`.
        """
        import asyncio

        import zmq

        named = self._named
        target = named if isinstance(named, Target) else await asyncio.to_thread(_find, named, self.timeout_s)
        try:
            self._wire = _Wire(target, self._acting_for)
            end = self._wire.watch()
        except zmq.ZMQError as error:  # this process has too many files open, say
            if self._wire is not None:
                self._wire.close()
                self._wire = None
            raise Unreachable(f"no connection to {target.endpoint} can be made", str(error), "try again") from error
        self._drain = Drain(self._wire.descriptor, self._take)
        self._drain.start()
        self._ends = Drain(end, self._take_end)
        self._ends.start()
        return self

    async def call(self, op: str, /, **args: Any) -> Any:
        """Ask for one operation and return its data (the first part, if the daemon sends several).

        Raises:
            UserError: The daemon says no, in the class of its exit code.
            Unreachable: It says nothing within the time limit.
        """
        parts = self.stream(op, **args)
        try:
            async for data in parts:
                return data
            return None
        finally:
            await parts.aclose()

    async def stream(self, op: str, /, *, limit_s: float | None = None, **args: Any) -> AsyncGenerator[Any, None]:
        """Yield every part of an answer; the time limit, `limit_s` if given, holds for each part.

        Raises:
            UserError: The daemon says no, in the class of its exit code.
            Unreachable: It says nothing within the time limit.
        """
        import asyncio

        wire, drain = self._opened()
        number = wire.ask(op, args)
        drain.poke()
        answers = self._waiting[number] = asyncio.Queue()
        patience_s = self.timeout_s if limit_s is None else limit_s
        more = True
        try:
            while more:
                try:
                    response = await asyncio.wait_for(answers.get(), patience_s)
                except TimeoutError:
                    raise _silence(wire.target, patience_s) from None
                more = response.more
                if response.error is not None:
                    raise error_of(response.error)
                yield response.data
        finally:
            del self._waiting[number]
            if more:
                wire.cancel(number)

    def _opened(self) -> tuple[_Wire, Drain]:
        if self._wire is None or self._drain is None:
            raise Unreachable("the client is not open", "", "async with AsyncClient() as farm: …")
        return self._wire, self._drain

    def _take(self) -> bool:
        assert self._wire is not None
        if not self._wire.wait(0):
            return False
        response = self._wire.take()
        if response is None:
            return True
        for answers in [self._waiting[response.id]] if response.id in self._waiting else []:
            answers.put_nowait(response)
        if response.id == 0:
            for answers in self._waiting.values():
                answers.put_nowait(response)
        return True

    def _take_end(self) -> bool:
        """The connection broke: whoever waits is told, since the daemon has forgotten what was asked."""
        if self._wire is None or not self._wire.take_end():
            return False
        lost = error_facts(_broken(self._wire.target))
        for number, answers in self._waiting.items():
            answers.put_nowait(Response(number, error=lost))
        return True

    async def close(self) -> None:
        """End the connection."""
        if self._drain is not None and self._wire is not None:
            self._drain.stop()
            if self._ends is not None:
                self._ends.stop()
            self._wire.close()
            self._drain = self._wire = self._ends = None

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def new_key_pair() -> tuple[bytes, bytes]:
    """Make a CURVE key pair: public and secret key, 32 raw bytes each."""
    import zmq
    from zmq.utils import z85

    public_key, secret_key = (z85.decode(key) for key in zmq.curve_keypair())
    return public_key, secret_key


class _Wire:
    """One DEALER with its context, and the numbers of requests."""

    def __init__(self, target: Target, acting_for: str = "") -> None:
        import zmq

        self.target = target
        self._acting_for = acting_for
        self._last = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._monitor: zmq.Socket[bytes] | None = None
        try:
            self._dealer = self._connected(target)
        except zmq.ZMQError:
            self._context.destroy(linger=0)
            raise

    def _connected(self, target: Target) -> zmq.Socket[bytes]:
        import zmq

        dealer = self._context.socket(zmq.DEALER)
        options: dict[int, int | bytes] = {zmq.LINGER: 0, zmq.MAXMSGSIZE: MAX_API_BYTES, zmq.CONNECT_TIMEOUT: 2000}
        if target.remote:
            options[zmq.CURVE_SERVERKEY] = target.server_key
            options[zmq.CURVE_PUBLICKEY], options[zmq.CURVE_SECRETKEY] = target.own_keys
            options |= {zmq.HEARTBEAT_IVL: 1000, zmq.HEARTBEAT_TIMEOUT: 3000, zmq.IPV6: int("[" in target.endpoint)}
        for option, value in options.items():
            dealer.setsockopt(option, value)
        dealer.connect(target.endpoint)
        return dealer

    @property
    def descriptor(self) -> int:
        return _descriptor(self._dealer)

    def watch(self) -> int:
        """Have the end of the connection noted from now on; returns the descriptor of the notes."""
        import zmq

        self._monitor = self._dealer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        return _descriptor(self._monitor)

    def take_end(self) -> bool:
        """Take a note that the connection has ended, if there is one."""
        import zmq

        if self._monitor is None:
            return False
        try:
            frames = self._monitor.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        return len(frames[0]) == _EVENT.size and bool(_EVENT.unpack(frames[0])[0] == zmq.EVENT_DISCONNECTED)

    def ask(self, op: str, args: dict[str, Any]) -> int:
        """Send a request and return its number."""
        self._last += 1
        self._send(Request(self._last, op, args, self._acting_for, self.target.own_name))
        return self._last

    def cancel(self, number: int) -> None:
        """Say that nobody waits any more."""
        with suppress(Unreachable):
            self._send(Request(0, OP_CANCEL, {"id": number}))

    def _send(self, request: Request) -> None:
        import zmq

        frames = [pack_request(request)]
        if self.target.remote:
            frames.insert(0, API_MARK)
        if self._dealer.closed:
            return
        try:
            self._dealer.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            raise _silence(self.target, 0) from None

    def wait(self, wait_s: float) -> bool:
        """Wait for a response, so many seconds at most."""
        return bool(self._dealer.poll(int(wait_s * 1000) + (wait_s > 0)))

    def take(self) -> Response | None:
        """Take the response that is there; None if it is none that this version can read."""
        try:
            return unpack_response(self._dealer.recv_multipart()[-1])
        except PeerError:
            return None

    def close(self) -> None:
        if self._monitor is not None:
            self._dealer.disable_monitor()
            self._monitor.close(linger=0)  # else ending the context waits for it
        self._dealer.close(linger=100)  # a last cancel may leave
        self._context.term()


def _find(named: str | Path | None, timeout_s: float) -> Target:
    def key_of(data_dir: Path, address: str) -> Known | None:
        with Client(data_dir, timeout_s) as local:
            answer = local.call("node.key", address=address)
        key = answer.get("public_key") if isinstance(answer, dict) else None
        return Known(key, str(answer.get("address") or "")) if isinstance(key, bytes) and len(key) == 32 else None

    return find_target(named, key_of)


def _silence(target: Target, wait_s: float) -> UserError:
    hint = "try again with a longer --timeout; farmctl --node HOST:PORT asks another node"
    why = f"it said nothing for {wait_s:g} s: it is off, cut off, or very busy" if wait_s else "its queue is full"
    if target.own_file and wait_s:  # whoever shows a key that is not known is never answered
        why += f"; or it does not know the key in {target.own_file}"
        hint = f"if that key was revoked: farmctl user key --new; else {hint}"
    return Unreachable(f"no answer from {target.name}", why, hint)


def _broken(target: Target) -> UserError:
    return Unreachable(
        f"the connection to {target.name} broke",
        "its daemon ended, or the network was cut",
        "try again; farmctl --node HOST:PORT asks another node",
    )


def _descriptor(socket: zmq.Socket[bytes]) -> int:
    import zmq

    number = socket.getsockopt(zmq.FD)
    assert isinstance(number, int)
    return number
