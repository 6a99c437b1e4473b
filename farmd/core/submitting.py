"""Takes jobs in: checks a submission completely, waits until its files are here, then writes its row.

A job whose row is written has all its files on this node, so what is acknowledged can be rendered; one whose files do
not come in time is refused and leaves nothing behind. A submitter that may have to ask again, since no answer came,
chooses the id of its job: asked twice, there is one job. Called by `farmd.core.door`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from farmd.core.acknowledge import LEVELS
from farmd.core.arguments import text_of
from farmd.core.clashes import clashing_jobs
from farmd.core.effects import Reply
from farmd.core.eventlog import key_of, submitter_of
from protocol.errors import NotFound, PeerError, UsageError, UserError
from protocol.human import nearest_word
from protocol.ids import JobId, new_job_id, pack_job
from protocol.jobspec import BUILT_IN_RENDERERS, DeliverBy, JobSpec, spec_from_bytes, spec_to_bytes
from protocol.records import Kind, job_pk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from farmd.core.acknowledge import Acknowledge
    from farmd.core.events import ClientAsked
    from farmd.core.node import Node
    from farmd.core.turn import Turn

SUBMIT_PATIENCE_S = 20.0
"""A job is refused when none of its files has come nearer for so long."""
LOOK_S = 5.0
MAX_TEXT = 200
_ANOTHER_ID = "take another id (over HTTP: a new Idempotency-Key)"


@dataclass(slots=True)
class _Submission:
    """A job whose files are being checked before its row is written."""

    asked: ClientAsked
    spec: JobSpec
    due: float
    look_at: float
    lacking: int


class Submitting:
    """Answers `job.submit`."""

    def __init__(self, node: Node, acknowledge: Acknowledge, rng: Random) -> None:
        self._node = node
        self._acknowledge = acknowledge
        self._rng = rng
        self._submissions: dict[JobId, _Submission] = {}
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {"job.submit": self._submit}

    def next_deadline(self) -> float | None:
        """When it is looked again whether files are coming."""
        return min((waiting.look_at for waiting in self._submissions.values()), default=None)

    def on_timer(self, turn: Turn) -> None:
        """Refuse the jobs whose files do not come; a job of which an old one's gigabytes come from afar is waited for."""
        now = turn.now.mono
        for job_id, waiting in list(self._submissions.items()):
            if waiting.look_at > now:
                continue
            lacking = self._node.assets.missing_bytes(job_id)
            if lacking != waiting.lacking:
                waiting.lacking, waiting.due = lacking, now + SUBMIT_PATIENCE_S
            if waiting.due > now:
                waiting.look_at = min(waiting.due, now + LOOK_S)
                continue
            del self._submissions[job_id]
            self._node.assets.forget(job_id)
            why = f"{lacking} bytes of its files are on no node that answers"
            fault = (1, "the job was not accepted", why, "submit it again: what is here is not sent twice")
            turn.effects.append(Reply(waiting.asked.client, error=fault))

    def left(self, client: int) -> None:
        """The submitter no longer waits."""
        for job_id in [job_id for job_id, waiting in self._submissions.items() if waiting.asked.client == client]:
            del self._submissions[job_id]
            self._node.assets.forget(job_id)

    def _submit(self, turn: Turn, event: ClientAsked) -> None:
        refuse_on_full_disk(self._node)
        level = text_of(event, "ack", "peer")
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
        owner = self._node.door.permissions.owner_for(event, spec.owner)
        deliver = bool(event.args.get("deliver")) and event.same_user and spec.output_dir is not None
        spec = replace(
            spec,
            submit_node=self._node.id,
            submitted_at_ms=turn.now.wall_ms,
            owner=owner,
            submitted_by=event.actor[:MAX_TEXT] if event.actor != owner else "",
            deliver=DeliverBy.NODE if deliver else DeliverBy.CLIENT,
        )
        job_id = self._id_of(turn, event)
        if self._is_answered_again(turn, event, job_id, spec.owner):
            return
        if spec.manifest is None:
            self._accept(turn, event, job_id, spec)
            return
        now = turn.now.mono
        self._submissions[job_id] = _Submission(event, spec, now + SUBMIT_PATIENCE_S, now + LOOK_S, 0)
        self._node.assets.want(turn, job_id, spec, ())
        waiting = self._submissions.get(job_id)
        if waiting is not None:
            waiting.lacking = self._node.assets.missing_bytes(job_id)

    def _id_of(self, turn: Turn, event: ClientAsked) -> JobId:
        chosen = JobId(text_of(event, "job", ""))
        if not chosen:
            return new_job_id(turn.now.wall_ms, self._rng)
        try:
            pack_job(chosen)
        except PeerError as error:
            raise UsageError("the request carries no id for its job", str(error), "leave it to the farm") from error
        return chosen

    def _is_answered_again(self, turn: Turn, event: ClientAsked, job_id: JobId, owner: str) -> bool:
        """Answer a submitter whose job is here already; tells whether it is.

        Raises:
            UserError: The id is that of somebody else's job, or of one whose files are being looked for.
        """
        if job_id in self._submissions:
            raise UserError(f"job {job_id} is being submitted already", "another request waits for its files", "wait")
        if self._node.jobs.is_deleted(job_id):  # its tombstone would take the new row without a word
            raise UserError(f"job {job_id} was deleted", "its id is not used again", _ANOTHER_ID)
        rec = self._node.replica.get(Kind.JOB, job_pk(job_id))
        if rec is None:
            return False
        job = self._node.jobs.get(job_id)
        if job is None or job.submitted.owner != owner:
            raise UserError(f"there is a job {job_id} already", "its id is taken", _ANOTHER_ID)
        data = {"job": job_id, "deliver": self._delivery_of(job.submitted), "same_files": []}
        level = text_of(event, "ack", "peer")
        self._acknowledge.reply(turn, event.client, data, stamp=(rec.origin, rec.seq), level=level)
        return True

    def on_assets_held(self, turn: Turn, job_id: JobId) -> None:
        """All files of a job are here: if it waits for that, write its row, unless one came from elsewhere meanwhile."""
        waiting = self._submissions.pop(job_id, None)
        if waiting is None:
            return
        try:
            is_answered = self._is_answered_again(turn, waiting.asked, job_id, waiting.spec.owner)
        except UserError as error:
            fault = (error.code, error.what, error.why, error.hint)
            turn.effects.append(Reply(waiting.asked.client, error=fault))
            return
        if not is_answered:
            self._accept(turn, waiting.asked, job_id, waiting.spec)

    def _accept(self, turn: Turn, event: ClientAsked, job_id: JobId, spec: JobSpec) -> None:
        clashes = clashing_jobs(self._node.jobs, spec, self._node.jobs.state_of)
        rec = self._node.replica.write(turn, Kind.JOB, job_pk(job_id), spec_to_bytes(spec))
        text = f"{spec.name}: {spec.frames or '1'}"
        turn.note("submitted", text, job=job_id, actor=submitter_of(spec), key=key_of(rec))
        level = text_of(event, "ack", "peer")
        if level == "leader" and self._node.election.is_leader:
            level = "local"
        data: dict[str, Any] = {"job": job_id, "deliver": self._delivery_of(spec)}
        data["same_files"] = [{"job": job.id, "name": job.spec.name, "owner": job.spec.owner} for job in clashes]
        self._acknowledge.reply(turn, event.client, data, stamp=(rec.origin, rec.seq), level=level)

    @staticmethod
    def _delivery_of(spec: JobSpec) -> str:
        return spec.deliver.value if spec.output_dir is not None else "none"

    def _refuse_unknown_renderer(self, name: str) -> None:
        """A name that nobody ever heard of is a typo; one that is merely not installed yet may wait."""
        offered = [fact.name for body in self._node.registry.bodies.values() for fact in body.renderers]
        known = sorted(dict.fromkeys([*BUILT_IN_RENDERERS, *offered]))
        if name in known:
            return
        meant = nearest_word(name, known)
        hint = f"did you mean {meant}?" if meant else f"the farm knows: {', '.join(known)}"
        raise UserError(f"no renderer is called {name!r}", "no machine of the farm has one of that name", hint)


def refuse_on_full_disk(node: Node) -> None:
    """Refuse what would be written, while the disk is full.

    Raises:
        UserError: It is.
    """
    fault = node.condition.disk_fault()
    if fault:
        raise UserError(
            "the node accepts nothing new", fault, "free space under its data dir, or ask another node (--node)"
        )
