"""The programs that publish on a board: what was received from each, and when one is gone for good.

A program is one or several processes (a loader and its workers). Each process numbers its messages; the hub answers
with the number, and knows after a broken connection which was the last: nothing is lost, and nothing counts twice.
When the last process of a program has been gone for `GRACE_S`, what it left unfinished is marked as failed; should it
come back after all (its machine was asleep), that is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from farmd.board.model import Program
from farmd.board.ops import as_op
from farmd.board.words import NAME_CHARS, shortened
from protocol.errors import PeerError

if TYPE_CHECKING:
    from farmd.board.model import BoardModel
    from farmd.board.ops import Op

GRACE_S: Final = 5.0
MAX_PUBLISHERS: Final = 256
"""Processes that one board hears at a time."""
MAX_ENDED: Final = 1_000
"""Programs that are remembered, and shown, after their end."""
KEPT_MS: Final = 3 * 24 * 3_600_000
"""So long they are, a weekend that is; then they leave the board as the next one ends."""


@dataclass(slots=True)
class _Source:
    """One program: its open connections, and the last message of each process."""

    program: Program
    connections: int = 0
    ended_at_ms: int | None = None
    received: dict[str, int] = field(default_factory=dict)


class Hub:
    """Everything that programs say to one board."""

    def __init__(self, model: BoardModel) -> None:
        self.model = model
        self._sources: dict[str, _Source] = {}

    @property
    def connections(self) -> int:
        """Return how many processes are connected."""
        return sum(source.connections for source in self._sources.values())

    def stay(self, program: Program) -> None:
        """Take in the program that serves the board: it is there for as long as the board is."""
        self._sources[program.key] = _Source(program, connections=1)

    def enter(self, hello: object) -> tuple[str, str, int]:
        """Take a process in.

        Returns:
            Keys of its program and of itself, and the number of the last message that it got through; 0 if none.

        Raises:
            PeerError: It does not say who it is.
        """
        match hello:
            case {"kind": "program", "program": str(key), "process": str(process), "name": str(name)}:
                pass
            case _:
                raise PeerError("a program must say who it is")
        if not (0 < len(key) <= NAME_CHARS and 0 < len(process) <= NAME_CHARS):
            raise PeerError("a program must have a name")
        source = self._sources.setdefault(key, _Source(Program(key, shortened(name, NAME_CHARS) or "program")))
        source.connections += 1
        if source.ended_at_ms is not None:
            source.ended_at_ms = None
            self.model.revive_program(key)
        return key, process, source.received.get(process, 0)

    def receive(self, program: str, process: str, message: object) -> int:
        """Do what a message says, once; returns its number.

        Raises:
            PeerError: It is not a message.
        """
        match message:
            case {"kind": "ops", "n": int(number), "ops": dict(found)} if number > 0:
                pass
            case _:
                raise PeerError("not a message of a program")
        source = self._sources[program]
        if number > source.received.get(process, 0):
            self.model.apply(source.program, _ops(found))
            source.received[process] = number
        return number

    def leave(self, program: str) -> None:
        """Note that a connection has ended."""
        self._sources[program].connections -= 1

    def is_gone(self, program: str) -> bool:
        """Tell whether no process of a program is connected."""
        source = self._sources.get(program)
        return source is not None and source.connections == 0

    def end(self, program: str, at_ms: int) -> None:
        """Give a program up that is gone."""
        if self.is_gone(program):
            source = self._sources.pop(program)
            source.ended_at_ms = at_ms
            self._sources[program] = source  # the last of those that ended
            self.model.end_program(program, at_ms)
            self._forget_old(at_ms)

    def _forget_old(self, now_ms: int) -> None:
        ended = [(key, at_ms) for key, source in self._sources.items() if (at_ms := source.ended_at_ms) is not None]
        for number, (key, at_ms) in enumerate(ended):
            if number < len(ended) - MAX_ENDED or at_ms < now_ms - KEPT_MS:
                del self._sources[key]
                self.model.forget_program(key)


def _ops(found: dict[Any, Any]) -> dict[str, Op]:
    ops = {}
    for task_id, body in found.items():
        op = as_op(body)
        if op is None or not isinstance(task_id, str) or len(task_id) > NAME_CHARS:
            raise PeerError(f"not an operation on a task: {str(body)[:80]}")
        ops[task_id] = op
    return ops
