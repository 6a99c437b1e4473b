"""What a program says of its tasks, as operations that can be joined: many calls become one message, and none is lost.

An operation is a dict of registers, so that it travels as it is. Joining is exact: applying `joined(a, b)` gives the
same task as applying `a` and then `b`, whatever the task was before (a property test holds it to that). So a process
keeps one operation per task however often it calls, and sends it four times a second.

The registers, all of them optional:

    removed        the task goes
    fresh          the task begins anew: forget what was
    name group total about     as given with `add_task`
    begun          it runs since then, if it had not begun yet (an update says so by the way)
    state started_at_ms ended_at_ms error      said outright; the later one holds
    done           how much is done
    advance        so much more, after `done`

Pure: no clock, no lock. Called by the Python API, the publisher, and the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict, cast

from farmd.board.words import ABOUT_CHARS, ERROR_CHARS, NAME_CHARS, number, shortened
from protocol.states import ColourGroup

if TYPE_CHECKING:
    from collections.abc import Callable

PENDING, RUNNING, COMPLETED, FAILED = (group.value for group in ColourGroup)
STATES: Final = (PENDING, RUNNING, COMPLETED, FAILED)


class Op(TypedDict, total=False):
    """One operation on one task, see the module; instants are wall clock milliseconds."""

    removed: bool
    fresh: bool
    name: str
    group: str
    total: float
    about: str
    begun: int
    state: str
    started_at_ms: int
    ended_at_ms: int | None
    error: str
    done: float
    advance: float


def added(name: str, total: float, about: str, group: str) -> Op:
    """Make a task, or begin one anew."""
    return Op(fresh=True, name=name, total=total, about=about, group=group)


def started(at_ms: int) -> Op:
    """Begin, from nothing."""
    return Op(state=RUNNING, started_at_ms=at_ms, ended_at_ms=None, error="", done=0.0)


def updated(done: float, at_ms: int) -> Op:
    """Say how much is done."""
    return Op(begun=at_ms, done=done)


def advanced(step: float, at_ms: int) -> Op:
    """Say how much more is done."""
    return Op(begun=at_ms, advance=step)


def completed(at_ms: int) -> Op:
    """End well; what is completed shows as all done (see `Task.shown_done`), whatever was counted."""
    return Op(state=COMPLETED, ended_at_ms=at_ms, error="")


def failed(error: str, at_ms: int) -> Op:
    """End badly."""
    return Op(state=FAILED, ended_at_ms=at_ms, error=error)


def removed() -> Op:
    """Take the task off the board."""
    return Op(removed=True)


def joined(first: Op, second: Op) -> Op:
    """Make one operation of two that follow each other."""
    if "fresh" in second or "removed" in second:
        return second
    if "removed" in first:
        return Op(fresh=True) | second
    op = first | second
    if "advance" in first and "done" not in second:
        op["advance"] = first["advance"] + second.get("advance", 0.0)
    elif "advance" in first and "advance" not in second:
        del op["advance"]
    if "begun" in first:
        op["begun"] = first["begun"]
    elif "state" in first and "begun" in second:  # it had begun, or ended: too late to begin by the way
        del op["begun"]
    return op


def is_final(op: Op) -> bool:
    """Tell whether the operation leaves its task ended."""
    return op.get("state") in (COMPLETED, FAILED)


def as_op(found: Any) -> Op | None:
    """Read an operation that came over the wire; None if it is none. Unknown registers are left out.

    Texts and numbers are bounded here as they are where they are said: what one program sends, every viewer gets.
    """
    if not isinstance(found, dict):
        return None
    try:
        op = {register: read(found[register]) for register, read in _READERS.items() if register in found}
    except ValueError:
        return None
    return cast("Op", op)  # each value was looked at


def _text(limit: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if type(value) is not str:
            raise ValueError("not a text")
        return shortened(value, limit)

    return read


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError("not a number")
    return number(value)


def _instant(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise ValueError("not an instant")
    return value


def _end(value: Any) -> int | None:
    return None if value is None else _instant(value)


def _flag(value: Any) -> bool:
    if value is not True:
        raise ValueError("a flag is there or not")
    return True


def _state(value: Any) -> str:
    if value not in STATES:
        raise ValueError("not a state")
    return str(value)


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "removed": _flag,
    "fresh": _flag,
    "name": _text(NAME_CHARS),
    "group": _text(NAME_CHARS),
    "total": _number,
    "about": _text(ABOUT_CHARS),
    "begun": _instant,
    "state": _state,
    "started_at_ms": _instant,
    "ended_at_ms": _end,
    "error": _text(ERROR_CHARS),
    "done": _number,
    "advance": _number,
}
