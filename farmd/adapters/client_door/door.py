"""The door for clients: farmctl, dashboards and scripts on this machine, and requests that came through other nodes.

A ROUTER on a Unix socket in the data dir; the kernel says who connects (the ZAP handler passes uid, gid, pid on). The
daemon's own user, root, and the members of the group `farm` (where it exists) are served, everybody else is told no
(`farmd.adapters.client_door.accounts` asks the system who that is).
Directory and socket modes say the same to the kernel.

A request becomes a `ClientAsked` event; its number is the desk's own and `reply` brings the answer back. Operations
that move data and need no decision (`blob.put`) have local handlers, which run as tasks, a few at a time.
A bad request is answered with exit code 2, counted, and never stops the daemon. Requests that other nodes send over
the farm's own socket (`ZmqTransport(on_api=…)`) are handed in through `receive`, and answered in the same way.
"""

from __future__ import annotations

import grp
import logging
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import zmq

from farmd.adapters.client_door.accounts import Accounts, user_name
from farmd.adapters.client_door.desk import Caller, Desk, packed
from protocol.api import MAX_API_BYTES, ZAP_LOCAL, Response, error_facts, unpack_request
from protocol.errors import NotAllowed, PeerError, UserError
from protocol.pacing import Drain
from protocol.places import (
    ADDRESS_NAME,
    FARM_GROUP,
    SOCKET_NAME,
    RunningDaemon,
    list_in_registry,
    process_start,
    socket_path,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from farmd.adapters.client_door.accounts import Account
    from farmd.adapters.client_door.desk import Answer, LocalHandler
    from farmd.core.events import ClientAsked, Event
    from protocol.api import ErrorFacts

_log = logging.getLogger(__name__)
QUEUE = 1000


class ClientDoor:
    """Takes requests in and carries answers out.

    Args:
        context: Of the ZAP handler, which must be started before this.
        data_dir: Where the socket is made.
        on_event: Takes `ClientAsked` and `ClientLeft`; must not block.
        handlers: Operations answered here, by name; a `UserError` that one raises is its answer.
        check: Raises a `UserError` for what the caller may not do, before a handler is asked.
        group: Whose members are served besides the own user and root; "" = nobody's.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        data_dir: Path,
        on_event: Callable[[Event], None],
        handlers: Mapping[str, LocalHandler] | None = None,
        *,
        check: Callable[[ClientAsked], None] = lambda _asked: None,
        group: str = FARM_GROUP,
    ) -> None:
        self.desk = Desk(on_event, handlers or {}, check)
        self.refused = 0
        self._data_dir = data_dir
        self._gid = _gid_of(group)
        self._accounts = Accounts(self._gid)
        self._own_names = {uid: user_name(uid) for uid in (os.getuid(), 0)}
        self._host = socket.gethostname().partition(".")[0]
        self._path: Path | None = None
        self._entry: Path | None = None
        self._router = _open_router(context)
        self._drain = Drain(self._router.fileno(), self._take)

    def start(self, address: str = "") -> Path:
        """Open the door, in the running event loop; returns the socket's path.

        Args:
            address: HOST:PORT of the node's own socket: clients of this machine may name the daemon by it.

        Raises:
            UserError: Another daemon serves this data dir, or the socket cannot be made.
        """
        path = socket_path(self._data_dir)
        _remove_stale(path)
        try:
            self._router.bind(f"ipc://{path}")
            self._give_to_group(path)
            self._note_path(path)
        except (zmq.ZMQError, OSError) as error:
            raise UserError(f"cannot open {path}", str(error.strerror), "look at the owner of the data dir") from error
        self._path = path
        if address:
            pid = os.getpid()
            self._entry = list_in_registry(
                RunningDaemon(address, str(self._data_dir.absolute()), pid, process_start(pid))
            )
        self._drain.start()
        return path

    def close(self) -> None:
        """Close the door and take its name from the list; whoever waits gets no answer."""
        self._drain.stop()
        self._accounts.close()
        self.desk.close()
        self._router.close(linger=100)
        if self._path is not None:
            (self._data_dir / ADDRESS_NAME).unlink(missing_ok=True)
        for path in (self._path, self._entry):
            if path is not None:
                path.unlink(missing_ok=True)

    def receive(self, data: bytes, caller: Caller, answer: Answer) -> None:
        """Take a request that came by another way (see `Desk.receive`)."""
        self.desk.receive(data, caller, answer)

    def reply(self, client: int, data: Any = None, error: ErrorFacts | None = None, *, more: bool = False) -> None:
        """Answer a request (see `Desk.reply`)."""
        self.desk.reply(client, data, error, more=more)

    # -- the socket ------------------------------------------------------------------------------------------------

    def _take(self) -> bool:
        try:
            frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        user = frames[-1].get("User-Id")
        assert isinstance(user, str)
        routing_id = frames[0].bytes
        uid, gid = (int(part) for part in user.split(":")[:2])
        asked = _Asked(frames[-1].bytes if len(frames) == 2 else b"", _ReturnPath(self._answer, routing_id))
        own_name = self._own_names.get(uid)
        if own_name is not None:
            self.desk.receive(asked.data, self._own_caller(uid, own_name), asked.answer)
        elif not self._accounts.ask(uid, partial(self._take_from, asked, gid)):
            self._refuse(asked, UserError("the daemon is busy", "it waits for names of accounts", "try again later"))
        return True

    def _own_caller(self, uid: int, name: str) -> Caller:
        return Caller(f"{name}@{self._host}", same_user=uid == os.getuid(), may_act=True)

    def _take_from(self, asked: _Asked, gid: int, account: Account) -> None:
        """Take a request of somebody who is neither root nor the daemon's own user."""
        actor = f"{account.name}@{self._host}"
        if account.is_member or (self._gid is not None and gid == self._gid):
            caller = Caller(actor, same_user=False, user=account.name, proof="local")
            self.desk.receive(asked.data, caller, asked.answer)
            return
        self.refused += 1
        refusal = NotAllowed(
            f"{actor} may not use this farm",
            f"the daemon serves its own user, root and the group {FARM_GROUP}",
            f"sudo usermod --append --groups {FARM_GROUP} {account.name}, then log in again",
        )
        self._refuse(asked, refusal)

    def _refuse(self, asked: _Asked, refusal: UserError) -> None:
        with suppress(PeerError):
            number = unpack_request(asked.data).id
            asked.answer(packed(Response(number, error=error_facts(refusal))))

    def _answer(self, routing_id: bytes, response: bytes) -> bool:
        try:
            self._router.send_multipart([routing_id, response], zmq.NOBLOCK)
        except zmq.ZMQError:  # it has left, or does not read
            return False
        finally:
            self._drain.poke()
        return True

    def _give_to_group(self, path: Path) -> None:
        path.chmod(0o600)
        if self._gid is None:
            return
        try:
            os.chown(path, -1, self._gid)
            os.chown(path.parent, -1, self._gid)
        except PermissionError:
            _log.warning("the group %s cannot reach %s: the daemon's user is not a member of it", FARM_GROUP, path)
            return
        path.chmod(0o660)
        path.parent.chmod(path.parent.stat().st_mode & 0o7777 | 0o010)

    def _note_path(self, path: Path) -> None:
        note = self._data_dir / ADDRESS_NAME
        if path == self._data_dir.absolute() / SOCKET_NAME:
            note.unlink(missing_ok=True)
        else:
            note.write_text(f"{path}\n")


@dataclass(frozen=True, slots=True)
class _ReturnPath:
    """Where the answer goes; two of one connection are equal."""

    send: Callable[[bytes, bytes], bool]
    routing_id: bytes

    def __call__(self, response: bytes) -> bool:
        return self.send(self.routing_id, response)


class _Asked(NamedTuple):
    """A request as it came, and where its answer goes."""

    data: bytes
    answer: _ReturnPath


def _open_router(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.LINGER, 0)
    router.setsockopt(zmq.ZAP_DOMAIN, ZAP_LOCAL.encode())
    router.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.setsockopt(zmq.MAXMSGSIZE, MAX_API_BYTES)
    router.setsockopt(zmq.SNDHWM, QUEUE)
    router.setsockopt(zmq.RCVHWM, QUEUE)
    return router


def _remove_stale(path: Path) -> None:
    """Remove the socket of a daemon that is gone; libzmq would remove that of a living one, too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise UserError(
        "a daemon runs already for this data dir",
        f"it answers on {path}",
        "stop it first, or choose another --data-dir",
    )


def _gid_of(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid if group else None
    except KeyError:
        return None
