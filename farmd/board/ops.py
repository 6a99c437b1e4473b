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

from typing import Any, Final, TypedDict, cast

from protocol.states import ColourGroup

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
    """Read an operation that came over the wire; None if it is none. Unknown registers are left out."""
    if not isinstance(found, dict):
        return None
    op: dict[str, Any] = {}
    for key, kinds in _KINDS.items():
        if key not in found:
            continue
        value = found[key]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            return None
        op[key] = value
    if op.get("state", PENDING) not in STATES:
        return None
    return cast("Op", op)  # each value was looked at


_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "removed": (bool,),
    "fresh": (bool,),
    "name": (str,),
    "group": (str,),
    "total": (int, float),
    "about": (str,),
    "begun": (int,),
    "state": (str,),
    "started_at_ms": (int,),
    "ended_at_ms": (int, type(None)),
    "error": (str,),
    "done": (int, float),
    "advance": (int, float),
}
