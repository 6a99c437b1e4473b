"""Keep talking to the farm when a node stops answering: try the others, then the first again.

Any node can answer anything, so a watcher that loses its node goes to another one of the *same* farm: first those that
run on this machine (their sockets need no key), then the addresses that the farm's status named. Used by following, which
lasts long; a single question is never asked twice, since the first one may have been done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocol.errors import FarmError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmctl.context import Caller, Session
    from farmctl.output import View

POLL_S = 4.0
"""How long a node may hold a question back until there is something new."""
ANSWER_S = POLL_S + 2.0
TRANSFER_S = 120.0
"""How long a node may take where it moves or verifies gigabytes before it answers."""
TRY_S = 2.0
"""How long another node may take to show that it is there."""


class Links:
    """One connection at a time, to whichever node answers.

    Attributes:
        node: Id of the node that is asked, as it said itself.
        switched: It is not the connection that was made first.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._client: Caller | None = None
        self._slow: Caller | None = None
        self._target: str | None = session.node
        self._farm: object = None
        self._addresses: tuple[str, ...] = ()
        self.node: object = None
        self.switched = False

    def open(self) -> None:
        """Connect to the node that was asked for, and learn which others there are.

        Once the farm is known, another of its nodes does too; where none answers, the next `call` says so.

        Raises:
            UserError: It does not answer, and no other is known.
        """
        if self._farm is not None:
            self.move_on()
            self.switched = self._target != self._session.node
            return
        self._adopt(*self._try(self._session.node, ANSWER_S))

    def call(self, op: str, /, **args: Any) -> Any:
        """Ask the present node.

        Raises:
            Unreachable: It does not answer; see `move_on`.
            UserError: What it says.
        """
        if self._client is None:
            raise Unreachable(
                "no node answers", "all that are known were tried", "farmctl --node HOST:PORT names another"
            )
        return self._client.call(op, **args)

    def transfer(self, op: str, /, **args: Any) -> Any:
        """Ask the present node for something that may take minutes, on a connection of its own.

        Raises:
            UserError: What it says, or that it does not answer.
        """
        if self._slow is None:
            self._slow = self._session.connect(self._target, TRANSFER_S)
        return self._slow.call(op, **args)

    def move_on(self, *, elsewhere: bool = False) -> bool:
        """Look once for a node that answers; False if none does.

        Args:
            elsewhere: The present one answers, and another is wanted; if there is no other, it is kept.
        """
        before = self.node if elsewhere else None
        if not elsewhere:
            self.close()
        for target in self._from_here() if elsewhere else self._candidates():
            try:
                client, status = self._try(target, TRY_S)
            except (FarmError, OSError):
                continue
            if self._farm in (None, status.get("farm")) and (not elsewhere or status.get("node") != before):
                self.close()
                self.switched, self._target = True, target
                self._adopt(client, status)
                return True
            client.close()
        return self._client is not None

    def _from_here(self) -> list[str | None]:
        """List the candidates, those that come after the present one first, so that all have their turn."""
        targets = list(self._candidates())
        here = targets.index(self._target) + 1 if self._target in targets else 0
        return targets[here:] + targets[:here]

    def close(self) -> None:
        """Let go of the connection."""
        for client in (self._client, self._slow):
            if client is not None:
                client.close()
        self._client = self._slow = None

    def _try(self, target: str | None, timeout_s: float) -> tuple[Caller, View]:
        client = self._session.connect(target, timeout_s)
        try:
            status: View = client.call("farm.status")
        except FarmError:
            client.close()
            raise
        if timeout_s < ANSWER_S:  # it only had to show that it is there
            client.close()
            client = self._session.connect(target, ANSWER_S)
        return client, status

    def _adopt(self, client: Caller, status: View) -> None:
        self._client = client
        self._farm, self.node = status.get("farm"), status.get("node")
        named = tuple(str(node["address"]) for node in status.get("nodes", ()) if node.get("address"))
        self._addresses = named or self._addresses

    def _candidates(self) -> Iterator[str | None]:
        from protocol.places import running_daemons

        yield self._session.node
        here = {daemon.address: daemon.data_dir for daemon in running_daemons()}
        yield from (here[address] for address in self._addresses if address in here)
        yield from (address for address in self._addresses if address not in here)
