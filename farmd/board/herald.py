"""Tells the daemon of this machine which programs are on the board, so that dashboards and farmctl show them, too.

Counts only, every few seconds; who wants the tasks finds them at the board's address. Where no daemon runs, or it does
not want to know, nothing happens: a board needs no farm. Loads zmq only when there is a daemon to talk to.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from farmd.board.forking import importing
from protocol.errors import FarmError
from protocol.places import running_daemons

if TYPE_CHECKING:
    from pathlib import Path

    from farmd.board.server import Board
    from protocol.client import AsyncClient

EVERY_S: Final = 3.0
MAX_PROGRAMS: Final = 200
"""A daemon hears of no more; those that work come first."""
LOOK_S: Final = 15.0
"""Pause before a daemon is looked for again."""


async def tell(board: Board, url: str, data_dir: Path | None = None) -> None:
    """Go on telling until cancelled.

    Args:
        board: What is told of.
        url: Where it is.
        data_dir: Whose daemon; None = the one of this machine, if one runs.
    """
    while True:
        if data_dir is not None or await asyncio.to_thread(_is_daemon_here):
            with suppress(FarmError, OSError):  # it ended, or does not want to know: later perhaps
                await _tell_one(board, url, data_dir)
        await asyncio.sleep(LOOK_S)


async def _tell_one(board: Board, url: str, data_dir: Path | None) -> None:
    with importing():
        import zmq

        from protocol.client import AsyncClient

        assert zmq is not None  # loaded here, so that no fork falls into the middle of it
    client: AsyncClient
    async with AsyncClient(data_dir) as client:
        while True:
            programs = board.model.programs()[:MAX_PROGRAMS]
            await client.call("board.publish", board=board.server_id, url=url, programs=programs)
            await asyncio.sleep(EVERY_S)


def _is_daemon_here() -> bool:
    return any(True for _ in running_daemons())
