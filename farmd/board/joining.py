"""Joining a board that another program serves: is it one of ours, and the link over which operations go.

Loads `websockets` only when a link is opened.
"""

from __future__ import annotations

import http.client
import json
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

from farmd.board import access
from farmd.board.feed import SCHEMA
from farmd.board.forking import importing
from farmd.board.holder import port_holder
from protocol.errors import PeerError, Unreachable, UserError

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

    from farmd.board.identity import Identity
    from farmd.board.ledger import Ledger

_HELLO_S: Final = 2.0
_ANSWER_S: Final = 10.0
_MAX_HELLO_BYTES: Final = 4_096


class NotOurs(UserError):
    """The port is held by something else than a board of this user."""


def load() -> None:
    """Load what a link needs, now: not while this process is forked."""
    with importing():
        import encodings.idna  # looked for by every connection

        import websockets.exceptions
        import websockets.sync.client

        assert encodings.idna is not None
        assert websockets.exceptions is not None


def greet(host: str, port: int) -> str:
    """Ask whether a board of this user is there; returns its server id.

    Raises:
        NotOurs: Something else is there, named as far as it can be.
        Unreachable: Nothing answers there any more.
    """
    nonce = access.nonce()
    answer = _ask(access.near(host), port, f"/hello?nonce={nonce}")
    server_id = answer.get("server_id")
    if answer.get("schema") != SCHEMA or not isinstance(server_id, str):
        raise _taken(port, "it is no task board")
    if not access.is_proof(str(answer.get("proof", "")), access.token(), "hello", nonce, server_id):
        raise _taken(port, "it is the task board of another user, or of a session with another XDG_RUNTIME_DIR")
    return server_id


def _ask(host: str, port: int, path: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection(host, port, timeout=_HELLO_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        found = json.loads(response.read(_MAX_HELLO_BYTES))
    except ConnectionRefusedError as error:
        raise Unreachable(f"nothing answers on port {port}", str(error)) from error
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        raise _taken(port, "it does not answer as a task board does") from None
    finally:
        connection.close()
    return found if isinstance(found, dict) else {}


def _taken(port: int, why: str) -> NotOurs:
    holder = port_holder(port)
    who = f"{holder} listens there" if holder else "another program listens there"
    return NotOurs(f"port {port} is taken", f"{who}, and {why}", "take another port, or 0 for any that is free")


class Link:
    """One connection to the board that another program serves."""

    def __init__(self, host: str, port: int, identity: Identity) -> None:
        """Open the link and say who we are.

        Raises:
            UserError: No board of this user is there.
            PeerError: It lets nobody in.
            OSError: The connection failed.
        """
        load()
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        server_id = greet(host, port)
        name = f"[{access.near(host)}]" if ":" in host else access.near(host)
        opening = connect(
            f"ws://{name}:{port}/publish",
            additional_headers={"X-Board-Proof": access.proof(access.token(), "publish", server_id)},
            open_timeout=_HELLO_S,
            close_timeout=0.5,
            compression=None,
            proxy=None,  # this machine alone, whatever the environment says
        )
        self._open = ExitStack()
        try:
            self._socket: ClientConnection = self._open.enter_context(opening)
        except WebSocketException as error:
            raise PeerError(f"the board let nobody in: {error}") from error
        try:
            hello = {"kind": "program", "name": identity.name, "program": identity.program, "process": identity.process}
            self.received = int(self._exchange(hello)["received"])
        except (KeyError, TypeError, ValueError) as error:
            self.close()
            raise PeerError("the board answers with something else") from error
        except BaseException:
            self.close()
            raise

    def publish(self, ledger: Ledger) -> None:
        """Send what there is, or a sign of life, and wait until the board has it.

        Raises:
            PeerError: The board is gone, or does not answer in time.
        """
        number, ops = ledger.next_message()
        self._exchange({"kind": "ops", "n": number, "ops": ops})
        ledger.confirmed(number)

    def fileno(self) -> int:
        """Return the descriptor of the connection."""
        return self._socket.socket.fileno()

    def close(self) -> None:
        """End the link."""
        with suppress(OSError, RuntimeError):
            self._open.close()

    def _exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        from websockets.exceptions import WebSocketException

        try:
            self._socket.send(json.dumps(message, ensure_ascii=True, allow_nan=False))
            found = json.loads(self._socket.recv(timeout=_ANSWER_S))
        except (WebSocketException, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise PeerError(f"the board is gone: {error}") from error
        return found if isinstance(found, dict) else {}
