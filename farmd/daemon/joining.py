"""Asking to be admitted, from the first run until the farm's records name this machine's key.

A machine that was prepared with an invitation asks the members that it names, one after the other, and whoever else was
named on the command line. One member's *no* is not the farm's: it may not have heard of a signing key yet, or have a
wrong clock; so the others are asked too, and after a while all of them again. An invitation that is good no more is no
reason to end either: the file is read again, so that a new one (`farmd join`) takes effect at once. Why this machine is
not a member yet is said once for each reason.

Called by `farmd.daemon.life`. Admits nobody.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from farmd.adapters.identity import forget_token, read_token, waiting_token
from farmd.core.events import PeerHeardOf
from protocol.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from farmd.adapters.identity import Token
    from farmd.core.events import Event
    from protocol.messages import JoinReply

    Seed = tuple[str, bytes]
    Ask = Callable[[Sequence[Seed], bytes], Awaitable[JoinReply]]
    """Asks members, (HOST:PORT, public key), with a token in turn until one answers; raises `Unreachable` if none does."""

_LOG = logging.getLogger("farmd")
AGAIN_S = 2.0
REFUSED_S = 60.0
"""After a refusal by all who answered; doubled each time, since each is a line in the members' event logs."""
REFUSED_MOST_S = 3600.0
RECORDS_S = 5.0
"""Whoever was admitted learns of it with the farm's records, as a rule within this time."""
LOOK_S = 0.1
_UNREADABLE = "?"
"""Stands for an invitation that may not be read; no token looks like it."""


class Joining:
    """One machine's wish to be admitted.

    Attributes:
        fault: Why it has not been so far; empty if nothing is known of it.
    """

    def __init__(
        self,
        data_dir: Path,
        addresses: Sequence[str],
        ask: Ask,
        *,
        is_admitted: Callable[[], bool],
        on_event: Callable[[Event], None],
        say: Callable[[str], None],
    ) -> None:
        """Prepare.

        Args:
            data_dir: Where the invitation waits.
            addresses: HOST:PORT of further members, by any of the keys that the invitation names.
            ask: Asks members.
            is_admitted: Whether this machine's key is good by now.
            on_event: Told of the members.
            say: Told why it is not admitted, in one line, once for each reason.
        """
        self._data_dir = data_dir
        self._addresses = addresses
        self._ask = ask
        self._is_admitted = is_admitted
        self._on_event = on_event
        self._say = say
        self.fault = ""

    async def run(self) -> None:
        """Ask until this machine is a member; returns at once if it has no invitation."""
        refused_s = REFUSED_S
        while not self._is_admitted():
            text = self._invitation()
            if text is None:
                return
            refusal = await self._try(text) if text != _UNREADABLE else ""
            await self._pause(text, refused_s if refusal else AGAIN_S)
            refused_s = min(2 * refused_s, REFUSED_MOST_S) if refusal else REFUSED_S
        forget_token(self._data_dir)
        self.fault = ""

    def _invitation(self) -> str | None:
        """Return what the file holds: None if there is none, `_UNREADABLE` if it may not be read."""
        try:
            return waiting_token(self._data_dir)
        except UserError as error:
            self._tell(error)
            return _UNREADABLE

    async def _try(self, text: str) -> str:
        """Ask everybody once; returns why those who answered refused, empty if none did."""
        refusal, silence = "", UserError("the invitation names nobody to ask", "", "farmd run --join HOST:PORT")
        try:
            seeds = self._seeds(read_token(text))
        except UserError as error:
            self._tell(error)
            return ""
        for seed in seeds:
            try:
                reply = await self._ask([seed], text.encode())
            except UserError as error:
                silence = error
                continue
            if reply.admitted:
                await self._admitted(reply)
                return ""
            refusal = refusal or reply.reason
        hint = "ask for a new token, then here: farmd join TOKEN; the daemon takes it up"
        self._tell(UserError(f"the farm refuses this node: {refusal}", "", hint) if refusal else silence)
        return refusal

    def _seeds(self, token: Token) -> list[Seed]:
        keys = list(dict.fromkeys(key for _, key in token.seeds))
        named = [(address, key) for address in self._addresses for key in keys]
        return list(dict.fromkeys([*[(address, key) for address, key in token.seeds if address], *named]))

    async def _admitted(self, reply: JoinReply) -> None:
        """Go to the members, who tell everything else."""
        for address, key in reply.members:
            self._on_event(PeerHeardOf(address, key, vouched=True))
        for _ in range(round(RECORDS_S / LOOK_S)):
            if self._is_admitted():
                return
            await asyncio.sleep(LOOK_S)

    async def _pause(self, text: str, pause_s: float) -> None:
        """Wait before the next try, unless this machine is admitted, or given another invitation, meanwhile."""
        while pause_s > 0 and not self._is_admitted():
            await asyncio.sleep(min(pause_s, AGAIN_S))
            pause_s -= AGAIN_S
            if self._invitation() != text:
                return

    def _tell(self, error: UserError) -> None:
        fault = f"{error.what}; {error.hint}" if error.hint else error.what
        if fault != self.fault:
            _LOG.warning("not admitted yet: %s", fault)
            self._say(fault)
        self.fault = fault
