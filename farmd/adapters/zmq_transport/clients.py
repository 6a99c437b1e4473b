"""Client requests over the nodes' port: who may ask, and where an answer goes.

A trusted node may ask in its own name; the key of a person may ask in that person's name, and may do nothing else. An
answer goes out only while the key that asked is good: a stream that began before a revocation ends with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol.api import API_MARK, MAX_API_BYTES
from protocol.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from protocol.ids import NodeId

    Answer = Callable[[bytes], bool]
    OnApi = Callable[[NodeId, bytes, Answer], None]
    OnPerson = Callable[[str, bytes, Answer], None]


@dataclass(frozen=True, slots=True)
class ReturnPath:
    """Where the answer to a client request goes; two of one connection are equal, so they also name it."""

    send: Callable[[str, list[bytes]], bool]
    routing_id: bytes
    user: str

    def __call__(self, response: bytes) -> bool:
        """Send a response; False if the client is gone, or its key is good no longer."""
        return self.send(self.user, [self.routing_id, API_MARK, response])


class Clients:
    """Hands requests on.

    Args:
        on_api: Takes a request of a node; None takes none.
        on_person: Takes a request of a person; None takes none.
        send: Sends an answer to whoever has the key `user`, if that is good still.
    """

    def __init__(
        self, on_api: OnApi | None, on_person: OnPerson | None, send: Callable[[str, list[bytes]], bool]
    ) -> None:
        self.people: dict[str, str] = {}
        self._on_api, self._on_person, self._send = on_api, on_person, send

    def know(self, people: Iterable[tuple[bytes, str]]) -> set[str]:
        """Take requests of exactly these people, (raw public key, name); returns whose keys are good no longer."""
        before, self.people = self.people.keys(), {key.hex(): name for key, name in people}
        return before - self.people.keys()

    def hear_node(self, routing_id: bytes, user: str, node: NodeId | None, frames: list[bytes]) -> None:
        """Hand on what a node asks as a client.

        Raises:
            PeerError: It is no node that is trusted, or no request.
        """
        if node is None or self._on_api is None:
            raise PeerError("client request that is not accepted here")
        self._on_api(node, _request_in(frames), ReturnPath(self._send, routing_id, user))

    def hear_person(self, routing_id: bytes, user: str, frames: list[bytes]) -> None:
        """Hand on what a person asks.

        Raises:
            PeerError: It is no request: the nodes' protocol is not for a person's key, not even to join.
        """
        if self._on_person is None or frames[0] != API_MARK:
            raise PeerError("a person's key speaks as a node does")
        self._on_person(self.people[user], _request_in(frames), ReturnPath(self._send, routing_id, user))


def _request_in(frames: list[bytes]) -> bytes:
    """Return the request of a message of a client.

    Raises:
        PeerError: It is none.
    """
    if len(frames) != 2 or frames[0] != API_MARK:
        raise PeerError("client request that is not accepted here")
    if len(frames[1]) > MAX_API_BYTES:
        raise PeerError(f"client request of {len(frames[1])} bytes")
    return frames[1]
