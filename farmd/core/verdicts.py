"""When to give a job up: every machine that could run it has shown that its renderer lacks what the scene needs.

Theory. A node is *barred* from a job by one attempt that ended with a missing feature (`farmd.core.retry`), and then
gets no other task of it. So a job for which nothing but barred nodes is left would wait for ever, and no waiting helps.
The machines that count are those of the *rows*: admitted, described by a NODE row, and large enough for the need. One
that is off just now counts too, since it may have the feature when it is back; so the verdict does not depend on who
is within sight, and one half of a divided farm does not give up what the other half renders. A machine that is gone
for good has to be evicted, else jobs wait for it, and say so.

The verdict is a register, so that it stays: a machine that joins next month must not start jobs that failed today.
It names the machines and what their renderers said. A person's retry, of whichever frames, undoes it and all bars.

Invariant: at most one task of the job ran to its end on each barred node, beside those that ran there at that time.
Called by `farmd.core.node` after the leader has looked for work to grant; `lacking` also by `farmd.core.explain`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.capacity import Capacity
from protocol.bodies import ControlBody, pack_body
from protocol.records import JobField, Kind, job_control_pk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.attempts import Attempt
    from farmd.core.capacity import Need
    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.registry import Registry
    from farmd.core.replica import Replica
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

ACTOR = "farmd"
MAX_TEXT = 600


class Verdicts:
    """Gives jobs up, on the node that leads."""

    def __init__(self, *, replica: Replica, jobs: Jobs, registry: Registry, need_of: Callable[[Job], Need]) -> None:
        """Prepare; `need_of` says what the leader would look for."""
        self._replica = replica
        self._jobs = jobs
        self._registry = registry
        self._need_of = need_of

    def review(self, turn: Turn) -> bool:
        """Give up the jobs that want grants and that no machine can render; True if there was one."""
        hopeless = [job for job in self._jobs.barred_candidates() if self._is_hopeless(job)]
        for job in hopeless:
            why = lacking(job.barred_nodes(), self._registry.name_of)
            pk = job_control_pk(job.id, JobField.GIVEN_UP)
            self._replica.write(turn, Kind.JOB_CONTROL, pk, pack_body(ControlBody(1, ACTOR, why)))
        return bool(hopeless)

    def _is_hopeless(self, job: Job) -> bool:
        barred = job.barred_nodes()
        return bool(barred) and not others_that_fit(self._registry, self._need_of(job), barred)


def others_that_fit(registry: Registry, need: Need, barred: Mapping[NodeId, object]) -> list[NodeId]:
    """List the machines of the farm, those that are off included, that fit a need and are not barred."""
    return [
        node
        for node, body in registry.bodies.items()
        if node not in barred and registry.is_admitted(node) and Capacity(node, body).never_fits(need) is None
    ]


def lacking(barred: Mapping[NodeId, Attempt], name_of: Callable[[NodeId], str]) -> str:
    """Say what the renderers of the barred nodes lack, those that say the same together."""
    names: dict[str, list[str]] = {}
    for node, attempt in barred.items():
        names.setdefault(attempt.body.text or "a feature is missing", []).append(name_of(node))
    text = "; ".join(f"{', '.join(sorted(where))}: {what}" for what, where in names.items())
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
