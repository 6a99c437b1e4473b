"""Answers clients: what each operation of `protocol.api` does, in one turn, from the live state.

A request is checked completely before anything is written; what cannot be done is an error of three lines with an
exit code, and changes nothing. Controls are registers, accepted on any node at any time, cut off or not.

Called by `farmd.core.node`. Operations that touch files (`blob.*`, `events`) never come here: the adapter serves them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from farmd.core import views
from farmd.core.acknowledge import LEVELS
from farmd.core.clashes import clashing_jobs
from farmd.core.controls import Controls
from farmd.core.effects import Reply
from farmd.core.explain import Explain
from farmd.core.pathorders import PathOrders
from farmd.core.resultviews import result_list
from protocol.errors import NotFound, PeerError, UsageError, UserError
from protocol.human import nearest_word
from protocol.ids import TaskIndex, new_job_id, task_id_of
from protocol.jobspec import BUILT_IN_RENDERERS, DeliverBy, JobSpec, spec_from_bytes, spec_to_bytes
from protocol.records import Kind, job_pk
from protocol.states import JOB_TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from farmd.core.acknowledge import Acknowledge
    from farmd.core.events import ClientAsked
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import JobId

SUBMIT_PATIENCE_S = 20.0
WATCH_PATIENCE_S = 30.0
WATCH_PAUSE_S = 0.1
"""A change is told after this time, together with those that follow it, so that a watcher costs little."""


@dataclass(slots=True)
class _Submission:
    """A job whose files are being checked before its row is written."""

    asked: ClientAsked
    spec: JobSpec
    due: float


@dataclass(slots=True)
class _Watch:
    """A client that waits for a job to change."""

    client: int
    job: JobId
    since: int
    due: float


class Door:
    """The operations, by name."""

    def __init__(self, node: Node, acknowledge: Acknowledge, rng: Random) -> None:
        self._node = node
        self._acknowledge = acknowledge
        self._rng = rng
        self._controls = Controls(node, acknowledge)
        self._paths = PathOrders(node, acknowledge)
        self.explain = Explain(node)
        self._submissions: dict[JobId, _Submission] = {}
        self._watches: dict[int, _Watch] = {}
        self._fetches: dict[int, tuple[JobId, TaskIndex, float]] = {}
        self._operations: dict[str, Callable[[Turn, ClientAsked], None]] = {
            "farm.status": self._farm_status,
            "node.list": self._node_list,
            "node.show": self._node_show,
            "node.hold": self._controls.hold_node,
            "node.release": self._controls.release_node,
            "job.submit": self._submit,
            "job.list": self._job_list,
            "job.show": self._job_show,
            "job.spec": self._job_spec,
            "job.watch": self._watch,
            "job.control": self._control,
            "task.list": self._task_list,
            "task.thumbnail": self._thumbnail,
            "why": self._why,
            "logs": self._logs,
            "result.list": self._result_list,
            "result.fetch": self._result_fetch,
            "path.list": self._paths.list,
            "path.add": self._paths.add,
            "path.remove": self._paths.remove,
            "path.test": self._paths.test,
            "doctor": self._doctor,
        }

    def ask(self, turn: Turn, event: ClientAsked) -> None:
        """Answer a request, now or in a later turn; never raises for what a client sends."""
        operation = self._operations.get(event.op)
        try:
            if operation is None:
                raise UsageError(f"no operation is called {event.op!r}", "this node does not know it", "update farmd")
            operation(turn, event)
        except UserError as error:
            fault = (error.code, error.what, error.why, error.hint)
            turn.effects.append(Reply(event.client, error=fault))
        except PeerError as error:
            fault = (2, "the request cannot be read", str(error), "use a client of this version")
            turn.effects.append(Reply(event.client, error=fault))

    def left(self, client: int) -> None:
        """A client no longer waits."""
        self._watches.pop(client, None)
        self._fetches.pop(client, None)
        for job_id in [job_id for job_id, waiting in self._submissions.items() if waiting.asked.client == client]:
            del self._submissions[job_id]
            self._node.assets.forget(job_id)
        self._acknowledge.drop(client)
        self._node.thumbnails.left(client)

    def next_deadline(self) -> float | None:
        """When somebody has waited long enough."""
        if not (self._submissions or self._watches or self._fetches):
            return None
        times = [waiting.due for waiting in self._submissions.values()]
        times.extend(watch.due for watch in self._watches.values())
        times.extend(due for _, _, due in self._fetches.values())
        return min(times, default=None)

    def on_timer(self, turn: Turn) -> None:
        """Answer those who have waited long enough."""
        now = turn.now.mono
        for job_id, waiting in list(self._submissions.items()):
            if waiting.due <= now:
                del self._submissions[job_id]
                lacking = self._node.assets.missing_bytes(job_id)
                self._node.assets.forget(job_id)
                why = f"{lacking} bytes of its files are on no node that answers"
                fault = (1, "the job was not accepted", why, "submit it again: what is here is not sent twice")
                turn.effects.append(Reply(waiting.asked.client, error=fault))
        for watch in list(self._watches.values()):
            if watch.due <= now:
                self._answer_watch(turn, watch)
        for client, (job_id, task, due) in list(self._fetches.items()):
            if due <= now:
                self._answer_fetch(turn, client, job_id, task)

    # -- submitting -----------------------------------------------------------------------------------------------

    def _submit(self, turn: Turn, event: ClientAsked) -> None:
        self._refuse_on_full_disk()
        level = _text(event, "ack", "peer")
        if level not in LEVELS:
            raise UsageError(f"no acknowledgement is called {level!r}", "", "use one of " + ", ".join(LEVELS))
        raw = event.args.get("spec")
        if not isinstance(raw, bytes):
            raise UsageError(
                "the request carries no job", "its field 'spec' is missing", "use a client of this version"
            )
        spec = spec_from_bytes(raw)
        for other in spec.after:
            if self._node.jobs.get(other) is None:
                raise NotFound(f"job {other} is not known here", "the new job should start after it", "check the id")
        self._refuse_unknown_renderer(spec.renderer)
        deliver = bool(event.args.get("deliver")) and event.same_user and spec.output_dir is not None
        spec = replace(
            spec,
            submit_node=self._node.id,
            submitted_at_ms=turn.now.wall_ms,
            owner=spec.owner or event.actor,
            deliver=DeliverBy.NODE if deliver else DeliverBy.CLIENT,
        )
        job_id = new_job_id(turn.now.wall_ms, self._rng)
        if spec.manifest is None:
            self._accept(turn, event, job_id, spec)
            return
        self._submissions[job_id] = _Submission(event, spec, turn.now.mono + SUBMIT_PATIENCE_S)
        self._node.assets.want(turn, job_id, spec, ())

    def on_assets_held(self, turn: Turn, job_id: JobId) -> None:
        """All files of a job are here: if it waits for that, write its row."""
        waiting = self._submissions.pop(job_id, None)
        if waiting is not None:
            self._accept(turn, waiting.asked, job_id, waiting.spec)

    def _accept(self, turn: Turn, event: ClientAsked, job_id: JobId, spec: JobSpec) -> None:
        clashes = clashing_jobs(self._node.jobs, spec, self._node.jobs.state_of)
        rec = self._node.replica.write(turn, Kind.JOB, job_pk(job_id), spec_to_bytes(spec))
        turn.note("submitted", f"{spec.name}: {spec.frames or '1'}", job=job_id, actor=event.actor)
        level = _text(event, "ack", "peer")
        if level == "leader" and self._node.election.is_leader:
            level = "local"
        data: dict[str, Any] = {"job": job_id, "deliver": self._delivery_of(spec)}
        data["same_files"] = [{"job": job.id, "name": job.spec.name, "owner": job.spec.owner} for job in clashes]
        self._acknowledge.reply(turn, event.client, data, stamp=(rec.origin, rec.seq), level=level)

    @staticmethod
    def _delivery_of(spec: JobSpec) -> str:
        return spec.deliver.value if spec.output_dir is not None else "none"

    def _refuse_on_full_disk(self) -> None:
        fault = self._node.condition.disk_fault()
        if fault:
            raise UserError(
                "the node accepts nothing new", fault, "free space under its data dir, or ask another node (--node)"
            )

    def _refuse_unknown_renderer(self, name: str) -> None:
        """A name that nobody ever heard of is a typo; one that is merely not installed yet may wait."""
        offered = [fact.name for body in self._node.registry.bodies.values() for fact in body.renderers]
        known = sorted(dict.fromkeys([*BUILT_IN_RENDERERS, *offered]))
        if name in known:
            return
        meant = nearest_word(name, known)
        hint = f"did you mean {meant}?" if meant else f"the farm knows: {', '.join(known)}"
        raise UserError(f"no renderer is called {name!r}", "no machine of the farm has one of that name", hint)

    # -- controls -------------------------------------------------------------------------------------------------

    def _control(self, turn: Turn, event: ClientAsked) -> None:
        self._refuse_on_full_disk()
        self._controls.control_job(turn, event, self._job(event))

    # -- reading --------------------------------------------------------------------------------------------------

    def _farm_status(self, turn: Turn, event: ClientAsked) -> None:
        turn.effects.append(Reply(event.client, views.farm_status(self._node, turn.now)))

    def _node_list(self, turn: Turn, event: ClientAsked) -> None:
        turn.effects.append(Reply(event.client, views.node_list(self._node, turn.now)))

    def _node_show(self, turn: Turn, event: ClientAsked) -> None:
        node = self._controls.find_node(_text(event, "node"))
        turn.effects.append(Reply(event.client, views.node_view(self._node, node, turn.now)))

    def _job_list(self, turn: Turn, event: ClientAsked) -> None:
        jobs = [views.job_view(self._node, job, turn.now, brief=True) for job in self._node.jobs]
        turn.effects.append(Reply(event.client, {"schema": "farm.jobs.v1", "jobs": jobs}))

    def _job_show(self, turn: Turn, event: ClientAsked) -> None:
        turn.effects.append(Reply(event.client, self._view(self._job(event), turn)))

    def _job_spec(self, turn: Turn, event: ClientAsked) -> None:
        job = self._job(event)
        turn.effects.append(Reply(event.client, {"job": job.id, "spec": spec_to_bytes(job.spec)}))

    def _view(self, job: Job, turn: Turn) -> dict[str, Any]:
        view = views.job_view(self._node, job, turn.now)
        view["reason"] = self.explain.headline(job, turn.now)
        return view

    def _task_list(self, turn: Turn, event: ClientAsked) -> None:
        job = self._job(event)
        offset, limit = _number(event, "offset", 0), min(_number(event, "limit", 1000), 10_000)
        state = _text(event, "state", "")
        turn.effects.append(Reply(event.client, views.task_list(self._node, job, state, offset, limit)))

    def _thumbnail(self, turn: Turn, event: ClientAsked) -> None:
        job, frame = self._job(event), _number(event, "frame", 1)
        self._node.thumbnails.ask(turn, event, job, frame, self._task_of(job, frame))

    def _why(self, turn: Turn, event: ClientAsked) -> None:
        job = self._job(event)
        frame = event.args.get("frame")
        task = self._task_of(job, int(frame)) if isinstance(frame, int) else None
        turn.effects.append(Reply(event.client, self.explain.why(job, task, turn.now)))

    def _result_list(self, turn: Turn, event: ClientAsked) -> None:
        turn.effects.append(Reply(event.client, result_list(self._node, self._job(event), event.args)))

    def _doctor(self, turn: Turn, event: ClientAsked) -> None:
        turn.effects.append(Reply(event.client, views.doctor(self._node, turn.now)))

    # -- waiting --------------------------------------------------------------------------------------------------

    def _watch(self, turn: Turn, event: ClientAsked) -> None:
        job = self._job(event)
        patience = _seconds(event, "timeout_s", WATCH_PATIENCE_S)
        since = _number(event, "since", -1)
        watch = _Watch(event.client, job.id, since, turn.now.mono + patience)
        if self._node.chronicle.version_of(job.id) != since or patience <= 0:
            self._answer_watch(turn, watch)
        else:
            self._watches[event.client] = watch

    def review_watches(self, turn: Turn, changed: dict[JobId, None]) -> None:
        """Jobs have changed: answer who waits for them."""
        soon = turn.now.mono + WATCH_PAUSE_S
        for watch in list(self._watches.values()):
            if watch.job not in changed:
                continue
            if self._is_over(watch.job):
                self._answer_watch(turn, watch)
            else:
                watch.due = min(watch.due, soon)
        for client, (job_id, task, _) in list(self._fetches.items()):
            if job_id in changed and self._node.outputs.is_here(job_id, task):
                self._answer_fetch(turn, client, job_id, task)

    def _is_over(self, job_id: JobId) -> bool:
        return self._node.jobs.get(job_id) is None or self._node.jobs.state_of(job_id) in JOB_TERMINAL

    def _answer_watch(self, turn: Turn, watch: _Watch) -> None:
        self._watches.pop(watch.client, None)
        job = self._node.jobs.get(watch.job)
        if job is None:
            fault = (5, f"job {watch.job} is no more", "it was deleted", "")
            turn.effects.append(Reply(watch.client, error=fault))
            return
        data = {"version": self._node.chronicle.version_of(watch.job), "job": self._view(job, turn)}
        turn.effects.append(Reply(watch.client, data))

    def _result_fetch(self, turn: Turn, event: ClientAsked) -> None:
        job, task = self._job(event), TaskIndex(_number(event, "task", 0))
        if not job.has_task(task):
            raise NotFound(f"job {job.id} has no task {task}")
        due = turn.now.mono + WATCH_PATIENCE_S
        if self._node.outputs.bring_here(turn, job, task):
            self._answer_fetch(turn, event.client, job.id, task)
        else:
            self._fetches[event.client] = (job.id, task, due)

    def _answer_fetch(self, turn: Turn, client: int, job_id: JobId, task: TaskIndex) -> None:
        self._fetches.pop(client, None)
        turn.effects.append(Reply(client, {"here": self._node.outputs.is_here(job_id, task)}))

    def _logs(self, turn: Turn, event: ClientAsked) -> None:
        job = self._job(event)
        task = event.args.get("task")
        if not isinstance(task, int):
            frame = event.args.get("frame")
            task = self._task_of(job, frame) if isinstance(frame, int) else None
        self._node.logs.ask(turn, event, job, task)

    # -- finding --------------------------------------------------------------------------------------------------

    def _task_of(self, job: Job, frame: int) -> TaskIndex:
        task = job.plan.task_of_frame(frame)
        if task is None:
            raise NotFound(f"job {job.id} has no frame {frame}", f"its frames are {job.spec.frames or '1'}")
        return task

    def _job(self, event: ClientAsked) -> Job:
        return find_job(self._node, _text(event, "job"))


def find_job(node: Node, text: str) -> Job:
    """Find the job that a person means: by id, by its exact name or nine digits, or by a unique part of its id.

    Raises:
        NotFound: No job, or more than one, is meant.
    """
    exact = [job for job in node.jobs if job.id == text]
    digits = len(text) == 9 and text.isdecimal()
    named = exact or [job for job in node.jobs if job.spec.name == text or (digits and task_id_of(job.id) == text)]
    found = named or [job for job in node.jobs if len(text) >= 3 and text in job.id]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"no job is called {text!r}", "neither an id, nor part of one, nor a name", "farmctl job list")
    ids = ", ".join(job.id for job in found[:5])
    raise NotFound(f"{text!r} means {len(found)} jobs", ids, "name one by its id")


def _text(event: ClientAsked, name: str, default: str | None = None) -> str:
    value = event.args.get(name)
    if isinstance(value, str) and (value or default is not None):
        return value or (default or "")
    if default is None or value is not None:
        raise UsageError(f"the request {event.op} needs a text {name!r}", f"it carries {value!r}", "")
    return default


def _seconds(event: ClientAsked, name: str, most: float) -> float:
    value = event.args.get(name)
    if value is None:
        return most
    if type(value) not in (int, float) or not value < float("inf"):
        raise UsageError(f"the request {event.op} needs a number of seconds {name!r}", f"it carries {value!r}", "")
    return float(max(0, min(value, most)))


def _number(event: ClientAsked, name: str, default: int) -> int:
    value = event.args.get(name)
    if value is None:
        return default
    if type(value) is not int or not -(1 << 62) < value < 1 << 62:
        raise UsageError(f"the request {event.op} needs a whole number {name!r}", f"it carries {value!r}", "")
    return value
