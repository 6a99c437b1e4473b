"""The port of the farm's board: taken, asked for where a program of this user has it, or waited for.

The board must not keep HTTP from being served, nor the other way round; and whoever has the port does not have it for
ever: a program that ends, or was there because this process was away. Called by `farmd.web.server`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from farmd.web.binding import AddressTaken, bind, place_in
from protocol.errors import Unreachable, UsageError, UserError

if TYPE_CHECKING:
    import socket

_LOG = logging.getLogger("farmd.web")
AGAIN_S: Final = 5.0
_GOING_S: Final = 4.0
"""So long whoever was asked for the port has to leave it."""
_LOOK_S: Final = 0.1


async def claimed(address: str) -> socket.socket:
    """Bind the board's port; a program of this user that has it is asked to leave it.

    Raises:
        UserError: Something else has it, or it is no address of this machine.
    """
    ends = asyncio.get_running_loop().time() + _GOING_S
    leaving: set[str] = set()
    while True:
        try:
            return bind(address)
        except AddressTaken as taken:
            if asyncio.get_running_loop().time() > ends:
                raise
            await asyncio.to_thread(_ask_for, address, taken, leaving)
        await asyncio.sleep(_LOOK_S)  # one program goes after another, if several take it over at once


async def waited_for(address: str, stopped: asyncio.Event) -> socket.socket | None:
    """Claim the board's port again and again until it is there; None once `stopped` is set.

    Raises:
        UsageError: It is no address.
    """
    told = ""
    while not stopped.is_set():
        try:
            return await claimed(address)
        except UsageError:
            raise
        except UserError as error:
            if error.why != told:
                told = error.why
                _LOG.error("the board is not served yet: %s: %s; it is tried every %g s", error.what, told, AGAIN_S)
        await _pause(stopped)
    return None


async def _pause(stopped: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(AGAIN_S):
            await stopped.wait()
    except TimeoutError:
        return


def _ask_for(address: str, taken: AddressTaken, leaving: set[str]) -> None:
    """Ask who has the port to leave it, once each: ids of those that will are noted in `leaving`.

    Raises:
        AddressTaken: It does not, or is nobody to be asked; and nobody is just leaving.
    """
    from farmd.board.joining import ask_for_port

    host, port = place_in(address)
    try:
        leaving.add(ask_for_port(host, port, leaving))
    except Unreachable:
        return  # it has gone by itself
    except (UserError, OSError) as error:
        if leaving:  # what is being closed answers as it likes
            return
        why = error.why if isinstance(error, UserError) else taken.why
        raise AddressTaken(taken.what, why, taken.hint) from error
