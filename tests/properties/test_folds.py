"""The folds over random histories: any order, any duplicates, one result; and it is what a plain recount says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from farmd.core.bitmap import Mark
from farmd.core.jobs import Jobs
from farmd.core.retry import FREE_OOMS, rule_of
from protocol.bodies import AttemptBody, ControlBody, unpack_body
from protocol.ids import TaskIndex
from protocol.jobspec import GateMode
from protocol.records import HoldingWhat, JobField, Kind, Rec, attempt_ref_of, stamp
from protocol.states import AttemptState, FailureClass
from tests.core.foldrows import (
    BLOB,
    JOB,
    NODES,
    OTHER,
    at,
    attempt_row,
    control_row,
    failed_row,
    holding_row,
    job_row,
    marks,
    ref,
    requeue_row,
    spec,
    stopped_row,
)

if TYPE_CHECKING:
    from farmd.core.job import Job

TASKS = 5
task_numbers = st.integers(0, TASKS - 1)
stamps = st.integers(1, 40)
nodes = st.sampled_from(NODES[:3])
generations = st.integers(0, 2)
jobs_of_rows = st.sampled_from([JOB, JOB, JOB, OTHER])

specs = st.builds(
    spec,
    st.just("1-4"),
    tests=st.sampled_from([(), (2,), (4, 9)]),
    mode=st.sampled_from(GateMode),
    retries=st.integers(0, 2),
    manifest=st.sampled_from([None, BLOB]),
)


@st.composite
def attempts(draw: st.DrawFn) -> list[Rec]:
    """All versions of one attempt: running, and perhaps how it ended."""
    facts: dict[str, Any] = {"generation": draw(generations), "job": draw(jobs_of_rows), "hlc": draw(stamps)}
    facts["price"] = draw(st.sampled_from([0, 7, 1_234_567]))
    task, n, node = draw(task_numbers), draw(st.integers(1, 10**6)), draw(nodes)
    running = attempt_row(task, n, node, **facts)
    ended_s = draw(st.integers(-100, 100))
    causes = [FailureClass.ERROR, FailureClass.OOM, FailureClass.LICENSE, FailureClass.MISSING_ASSET]
    causes.append(FailureClass.MISSING_FEATURE)
    ended = draw(
        st.sampled_from(
            [
                None,
                attempt_row(task, n, node, AttemptState.DONE, ended_s=ended_s, **facts),
                stopped_row(task, n, node, FailureClass.NODE_LOST, **facts),
                *[failed_row(task, n, node, cause, ended_s=ended_s, peak=9 << 30, **facts) for cause in causes],
            ]
        )
    )
    return [running] if ended is None else [running, ended]


@st.composite
def requeues(draw: st.DrawFn) -> list[Rec]:
    first, last = sorted([draw(task_numbers), draw(task_numbers)])
    return [requeue_row(first, last, draw(generations), ver=draw(st.integers(1, 3)), hlc=draw(stamps))]


@st.composite
def controls(draw: st.DrawFn) -> list[Rec]:
    fields = [JobField.PAUSED, JobField.GATE, JobField.PRIORITY, JobField.CANCELLED, JobField.GIVEN_UP]
    fields.append(JobField.ARCHIVED)
    field = draw(st.sampled_from(fields))
    value = draw(st.integers(0, 2 if field is JobField.GATE else 1))
    ver, hlc = draw(st.integers(1, 3)), draw(stamps)
    return [control_row(field, value, ver=ver, hlc=hlc, generation=draw(generations), job=draw(jobs_of_rows))]


@st.composite
def edits(draw: st.DrawFn) -> list[Rec]:
    """A change of a field that can be changed, of one that cannot, or of one that nobody can read."""
    sub = draw(st.sampled_from([b"retries", b"retries", b"ram_bytes", b"cores", b"priority", b"frames", b"\xff"]))
    value, ver, hlc = draw(st.sampled_from([-1, 0, 1, 2, 1 << 60])), draw(st.integers(1, 3)), draw(stamps)
    return [control_row(JobField.EDITED, value, ver=ver, hlc=hlc, sub=sub, job=draw(jobs_of_rows))]


@st.composite
def holdings(draw: st.DrawFn) -> list[Rec]:
    runs = tuple(sorted(draw(st.lists(st.tuples(task_numbers, task_numbers), max_size=2))))
    what, complete = draw(st.sampled_from(HoldingWhat)), draw(st.booleans())
    return [holding_row(draw(nodes), what, runs, ver=draw(st.integers(1, 50)), complete=complete)]


def unique(rows: list[Rec]) -> list[Rec]:
    """Leave out rows that tie with another version of the same key: no honest node writes two under one stamp."""
    return list({(rec.kind, rec.pk, stamp(rec)): rec for rec in rows}.values())


@st.composite
def histories(draw: st.DrawFn) -> list[Rec]:
    pieces = draw(st.lists(st.one_of(attempts(), attempts(), requeues(), controls(), edits(), holdings()), max_size=14))
    rows = [job_row(draw(specs)), job_row(spec("1-5", after=(JOB,)), OTHER)]
    return unique(rows + [rec for piece in pieces for rec in piece])


def picture(jobs: Jobs) -> dict[str, Any]:
    """Everything that follows from the rows, and nothing that is only of the moment."""
    shown: dict[str, Any] = {"sick": jobs.health.sick()}
    for job_id, job in sorted(jobs.items()):
        tasks = [TaskIndex(task) for task in range(job.plan.task_count)]
        shown[job_id] = {
            "state": (jobs.state_of(job_id), job.gate, job.gate_facts, jobs.blocked_by(job_id)),
            "changes": (job.spec, job.archived, job.costs.days, job.grant_order),
            "registers": (job.priority, job.paused, job.paused_by_failures, job.cancelled),
            "marks": marks(job),
            "counts": (job.tasks.done_frames, job.tasks.failed_frames, job.tasks.fresh_failures),
            "credits": {node: frames for node, frames in sorted(job.tasks.frames_by_node.items()) if frames},
            "generations": [job.generation_of(task) for task in tasks],
            "attempts": [job.tasks.attempts_of(task) for task in tasks],
            "results": [job.result_of(task) for task in tasks],
            "copies": [job.copies_of(task) for task in tasks],
            "holders": (job.copies.asset_holders(), job.copies.delivered_count()),
            "measures": (job.rendered, job.rendered_ms, job.peak_ram_bytes, job.started_ms, job.ended_ms),
            "retries": (job.ram_floor_bytes, job.nodes_to_avoid(at()), sorted(job.nodes)),
            "running": sorted(job.running),
            "barred": (job.given_up, {node: attempt.id for node, attempt in job.barred_nodes().items()}),
        }
    return shown


def winners(rows: list[Rec]) -> list[Rec]:
    """What a replica holds after these rows: the largest version of each."""
    best: dict[tuple[int, bytes], Rec] = {}
    for rec in rows:
        known = best.get((rec.kind, rec.pk))
        if known is None or stamp(known) < stamp(rec):
            best[rec.kind, rec.pk] = rec
    return list(best.values())


@given(rows=histories(), data=st.data())
def test_any_order_with_duplicates_gives_the_same_jobs(rows: list[Rec], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(rows), max_size=6))
    shuffled = data.draw(st.permutations(rows + again))
    one, other = Jobs.from_scratch(shuffled, at()), Jobs.from_scratch(rows, at())
    assert picture(one) == picture(other)
    assert sorted(job.id for job in one.candidates()) == sorted(job.id for job in other.candidates())


@given(rows=histories(), data=st.data())
def test_row_by_row_equals_from_scratch_after_every_row(rows: list[Rec], data: st.DataObject) -> None:
    jobs = Jobs()
    order = data.draw(st.permutations(rows))
    for number, rec in enumerate(order):
        jobs.apply(rec, at())
        assert picture(jobs) == picture(Jobs.from_scratch(winners(order[: number + 1]), at()))


@given(rows=histories(), data=st.data())
def test_done_never_reverts_within_a_generation(rows: list[Rec], data: st.DataObject) -> None:
    jobs = Jobs()
    done: dict[int, int] = {}
    for rec in data.draw(st.permutations(rows)):
        jobs.apply(rec, at())
        job = jobs.get(JOB)
        for task in map(TaskIndex, range(job.plan.task_count if job is not None else 0)):
            assert job is not None
            if done.get(task) == job.generation_of(task):
                assert job.is_done(task)
            if job.is_done(task):
                done[task] = job.generation_of(task)


# -- against a plain recount ------------------------------------------------------------------------------------------


def plain_state(job: Job, rows: list[Rec], task: int) -> str:
    """The fold of one task in the plainest words."""
    generation = 0
    current: list[AttemptBody] = []
    for rec in rows:
        if rec.kind == Kind.JOB_CONTROL and rec.pk[10] == JobField.REQUEUE:
            first, last = int.from_bytes(rec.pk[11:15], "big"), int.from_bytes(rec.pk[15:], "big")
            if first <= task <= last:
                generation = max(generation, unpack_body(ControlBody, rec.body).value)
    for rec in rows:
        if rec.kind == Kind.ATTEMPT and attempt_ref_of(rec.pk).task == task:
            body = unpack_body(AttemptBody, rec.body)
            if body.generation >= generation:
                current.append(body)
    states = [body.state for body in current]
    failed = Counter(rule_of(body.cause).counts for body in current if body.state == AttemptState.FAILED)
    ooms = sum(body.cause == FailureClass.OOM for body in current)
    lost = Counter(body.node for body in current if body.cause == FailureClass.NODE_LOST)
    if AttemptState.DONE in states:
        return "done"
    if AttemptState.RUNNING in states:
        return "running"
    if failed[True] + max(0, ooms - FREE_OOMS) > job.spec.limits.retries:
        return "failed"
    return "held" if len(lost) > 1 else "waiting"


@given(rows=histories())
def test_tasks_and_counters_equal_a_plain_recount(rows: list[Rec]) -> None:
    jobs = Jobs.from_scratch(rows, at())
    for job_id, job in jobs.items():
        known = [rec for rec in winners(rows) if rec.kind != Kind.HOLDING and rec.pk[:10] == job.rec.pk]
        expected = [plain_state(job, known, task) for task in range(job.plan.task_count)]
        assert [mark.replace("safe", "done") for mark in marks(job)] == expected
        status = jobs.status_of(job_id, at())
        if job.given_up:
            expected = ["failed" if where in ("waiting", "held") else where for where in expected]
        counted = Counter(expected)
        assert (status.done, status.failed, status.running) == (counted["done"], counted["failed"], counted["running"])
        assert status.done + status.failed + status.running + status.waiting == status.total_tasks
        frames = [job.plan.size_of(TaskIndex(task)) for task in range(job.plan.task_count)]
        done = sum(size for size, mark in zip(frames, expected, strict=True) if mark == "done")
        assert (status.done_frames, round(status.progress)) == (done, round(100 * done / sum(frames)))


# -- grants, lives and delays between the rows ------------------------------------------------------------------------

MOMENTS = st.one_of(
    st.tuples(st.just("row"), st.integers(0, 99)),
    st.tuples(st.just("grant"), st.integers(0, 9)),
    st.tuples(st.just("ungrant"), st.integers(0, 9)),
    st.tuples(st.just("lost"), st.integers(0, 2)),
    st.tuples(st.just("back"), st.integers(0, 2)),
    st.tuples(st.just("gone"), st.integers(0, 99)),
    st.tuples(st.just("wait"), st.integers(1, 40)),
)


class World:
    """A fold that is also told facts of the moment, in any order."""

    def __init__(self, rows: list[Rec]) -> None:
        self.rows = rows
        self.jobs = Jobs()
        self.granted: dict[int, Any] = {}
        self.now = 0.0
        self.grants = 10**7

    def step(self, what: str, number: int) -> None:
        if what == "row" and self.rows:
            self.jobs.apply(self.rows.pop(number % len(self.rows)), at(self.now))
        elif what == "grant" and JOB in self.jobs:
            for task in self.jobs.ready_tasks(JOB, 1 + number % 2, at(self.now), reverse=number > 4):
                self.grants += 1
                self.granted[task] = ref(task, self.grants)
                self.jobs.grant(self.granted[task])
        elif what == "ungrant" and self.granted and JOB in self.jobs:
            self.jobs.ungrant(self.granted.pop(sorted(self.granted)[number % len(self.granted)]))
        elif what == "lost":
            self.jobs.node_lost(NODES[number], 1)
        elif what == "back":
            self.jobs.node_back(NODES[number], 1)
        elif what == "gone" and self.jobs.running_on(NODES[number % 3]):
            self.jobs.mark_lost(self.jobs.running_on(NODES[number % 3])[0].ref)
        elif what == "wait":
            self.now += number
            self.jobs.release(at(self.now))


@settings(max_examples=200)
@given(rows=histories(), moments=st.lists(MOMENTS, min_size=10, max_size=50), reverse=st.booleans())
def test_ready_tasks_are_waiting_ungranted_unheld_and_all_of_them(
    rows: list[Rec], moments: list[tuple[str, int]], *, reverse: bool
) -> None:
    world = World(list(rows))
    for what, number in [("row", 0), *moments]:
        world.step(what, number)
        job = world.jobs.get(JOB)
        if job is None:
            continue
        assert_ready_is_right(world, job, reverse=reverse)
        for other_id, other in world.jobs.items():
            wanted = other.may_want_grants and not world.jobs.blocked_by(other_id)
            assert wanted == (other in world.jobs.candidates())


def assert_ready_is_right(world: World, job: Job, *, reverse: bool) -> None:
    now = at(world.now)
    ready = world.jobs.ready_tasks(JOB, 99, now, reverse=reverse)
    assert ready == sorted(ready, reverse=reverse)
    live = {attempt.task for attempt in job.live_attempts()}
    for task in map(TaskIndex, range(job.plan.task_count)):
        mark = job.tasks.marks[task]
        if task in ready:
            assert mark is Mark.READY
            assert task not in live
            assert task not in world.granted
            assert not job.is_done(task)
            assert not job.paused
            assert not job.cancelled
            assert job.not_before(task) <= now.mono
            assert job.plan.is_test(task) or job.gate == "open"
        elif mark is Mark.READY:
            assert task >= job.grantable_below or job.retries.license_until > now.mono
    for granted in world.granted.values():
        assert granted.attempt == job.tasks.grant_of(granted.task)
