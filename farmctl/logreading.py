"""Reads logs from the node that is asked: from the start, the last lines, what is new, what matches.

An answer holds as many lines as fit into it, so everything here asks again until it has what was wanted. If the machine
dies meanwhile, its node is answered for with the last lines that the farm knows: these belong to no place of the log, so
reading ends with an error, and never as if the log had ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from protocol.errors import NotFound, UserError
from protocol.human import relative_time
from protocol.states import JOB_TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmctl.context import Session
    from farmctl.output import View

PAGE: Final = 10_000
WAIT_S: Final = 5.0
"""How long the node may hold a question back for news; less than the patience of a session."""
_POLL_S: Final = 0.5


def tail(session: Session, asked: View, count: int, **how: Any) -> View:
    """Read the last lines; the answer that is returned holds them all."""
    answer = _read_there(session, "log.tail", asked, lines=min(count, PAGE), **how)
    asked = asked | _named(answer)
    page = answer
    while len(answer["lines"]) < count and not page["complete"] and page["lines"]:
        missing = min(PAGE, count - len(answer["lines"]))
        page = _read_there(session, "log.tail", asked, lines=missing, before=page["lines"][0]["offset"], **how)
        answer["lines"] = page["lines"] + answer["lines"]
    return answer


def read(session: Session, asked: View, **how: Any) -> Iterator[View]:
    """Yield answers from the start of a log to where it ends now."""
    answer = _read_there(session, "log.read", asked, lines=PAGE, **how)
    asked = asked | _named(answer)
    yield answer
    how.pop("since_ms", None)
    while not answer["complete"]:
        answer = _read_there(session, "log.read", asked, lines=PAGE, offset=answer["next"], **how)
        yield answer


def find(session: Session, asked: View, **how: Any) -> Iterator[View]:
    """Yield answers with what matches, from the start of a log to its end; each line once, in the order of the log."""
    answer = _read_there(session, "log.find", asked, **how)
    asked = asked | _named(answer)
    held: dict[int, View] = {}
    shown_to = -1
    while True:
        for line in answer["lines"]:  # those around a match may be around the next one too, or match themselves
            if line["offset"] > shown_to and (line["match"] or line["offset"] not in held):
                held[line["offset"]] = line
        known = [offset for offset in sorted(held) if answer["complete"] or offset < answer["next"]]
        shown_to = max([shown_to, *known])
        yield answer | {"lines": [held.pop(offset) for offset in known]}
        if answer["complete"]:
            return
        answer = _read_there(session, "log.find", asked, **(how | {"from": answer["next"]}))


def _named(answer: View) -> View:
    """Name the attempt that an answer is of, and its task: a node then need not look for it among all of the job."""
    return {name: answer[name] for name in ("attempt", "task")}


def _read_there(session: Session, op: str, asked: View, **how: Any) -> View:
    """Ask for a part of a log that was there a moment ago.

    Raises:
        UserError: Its machine does not answer any more, or has removed it.
    """
    answer: View = session.call(op, **asked, **how)
    if answer["away"] or not answer["found"]:
        raise broke_off(answer)
    return answer


def broke_off(answer: View) -> UserError:
    """Say that no more of a log can be had, though it is not at its end."""
    return UserError("the log broke off", why_not(answer), "try again when its machine is back")


def why_not(answer: View) -> str:
    """Say why a log cannot be read."""
    away = answer["away"]
    return f"{away['node_name']}: {away['why']}" if away else f"{answer.get('node_name', '')} keeps it no more"


def follow(session: Session, asked: View, seen: View, **how: Any) -> Iterator[View]:
    """Yield what comes after an answer until the attempt has ended.

    Raises:
        UserError: The log was removed meanwhile. That its machine is away is told by the last answer.
    """
    asked = asked | _named(seen)
    while not (seen["ended"] and seen["complete"] and not seen.get("partial")):
        if seen["complete"]:
            answer: View = session.call(
                "log.follow", **asked, offset=seen["next"], size=seen["size"], lines=PAGE, patience_s=WAIT_S, **how
            )
        else:  # more is there already than fits into an answer
            answer = session.call("log.read", **asked, offset=seen["next"], lines=PAGE, **how)
        if answer["ended"] and not answer["found"] and not answer["away"]:
            raise broke_off(answer)
        over = answer["ended"] and not answer["lines"]
        if answer["lines"] or answer["away"]:
            yield answer
        if over or answer["away"]:
            return
        seen = answer if answer["size"] else seen | {"ended": answer["ended"]}


def await_log(session: Session, asked: View, *, wait: bool) -> View:
    """Return the newest attempt that is meant; wait for one if it shall be followed.

    Raises:
        NotFound: There is none, and none will come.
    """
    while True:
        try:
            answer: View = session.call("log.tail", **asked, lines=0)
            nothing = NotFound(
                "there is no log", "the node that ran it keeps it no more", f"farmctl logs {asked['job']}"
            )
            if answer["found"] or answer["away"] or answer["lines"]:
                return answer
            if wait and not answer["ended"]:
                session.pause(_POLL_S)
                continue
        except NotFound as error:
            nothing = error
        if not wait or session.call("job.show", job=asked["job"])["state"] in JOB_TERMINAL:
            raise nothing
        session.pause(_POLL_S)


def where(session: Session, answer: View) -> str:
    """Say whose log it is, and what is in the way of it."""
    text = f"{answer.get('node_name', '')}, frame {answer.get('frames', '')}, attempt {answer.get('attempt', '')}"
    away = answer.get("away")
    if away:
        since = relative_time(int(away["since_ms"]), session.now_ms()) if away.get("since_ms") else ""
        when = f" ({since})" if since else ""
        text += f": the log is on {away['node_name']}; {away['why']}{when}"
        text += "; its last lines were:" if answer.get("lines") else ""
    return text
