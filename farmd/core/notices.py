"""Who is told what: hooks hear of jobs that come to a state and of alerts that come and go, at least once.

Theory. A hook is told by one node: the one that it names, or whoever leads. What a hook was told of a job last is a
register of that job (TOLD, sub-key the hook), written after the address or program took it, or after it was given up.
So what is to be told is a difference between rows: the job's present state is wanted by the hook, and the register
does not say so. Whoever leads next sees the same difference and goes on; what the last leader told and could not write
down is told again, under the same id. A new leader waits `TAKE_OVER_S` for what its predecessor wrote.

Only what is news is told: a job that came to its state before the hook was made is not, unless this node saw it come
there since. That a job was submitted is told however fast it started; any other state that was left before it could be told is not told any more; a register that names a state which the
job has left is set to "moved on", so that the next time counts. Alerts have no rows: `farmd.core.alertwatch`.

Invariant: without hooks nothing is looked at and nothing kept. Called by `farmd.core.node`; never touches a job beyond
its TOLD registers.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from farmd.core import noticetexts
from farmd.core.alertwatch import AlertWatch
from farmd.core.effects import Notify, Reply
from farmd.core.occasions import LASTING, since_ms, time_of
from farmd.core.outbox import Letter, Outbox
from protocol.bodies import ControlBody, pack_body
from protocol.hooks import JOB_EVENTS, place_of, wants
from protocol.ids import JobId
from protocol.records import JobField, Kind, job_control_pk
from protocol.states import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farmd.core.alertwatch import Episode
    from farmd.core.events import Notified
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Instant, Turn
    from protocol.bodies import HookBody

ACTOR = "farmd"
REVIEW_S = 0.25
"""Pause between a change of a job and the look at it: what changes in one go is looked at once."""
TAKE_OVER_S = 2.0
JOBS_PER_TURN = 100
MOVED_ON, DELIVERED, GIVEN_UP = range(3)
"""Values of TOLD."""
_SUBMITTED = f"job.{JOB_EVENTS[JobState.QUEUED]}"
BACK_AT_ONCE = 10
"""So many jobs for which there was no room are looked at again when a notice is over."""


class Notices:
    """Tells hooks."""

    def __init__(self, node: Node, now: Instant) -> None:
        self._node = node
        self._asks = 0
        self._outbox = Outbox(self._next_ask)
        self._watch = AlertWatch(node, now.mono)
        self._known_at: dict[bytes, float] = {}
        self._tests: dict[int, tuple[int, bytes, HookBody]] = {}
        self._dirty: dict[JobId, None] = {}
        self._put_off: dict[JobId, None] = {}
        self._leads = False
        self._office_at = inf
        self._scan_at = now.mono
        self._due = now.mono

    def _next_ask(self) -> int:
        self._asks += 1
        return self._asks

    # -- what happened -------------------------------------------------------------------------------------------------

    def on_hooks_changed(self, turn: Turn, pk: bytes) -> None:
        """A hook came or went."""
        if pk not in self._node.hooks.standing:
            self._known_at.pop(pk, None)
            self._outbox.drop_all(pk)
        elif pk not in self._known_at:
            self._watch.look(turn)
            self._known_at[pk] = self._scan_at = self._due = turn.now.mono

    def on_turn(self, turn: Turn, changed: Mapping[JobId, None]) -> None:
        """A turn is over, and these jobs have changed in it."""
        if not self._node.hooks.standing:
            return
        if self._node.election.is_leader is not self._leads:
            self._wake(turn.now.mono)
        if changed:
            self._dirty |= changed
            self._wake(turn.now.mono + REVIEW_S)

    def on_notified(self, turn: Turn, event: Notified) -> None:
        """A try is over."""
        if event.ask in self._tests:
            self._answer_test(turn, event)
            return
        found = self._outbox.settle(event.ask, turn.now.mono, event.error)
        if found is None:
            return
        hook, letter, over = found
        self._wake(turn.now.mono)
        body = self._node.hooks.standing.get(hook)
        job = None if letter.is_alert else self._node.jobs.get(JobId(letter.about))
        is_stale = job is None and not letter.is_alert
        if body is None or is_stale or (job is not None and event.error and not self._tells(body, turn.now)):
            self._outbox.drop(hook, letter.about)
            return
        if over:
            self._note(turn, body, letter, event.error)
        if over and job is not None:
            self._write(turn, job, hook, letter.mark, GIVEN_UP if event.error else DELIVERED)
        if job is not None:
            self._dirty[job.id] = None
        for job_id in list(self._put_off)[:BACK_AT_ONCE]:
            del self._put_off[job_id]
            self._dirty[job_id] = None

    def test(self, turn: Turn, client: int, pk: bytes, actor: str) -> None:
        """Send a test notice now, and answer a client with what became of it."""
        ask, body = self._next_ask(), self._node.hooks.standing[pk]
        self._tests[ask] = client, pk, body
        notice = noticetexts.test_notice(self._node, actor, ask, turn.now)
        turn.effects.append(Notify(ask, body, notice, volatile=True))

    def _answer_test(self, turn: Turn, event: Notified) -> None:
        client, pk, body = self._tests.pop(event.ask)
        data = {
            "schema": "farm.hook-test.v1",
            "id": pk.hex(),
            "target": body.target,
            "node_name": self._node.registry.name_of(self._node.id),
            "ok": not event.error,
            "error": event.error,
        }
        turn.effects.append(Reply(client, data))

    # -- when ----------------------------------------------------------------------------------------------------------

    def _wake(self, at: float) -> None:
        self._due = min(self._due, at)

    def next_deadline(self) -> float | None:
        """When there is something to look at or to send."""
        if not self._node.hooks.standing:
            return None
        look_at = self._watch.due if self._node.hooks.alerting else inf
        return min(self._due, look_at, self._outbox.next_due())

    def on_timer(self, turn: Turn) -> None:
        """Look at what has changed, and send what is due."""
        now = turn.now.mono
        self._due = inf
        self._follow_office(now)
        if self._scan_at <= now:
            takes_over_at = self._office_at + TAKE_OVER_S
            self._scan_at = takes_over_at if now < takes_over_at else inf  # what others are told is seen only then
            self._dirty |= {job.id: None for job in self._node.jobs}
        mine = self._mine(turn.now)
        self._review_some(turn, mine)
        if self._node.hooks.alerting and self._watch.due <= now:
            self._watch.look(turn)
            self._tell_alerts(turn, mine)
        self._outbox.send(turn, self._node.hooks.standing)
        self._wake(self._scan_at)
        if self._dirty:
            self._wake(now)

    def _follow_office(self, now: float) -> None:
        leads = self._node.election.is_leader
        if leads is self._leads:
            return
        self._leads, self._office_at = leads, now if leads else inf
        if leads:
            self._scan_at = now + TAKE_OVER_S
            return
        for pk, body in self._node.hooks.standing.items():
            if not body.node:
                self._outbox.drop_all(pk, but_alerts=True)

    def _tells(self, body: HookBody, now: Instant) -> bool:
        if body.node:
            return body.node == self._node.id
        return self._leads and now.mono >= self._office_at + TAKE_OVER_S

    def _mine(self, now: Instant) -> dict[bytes, HookBody]:
        """Return the hooks that this node tells of what the farm knows."""
        return {pk: body for pk, body in self._node.hooks.standing.items() if self._tells(body, now)}

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def _review_some(self, turn: Turn, mine: Mapping[bytes, HookBody]) -> None:
        if not mine:
            self._dirty.clear()
            return
        for _ in range(min(JOBS_PER_TURN, len(self._dirty))):
            job_id = next(iter(self._dirty))
            del self._dirty[job_id]
            job = self._node.jobs.get(job_id)
            for pk, body in mine.items():
                if job is None:
                    self._outbox.drop(pk, job_id)
                else:
                    self._review(turn, job, pk, body)

    def _review(self, turn: Turn, job: Job, pk: bytes, body: HookBody) -> None:
        """Compare what a hook was told of a job with where it stands; that it was submitted comes first in any case."""
        told = job.registers.get(JobField.TOLD, pk)
        state = self._node.jobs.state_of(job.id)
        if told is None and wants(body.events, _SUBMITTED) and self._is_news(job, JobState.QUEUED, pk, body):
            state = JobState.QUEUED
        word, time = JOB_EVENTS[state], time_of(job, state)
        if told is not None and told.text == word and (state not in LASTING or told.generation == time):
            self._outbox.drop(pk, job.id)
        elif not wants(body.events, f"job.{word}"):
            self._outbox.drop(pk, job.id)
            if told is not None and told.value != MOVED_ON:
                self._write(turn, job, pk, (word, time), MOVED_ON)
        elif told is not None or self._is_news(job, state, pk, body):
            self._put_job(turn, job, pk, (state, time))

    def _is_news(self, job: Job, state: JobState, pk: bytes, body: HookBody) -> bool:
        if state is JobState.QUEUED:
            return since_ms(job, state) > body.made_ms
        seen_at = self._node.chronicle.moved_at(job.id)
        return seen_at > self._known_at.get(pk, -inf) or since_ms(job, state) > body.made_ms

    def _put_job(self, turn: Turn, job: Job, pk: bytes, standing: tuple[JobState, int]) -> None:
        state, time = standing
        mark = (JOB_EVENTS[state], time)
        known = self._outbox.find(pk, job.id)
        if known is not None and (known.ask or known.mark == mark):
            return
        notice = noticetexts.job_notice(self._node, job, state, time, turn.now)
        if not self._outbox.put(pk, Letter(job.id, notice, mark=mark), turn.now.mono):
            self._put_off[job.id] = None

    def _write(self, turn: Turn, job: Job, pk: bytes, mark: tuple[str, int], value: int) -> None:
        word, time = mark
        body = ControlBody(value, ACTOR, generation=time, text=word)
        key = job_control_pk(job.id, JobField.TOLD, pk)
        self._node.replica.write(turn, Kind.JOB_CONTROL, key, pack_body(body))

    # -- alerts --------------------------------------------------------------------------------------------------------

    def _tell_alerts(self, turn: Turn, mine: Mapping[bytes, HookBody]) -> None:
        for pk, body in self._node.hooks.standing.items():
            if body.node not in ("", self._node.id):
                continue
            office_at = inf if pk not in mine else -inf if body.node else self._office_at
            known_at = self._known_at.get(pk, -inf)
            for episode, is_end in self._watch.news(pk, turn.now.mono, known_at=known_at, office_at=office_at):
                (episode.ended if is_end else episode.begun)[pk] = None
                if wants(body.events, f"alert.{episode.alert.code}"):
                    self._put_alert(turn, pk, episode, is_end=is_end)

    def _put_alert(self, turn: Turn, pk: bytes, episode: Episode, *, is_end: bool) -> None:
        notice = noticetexts.alert_notice(self._node, episode.alert, episode.mark, turn.now, resolved=is_end)
        if is_end:  # that it began is no news any more
            self._outbox.drop(pk, notice["id"].removesuffix(noticetexts.RESOLVED))
        self._outbox.put(pk, Letter(notice["id"], notice, is_alert=True), turn.now.mono)

    # -- what people see -----------------------------------------------------------------------------------------------

    def standing_of(self, pk: bytes) -> dict[str, Any]:
        """Describe how telling a hook went in this life of this node."""
        tally = self._outbox.tally(pk)
        return {
            "told": tally.told,
            "lost": tally.lost,
            "waiting": self._outbox.waiting(pk),
            "last_error": tally.last_error,
        }

    def _note(self, turn: Turn, body: HookBody, letter: Letter, error: str) -> None:
        place, text = place_of(body.kind, body.target), letter.notice["text"]
        job = "" if letter.is_alert else letter.about
        if error:
            turn.note("notice-lost", f"{place}: {error} (after {letter.tries} tries): {text}", job=job, actor=ACTOR)
        else:
            turn.note("notice", f"{place}: {text}", job=job, actor=ACTOR)
