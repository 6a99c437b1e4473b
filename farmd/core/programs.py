"""Programs that show their own work on a board beside the farm: a data loader, a converter, anything with tasks.

The process that serves a board on this machine says every few seconds what is on it; who watches the farm sees it
there, too, and finds the tasks themselves at the board's address. Nothing is kept: a board that says nothing for
`HEARD_S` is gone, and nothing is told to other nodes.

    board.publish {board, url, programs: [{key, name, total, pending, running, completed, failed}]}
    board.list    -> farm.boards.v1: boards: [{board, url, programs}]

Called by `farmd.core.door`; read by `farmd.core.feed`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.arguments import text_of
from farmd.core.effects import Reply
from protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.events import ClientAsked
    from farmd.core.turn import Turn

HEARD_S = 10.0
MAX_BOARDS = 16
MAX_PROGRAMS = 200
MAX_CHARS = 200
COUNTS = ("total", "pending", "running", "completed", "failed")


class Programs:
    """What the boards of this machine said last."""

    def __init__(self) -> None:
        self._boards: dict[str, tuple[float, dict[str, Any]]] = {}
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {
            "board.publish": self._publish,
            "board.list": self._list,
        }

    def _publish(self, turn: Turn, event: ClientAsked) -> None:
        board, url = text_of(event, "board")[:MAX_CHARS], text_of(event, "url", "")[:MAX_CHARS]
        told = event.args.get("programs")
        if not isinstance(told, list):
            raise UsageError("the request board.publish carries no list of programs", f"it carries {told!r:.80}")
        programs = [_program_of(program) for program in told[:MAX_PROGRAMS]]
        self._boards.pop(board, None)
        self._boards[board] = turn.now.mono, {"board": board, "url": url, "programs": programs}
        if len(self._boards) > MAX_BOARDS:
            del self._boards[next(iter(self._boards))]
        turn.effects.append(Reply(event.client, {"board": board}))

    def _list(self, turn: Turn, event: ClientAsked) -> None:
        turn.effects.append(Reply(event.client, {"schema": "farm.boards.v1", "boards": self.boards(turn)}))

    def boards(self, turn: Turn) -> list[dict[str, Any]]:
        """List the boards that were heard of lately, and the programs on them."""
        since = turn.now.mono - HEARD_S
        self._boards = {name: told for name, told in self._boards.items() if told[0] > since}
        return [view for _, view in self._boards.values()]


def _program_of(told: object) -> dict[str, Any]:
    """Read what is told of one program, strictly.

    Raises:
        UsageError: It is nothing of that kind.
    """
    if not isinstance(told, dict):
        raise UsageError("a program on a board is a map", f"this is {told!r:.80}")
    key, name = told.get("key"), told.get("name")
    if not isinstance(key, str) or not isinstance(name, str):
        raise UsageError("a program on a board has a key and a name", f"this is {told!r:.80}")
    counts = {count: told.get(count) for count in COUNTS}
    if not all(type(count) is int and 0 <= count < 1 << 53 for count in counts.values()):
        raise UsageError("a program on a board has counts of its tasks", f"this is {told!r:.80}")
    return {"key": key[:MAX_CHARS], "name": name[:MAX_CHARS], **counts}
