"""Follows all that runs of a job, each line behind the frame and the machine that it comes from.

Asks for the running attempts about once a second and for the news of each twice a second. At most `MOST` are followed
at a time; the others are told of and taken up as soon as there is room. Ends when the job does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from protocol.errors import NotFound, UserError
from protocol.states import JOB_TERMINAL

if TYPE_CHECKING:
    from farmctl.context import Session
    from farmctl.loglines import LinePrinter
    from farmctl.output import View

MOST: Final = 32
POLL_S: Final = 0.5
LOOKS_A_LIST: Final = 2
FIRST_LINES: Final = 10
"""Of what runs already when the following begins."""


class JobFollower:
    """Prints what all attempts of one job print."""

    def __init__(self, session: Session, job: str, printer: LinePrinter, *, tail: int | None) -> None:
        self._session = session
        self._job = job
        self._printer = printer
        self._tail = FIRST_LINES if tail is None else tail
        self._seen: dict[str, View] = {}
        self._over: set[str] = set()
        self._told_of_more = False

    def run(self) -> None:
        """Follow until the job has ended and everything was printed; of what breaks off, the begun lines are, too."""
        try:
            self._follow()
        finally:
            for attempt in list(self._seen):
                self._end(attempt)

    def _follow(self) -> None:
        looks = 0
        first = True
        while True:
            if looks % LOOKS_A_LIST == 0:
                over = self._session.call("job.show", job=self._job)["state"] in JOB_TERMINAL
                self._take_up(first=first)
                first = False
                if over and not self._seen:
                    return
            for attempt in list(self._seen):
                self._news(attempt)
            looks += 1
            self._session.pause(POLL_S)

    def _take_up(self, *, first: bool) -> None:
        """Begin to follow what has begun to run; what began and ended since the last look is printed too."""
        running = self._session.call("log.list", job=self._job, state=None, sizes=False, limit=200)["attempts"]
        for view in reversed(running):
            attempt = view["attempt"]
            if attempt in self._seen or attempt in self._over:
                continue
            if first and view["state"] != "running":
                self._over.add(attempt)
            elif len(self._seen) >= MOST:
                self._tell_of_more()
            else:
                self._begin(view, first=first)

    def _tell_of_more(self) -> None:
        if not self._told_of_more:
            self._told_of_more = True
            self._session.note(f"more than {MOST} frames run: the others follow when these have ended")

    def _begin(self, view: View, *, first: bool) -> None:
        attempt = view["attempt"]
        asked = {"job": self._job, "task": view["task"], "attempt": attempt}
        prefix = f"{view['frames']}@{view['node_name']}"
        self._seen[attempt] = {"asked": asked, "prefix": prefix, "next": 0, "size": 0}
        if first:
            answer = self._ask("log.tail", asked, lines=self._tail)
            self._print(attempt, answer)

    def _news(self, attempt: str) -> None:
        seen = self._seen[attempt]
        answer = self._ask("log.follow", seen["asked"], offset=seen["next"], size=seen["size"], patience_s=0)
        self._print(attempt, answer)

    def _print(self, attempt: str, answer: View | None) -> None:
        seen = self._seen[attempt]
        if answer is None or answer["away"]:
            self._session.note(f"{seen['prefix']}: its machine does not answer; its log is left")
            self._end(attempt)
            return
        self._printer.answer(answer, seen["prefix"])
        if answer["ended"] and (not answer["lines"] or answer["complete"]):
            self._end(attempt)
        else:
            seen["next"], seen["size"] = answer["next"], answer["size"]

    def _end(self, attempt: str) -> None:
        self._printer.end(self._seen.pop(attempt)["prefix"])
        self._over.add(attempt)

    def _ask(self, op: str, asked: View, **how: Any) -> View | None:
        try:
            answer: View = self._session.call(op, **asked, **how)
        except NotFound:
            raise
        except UserError as error:
            self._session.note(str(error))
            return None
        return answer
