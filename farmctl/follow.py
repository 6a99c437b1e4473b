"""Follow a job to its end: the one module that decides what waiting exits with.

A job that is waited for ends in exactly one code: 0 completed, 3 failed, 4 cancelled or rejected, 8 the time is over,
9 it waits for a person (only where that was asked for), 130 interrupted. The end of the job beats the end of the time:
whoever waits 10 s for a job that is done learns that it is done. The node that answers may die meanwhile; the job does
not, so another node is asked, and the wait goes on. What cannot change any more is never waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from farmctl.links import POLL_S, Links
from farmctl.standing import advice, describe, reason_of, results_done
from protocol.errors import NotFound, Unreachable, UserError
from protocol.exitcodes import JOB_END_CODES, ExitCode
from protocol.human import counted, format_duration, printable
from protocol.reasons import ReasonCode
from protocol.states import JOB_TERMINAL, JobState, NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from farmctl.context import Session
    from farmctl.output import View

RETRY_S: Final = 1.0
_NONE_SEEN: Final = -1
ARRIVAL_S: Final = 15.0
"""How long an ended job is watched without any more of its results coming into the output folder, and how long a node
that was not the first is asked for a job that it does not know."""
_AWAY: Final = frozenset((NodeState.LOST, NodeState.LEFT, NodeState.RECONNECTING))


class Delivery(Protocol):
    """Brings results here while the job is followed; `farmctl.fetching.Delivery` is one."""

    def step(self, links: Links, view: View) -> None:
        """Fetch what is new, as far as it can be had now."""
        ...

    def finish(self, links: Links, view: View) -> None:
        """Fetch the rest.

        Raises:
            UserError: Something cannot be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What ends the wait besides the job.

    Attributes:
        timeout_s: None waits for ever.
        stop_at_gate: A person is needed: leave with 9 instead of waiting for them.
    """

    timeout_s: float | None = None
    stop_at_gate: bool = False


def end_of(view: View, *, stop_at_gate: bool) -> ExitCode | None:
    """Say what a job in this state ends the wait with; None goes on waiting."""
    state = view.get("state")
    if state in JOB_TERMINAL:
        return JOB_END_CODES[JobState(state)]
    return ExitCode.WAITS_FOR_PERSON if stop_at_gate and waits_for_person(view) else None


def waits_for_person(view: View) -> bool:
    """Tell whether nothing will happen until a person decides: at the gate, or after the job paused itself."""
    state = view.get("state")
    itself = reason_of(view).get("code") == ReasonCode.JOB_PAUSED_ITSELF
    return state == JobState.AWAITING_APPROVAL or (state == JobState.PAUSED and itself)


def follow_all(session: Session, jobs: Sequence[str], wish: Wish) -> ExitCode:
    """Wait for one job after another and print each at its end; the first that was not completed decides.

    Raises:
        UserError: No node answered the first question, or there is no such job.
    """
    from farmctl.cards import job_card

    follower = Follower(session, wish)
    codes = []
    for job in jobs:
        codes.append(follower.follow(job))
        if follower.view:
            session.printer.one(follower.view, job, job_card)
        if codes[-1] is ExitCode.INTERRUPTED:
            return ExitCode.INTERRUPTED
    return next((code for code in codes if code is not ExitCode.DONE), ExitCode.DONE)


class Follower:
    """Follows one job after another with the same links.

    Args:
        session: Where to ask and how to tell.
        wish: What ends the wait besides the job.
        delivery: Brings results here meanwhile.
        watch: Shows each change, in place of progress.
    """

    def __init__(
        self,
        session: Session,
        wish: Wish,
        delivery: Delivery | None = None,
        *,
        watch: Callable[[View], None] | None = None,
    ) -> None:
        self._session = session
        self._wish = wish
        self._delivery = delivery
        self._links = Links(session)
        self._watch = watch
        self._progress = session.progress_line(shown=watch is None)
        self._until = None if wish.timeout_s is None else session.clock() + wish.timeout_s
        self._advised = ""
        self._version = _NONE_SEEN
        self._told_by: dict[object, None] = {}
        self._unknown_since: float | None = None
        self.view: View = {}

    def follow(self, job: str) -> ExitCode:
        """Wait for the end of a job and return what to exit with.

        Raises:
            UserError: No node answered the first question, there is no such job, or its results cannot be had.
        """
        self.view, self._version, self._advised = {}, _NONE_SEEN, ""
        self._told_by, self._unknown_since = {}, None
        try:
            with self._progress:
                return self._follow(job)
        except KeyboardInterrupt:
            self._session.note(f"no longer waiting; the job goes on: farmctl job wait {job}")
            return ExitCode.INTERRUPTED
        finally:
            self._links.close()

    def _follow(self, job: str) -> ExitCode:
        self._progress.began("asking the farm …")
        self._links.open()
        while True:
            answer = self._ask(job)
            if answer is not None:
                self._version, self.view = int(answer["version"]), answer["job"]
                self._show()
                code = end_of(self.view, stop_at_gate=self._wish.stop_at_gate)
                if code is not None:
                    return self._finish(job, code)
                if self._delivery is not None:
                    self._delivery.step(self._links, self.view)
            if self._left_s() <= 0:
                return self._give_up()

    def _ask(self, job: str) -> View | None:
        """Wait for news; None if there are none because the node is gone or does not know the job yet."""
        wait_s = min(POLL_S, max(0.0, self._left_s()))
        asked_at, since = self._session.clock(), self._version
        try:
            answer: View = self._links.call("job.watch", job=job, since=self._version, timeout_s=wait_s)
        except Unreachable as error:
            self._say_lost(error)
        except NotFound as error:
            if not self._may_arrive():
                raise self._why_unknown(job, error) from None
            self._version = _NONE_SEEN
            self._links.move_on(elsewhere=True)
            self._session.pause(min(RETRY_S, max(0.0, self._left_s())))
            return None
        else:
            self._told_by[self._links.node], self._unknown_since = None, None
            if int(answer["version"]) == since and self._session.clock() - asked_at < RETRY_S / 10:
                self._session.pause(RETRY_S / 10)  # a node that holds nothing back is not asked in a tight loop
            return answer
        self._version = _NONE_SEEN  # versions are the node's own
        if not self._links.move_on():
            self._session.pause(min(RETRY_S, max(0.0, self._left_s())))
        return None

    def _may_arrive(self) -> bool:
        """Tell whether a job that this node does not know may still come to it, from the node that was asked before.

        Who has told of the job once forgets it only when it is deleted. To the others it comes within seconds.
        """
        now = self._session.clock()
        self._unknown_since = now if self._unknown_since is None else self._unknown_since
        known = self._links.node in self._told_by
        return self._links.switched and not known and now - self._unknown_since < ARRIVAL_S

    def _why_unknown(self, job: str, error: NotFound) -> UserError:
        """Say that there is no such job only if nobody is silent who may have it alone: it is not deleted, then."""
        if not self._told_by or self._links.node in self._told_by:
            return error
        names = self._names_of(self._told_by)
        why = f"{' and '.join(names)} told of it and {'does' if len(names) == 1 else 'do'} not answer"
        return Unreachable(f"{error.what} at the nodes that answer", why, f"once it does: farmctl job wait {job}")

    def _names_of(self, nodes: Iterable[object]) -> list[str]:
        try:
            known = self._links.call("node.list").get("nodes") or []
        except UserError:
            known = []
        names = {node.get("id"): node.get("name") for node in known}
        return [printable(str(names.get(node) or node)) for node in nodes]

    def _say_lost(self, error: Unreachable) -> None:
        if self._advised != error.what:
            self._advised = error.what
            self._progress.line(f"{error.what}; the job goes on, looking for another node")

    def _show(self) -> None:
        view = self.view
        if self._watch is not None:
            self._watch(view)
            return
        change = (view.get("state"), view.get("failed"), reason_of(view).get("code"))
        self._progress.update(int(view.get("done", 0)), int(view.get("total", 0)), describe(view), change=change)
        told = advice(view)
        if told != self._advised:
            self._advised = told
            if told:
                self._progress.line(told)

    def _finish(self, job: str, code: ExitCode) -> ExitCode:
        if code is not ExitCode.WAITS_FOR_PERSON:
            if self._delivery is not None and self.view.get("deliver") == "client":
                self._delivery.finish(self._links, self.view)
            elif self.view.get("deliver") == "node" and self.view.get("leaves_outputs", True):
                self._await_arrival(job)
        self._progress.final(describe(self.view))
        return code

    def _await_arrival(self, job: str) -> None:
        """Let the last results come into the output folder; say so if they do not."""
        since, seen, away = self._session.clock(), self.view.get("delivered"), ""
        while (missing := results_done(self.view) - int(self.view.get("delivered") or 0)) > 0:
            if self._left_s() <= 0 or self._session.clock() - since > ARRIVAL_S:
                if not away:
                    why = self.view.get("delivery_error") or f"{counted(missing, 'result')} still missing"
                    folder = self.view.get("output_dir")
                    self._session.warn(f"not everything is in {folder}: {why}; fetch it: farmctl job download {job}")
                return
            answer = self._ask(job)
            if answer is not None:
                self._version, self.view = int(answer["version"]), answer["job"]
                arrived, expected = int(self.view.get("delivered") or 0), results_done(self.view)
                self._progress.update(arrived, expected, f"results arrive: {arrived} / {expected}", change="arriving")
                if self.view.get("delivered") != seen:
                    since, seen = self._session.clock(), self.view.get("delivered")
                elif not away and (away := self._deliverer_away()):
                    self._progress.clear()
                    self._session.warn(
                        f"the output folder is on {away}, which does not answer;"
                        f" fetch the results with: farmctl job download {job}"
                    )

    def _deliverer_away(self) -> str:
        """Name the node that writes into the output folder if the farm has lost sight of it; "" if not."""
        try:
            nodes = self._links.call("node.list").get("nodes") or []
        except UserError:
            return ""  # whoever answers next is asked
        deliverer = next((node for node in nodes if node.get("id") == self.view.get("submit_node")), None)
        if deliverer is None or deliverer.get("state") not in _AWAY:
            return ""
        return printable(str(deliverer.get("name") or deliverer["id"]))

    def _give_up(self) -> ExitCode:
        seconds = format_duration(self._wish.timeout_s or 0)
        state = describe(self.view) if self.view else "no node answered"
        self._progress.clear()
        self._session.warn(f"the {seconds} are over, the job goes on: {state}")
        return ExitCode.TIMEOUT

    def _left_s(self) -> float:
        return float("inf") if self._until is None else self._until - self._session.clock()
