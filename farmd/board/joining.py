"""Joining a board that another program serves: is it one of ours, and the link over which operations go.

The farm's own board has precedence: its process asks the program that has the port to leave it, and that joins.

Loads `websockets` only when a link is opened.
"""

from __future__ import annotations

import http.client
import json
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from farmd.board import access
from farmd.board.feed import SCHEMA
from farmd.board.forking import importing
from farmd.board.holder import port_holder
from protocol.errors import PeerError, Unreachable, UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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


class Greeted(NamedTuple):
    """A board of this user, and the address by which it was reached."""

    server_id: str
    address: str


def greet(host: str, port: int) -> Greeted:
    """Ask whether a board of this user is there.

    Raises:
        NotOurs: Something else is there, named as far as it can be.
        Unreachable: Nothing answers there any more.
    """
    nonce = access.nonce()
    answer, address = _ask("GET", access.near(host), port, f"/hello?nonce={nonce}")
    server_id = answer.get("server_id")
    if answer.get("schema") != SCHEMA or not isinstance(server_id, str):
        raise taken(port, "it is no task board")
    proof, place = str(answer.get("proof", "")), access.place_of(address, port)
    if not access.is_proof(proof, access.token(), "hello", nonce, server_id, place):
        raise taken(port, "it is the task board of another user, or of a session with another XDG_RUNTIME_DIR")
    return Greeted(server_id, address)


def ask_for_port(host: str, port: int, asked: Collection[str] = ()) -> str:
    """Ask the program that serves a board of this user to leave its port to the farm's board, and to join that.

    Args:
        host: Where it serves.
        port: Of TCP.
        asked: The ids of boards that have said already that they leave; these are not asked again.

    Returns:
        The id of the board that leaves.

    Raises:
        NotOurs: Something else is there, or a board that stays.
        Unreachable: Nothing answers there any more.
    """
    board = greet(host, port)
    if board.server_id in asked:
        return board.server_id
    proof = {"X-Board-Proof": proof_for(board, port, "yield")}
    answer, _ = _ask("POST", board.address, port, "/yield", proof)
    if answer.get("yields") is not True:
        raise taken(port, "it is the task board of another farm")
    return board.server_id


def _ask(
    method: str, host: str, port: int, path: str, headers: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], str]:
    connection = http.client.HTTPConnection(host, port, timeout=_HELLO_S)
    try:
        connection.connect()
        address = str(connection.sock.getpeername()[0])
        connection.request(method, path, headers=dict(headers or {}))
        response = connection.getresponse()
        found = json.loads(response.read(_MAX_HELLO_BYTES))
    except (ConnectionRefusedError, ConnectionResetError) as error:  # the latter is RemoteDisconnected too: it ends now
        raise Unreachable(f"nothing answers on port {port}", str(error)) from error
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        raise taken(port, "it does not answer as a task board does") from None
    finally:
        connection.close()
    return (found if isinstance(found, dict) else {}), address


def proof_for(board: Greeted, port: int, role: str) -> str:
    """Show a board that was greeted that one is of the same user."""
    return access.proof(access.token(), role, board.server_id, access.place_of(board.address, port))


def taken(port: int, why: str) -> NotOurs:
    """Say who holds a port, as far as that can be found, and why it is not for us."""
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

        found = greet(host, port)
        name = f"[{found.address}]" if ":" in found.address else found.address
        opening = connect(
            f"ws://{name}:{port}/publish",
            additional_headers={"X-Board-Proof": proof_for(found, port, "publish")},
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
