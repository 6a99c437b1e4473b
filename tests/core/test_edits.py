"""Changing a job after it was submitted: what the changes mean, in any order, and what follows for grants."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from farmd.core.edits import edit_views, spec_bytes_of, spec_bytes_to_grant
from farmd.core.retention import LOOK_S
from farmd.core.submitting import SUBMIT_PATIENCE_S
from protocol.bodies import ControlBody, pack_body
from protocol.errors import UsageError
from protocol.jobedits import AS_SUBMITTED, Edit, check_name, edited, value_of, with_edits
from protocol.jobspec import GateMode, GateSpec, Requirements
from protocol.records import JobField, Kind, Rank, Rec, job_control_pk
from protocol.states import JobState
from tests.core.foldrows import (
    JOB,
    at,
    control_row,
    done_row,
    failed_row,
    fold,
    folded,
    job_row,
    requeue_row,
    spec,
)
from tests.core.small_farm import SPEC, Farm, play
from tests.sim.blobs import large
from tests.sim.world import RenderPlan

if TYPE_CHECKING:
    from farmd.core.job import Job
    from protocol.ids import BlobAddress
    from tests.sim.machine import Machine
    from tests.sim.world import World

GIB = 1 << 30
ROW = job_row(spec("1-4"))


def edit_row(name: str, value: int, text: str = "", *, ver: int = 1, hlc: int = 50, actor: str = "ben@ws01") -> Rec:
    pk = job_control_pk(JOB, JobField.EDITED, name.encode())
    body = pack_body(ControlBody(value, actor, "because", text=text))
    return Rec(Kind.JOB_CONTROL, pk, ver, hlc, 1, 1, Rank.NORMAL, body)


def told(job: Job) -> tuple[object, ...]:
    spec = job.spec
    return spec.requirements.ram_bytes, spec.limits.retries, job.state, job.failed_count, job.priority


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("ram_bytes", Edit(8 * GIB)),
        ("cores", Edit(3)),
        ("gpus", Edit(1)),
        ("retries", Edit(9)),
        ("frame_timeout_s", Edit(60)),
        ("renderer_version", Edit(0, "4.1")),
        ("name", Edit(0, "wide shot")),
        ("project", Edit(0, "dragon")),
        ("output_dir", Edit(0, "/mnt/out")),
        ("output_dir", Edit(0, "")),
        ("labels.shot", Edit(0, "s010")),
        ("priority", Edit(7)),
    ],
)
def test_a_change_stands_in_for_its_field_alone(name: str, edit: Edit) -> None:
    before = spec("1-4")
    after = edited(before, name, edit)
    assert value_of(after, name) == (edit.text or edit.value or "")
    fields = {other: value_of(before, other) for other in ("ram_bytes", "retries", "name", "output_dir", "project")}
    assert {other: value_of(after, other) for other in fields if other != name} == {
        other: value for other, value in fields.items() if other != name
    }


def test_a_label_without_a_value_is_taken_away() -> None:
    labelled = edited(spec("1-4"), "labels.shot", Edit(0, "s010"))
    assert edited(labelled, "labels.shot", Edit(0, "")).labels == {}


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("frames", Edit(0, "1-9")),
        ("scene", Edit(0, "a.blend")),
        ("ram_byte", Edit(1)),
        ("labels.", Edit(0, "x")),
        ("labels.Upper", Edit(0, "x")),
        ("ram_bytes", Edit(-7)),
        ("retries", Edit(10_000)),
        ("name", Edit(0, "")),
        ("output_dir", Edit(0, "relative/folder")),
    ],
)
def test_what_cannot_be_changed_is_refused_and_passed_over_in_a_fold(name: str, edit: Edit) -> None:
    with pytest.raises(UsageError):
        edited(spec("1-4"), name, edit)
    assert with_edits(spec("1-4"), [(name, edit), ("cores", Edit(2))]) == edited(spec("1-4"), "cores", Edit(2))


def test_a_typo_is_answered_with_what_was_meant() -> None:
    with pytest.raises(UsageError) as caught:
        check_name("retrys")
    assert "'retries'" in caught.value.hint


def test_the_order_in_which_rows_come_changes_nothing() -> None:
    rows = [
        edit_row("ram_bytes", 8 * GIB),
        edit_row("ram_bytes", 4 * GIB, ver=2, hlc=10),
        edit_row("retries", 0),
        failed_row(1, 1),
        control_row(JobField.PRIORITY, 80),
    ]
    seen = {told(folded(ROW, *order)) for order in permutations(rows)}
    assert seen == {(4 * GIB, 0, JobState.RENDERING, 1, 80)}


def test_a_change_that_was_taken_back_leaves_what_was_submitted() -> None:
    job = folded(ROW, edit_row("ram_bytes", 8 * GIB), edit_row("ram_bytes", AS_SUBMITTED, ver=2))
    assert job.spec == job.submitted
    assert edit_views(job) == []


def test_a_change_that_cannot_be_read_or_made_is_passed_over() -> None:
    broken = Rec(
        Kind.JOB_CONTROL, job_control_pk(JOB, JobField.EDITED, b"\xff"), 1, 9, 1, 1, 0, pack_body(ControlBody(1, "x"))
    )
    job = folded(ROW, broken, edit_row("frames", 0, "1-99"), edit_row("retries", 1 << 40), edit_row("cores", 2))
    assert (job.spec.requirements.cores, job.spec.limits.retries, job.spec.frames) == (2, 3, "1-4")


def test_more_retries_let_a_failed_frame_try_again_and_fewer_end_it() -> None:
    tries = [failed_row(3, n) for n in range(4, 8)]
    done = [done_row(task, task + 1) for task in range(3)]
    assert fold(ROW, *done, *tries).state_of(JOB) is JobState.FAILED
    assert fold(ROW, *done, *tries, edit_row("retries", 9)).state_of(JOB) is JobState.RENDERING
    assert fold(ROW, *done, tries[0], edit_row("retries", 0)).state_of(JOB) is JobState.FAILED


def test_fewer_retries_close_the_gate_of_a_test_frame_that_has_used_them_up() -> None:
    row = job_row(spec("1-4", tests=(1,)))
    jobs = fold(row, failed_row(0, 1))
    assert jobs.state_of(JOB) is JobState.TESTING
    jobs.apply(edit_row("retries", 0), at())
    assert jobs.state_of(JOB) is JobState.FAILED


def test_the_line_of_jobs_is_made_anew_when_a_requirement_changes() -> None:
    jobs = fold(ROW)
    line = jobs.line()
    assert jobs.line() is line
    jobs.apply(edit_row("cores", 2), at())
    assert jobs.line() is not line


def test_archived_is_undone_by_a_retry_after_it_and_not_by_one_before() -> None:
    done = [done_row(task, task + 1) for task in range(4)]
    archived = control_row(JobField.ARCHIVED, 1, hlc=100)
    assert folded(ROW, *done, archived).archived
    assert folded(ROW, *done, requeue_row(0, 0, 1, hlc=50), archived).archived
    assert not folded(ROW, *done, requeue_row(0, 0, 1, hlc=150), archived).archived
    assert not folded(ROW, *done, archived, control_row(JobField.ARCHIVED, 0, ver=2, hlc=101)).archived


def test_job_that_fits_nowhere_starts_when_its_memory_is_lowered_on_another_node() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(requirements=Requirements(ram_bytes=64 * GIB))
        await farm.until(lambda: job in farm.machines[1].node.jobs)
        answer = await farm.data("job.edit", on=1, job=job, changes={"ram_bytes": 2 * GIB}, why="it needs less")
        assert answer["changed"] == [{"field": "ram_bytes", "from": 64 * GIB, "to": 2 * GIB}]
        await farm.until_state(job, "completed")
        [edit] = (await farm.data("job.show", job=job))["edits"]
        assert (edit["field"], edit["submitted"], edit["value"], edit["why"]) == (
            "ram_bytes",
            64 * GIB,
            2 * GIB,
            "it needs less",
        )
        assert edit["actor"]

    play(scene, 2)


def test_raised_memory_is_respected_by_every_grant_after_it() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.OFF), frames="1-40")
        await farm.until(lambda: bool(farm.machines[0].node.worker.live))
        await farm.data("job.edit", job=job, changes={"ram_bytes": 20 * GIB})
        before = dict(farm.started)
        await farm.until(lambda: len(farm.started) > len(before) + 3)
        for machine in farm.machines:
            claims = [live.claim.ram_bytes for ref, live in machine.node.worker.live.items() if ref not in before]
            assert set(claims) <= {20 * GIB}
            assert len(claims) <= 1

    play(scene, 2)


def test_output_folder_is_changed_for_what_is_delivered_from_then_on() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.HOLD, (1,)))
        await farm.until_state(job, "awaiting_approval")
        await farm.until(lambda: len(farm.world.delivered) == 1)
        await farm.data("job.edit", job=job, changes={"output_dir": "/elsewhere", "name": "renamed"})
        await farm.data("job.control", job=job, action="approve")
        await farm.until_state(job, "completed")
        await farm.until(lambda: len(farm.world.delivered) == 20)
        folders = [place[0] for place in farm.world.delivered]
        assert (folders.count("/out"), folders.count("/elsewhere")) == (1, 19)
        assert (await farm.data("job.show", job="renamed"))["id"] == job

    play(scene)


def test_only_the_user_of_the_daemon_that_writes_says_where_and_to_that_daemon() -> None:
    async def scene(farm: Farm) -> None:
        other = farm.machines[1]
        job = await farm.submit(gate=GateSpec(GateMode.HOLD, (1,)))
        await farm.until(lambda: other.node.jobs.get(job) is not None)  # type: ignore[arg-type]  # a job id
        refused = await farm.ask("job.edit", on=1, job=job, changes={"output_dir": "/home/anna/.config/autostart"})
        assert refused.error is not None
        assert refused.error[0] == 6
        assert "the daemon of n00 writes there" in refused.error[2]
        as_ben = await farm.ask_as("ben", "job.edit", on=0, job=job, changes={"output_dir": "/home/anna"})
        assert as_ben.error is not None
        await farm.data("job.edit", on=0, job=job, changes={"output_dir": "/elsewhere"})
        await farm.until(lambda: other.node.jobs.get(job).spec.output_dir == "/elsewhere")  # type: ignore[union-attr,arg-type]

    play(scene, 2)


LARGE: dict[str, Any] = {
    "params": {f"p{number}": "v" * 4090 for number in range(62)},
    "path_rules": tuple((f"/p{number:03d}" + "a" * 500, "/q" + "b" * 512) for number in range(256)),
}
"""Nearly as much as a specification may hold."""
FOLDER = "/" + "中" * 4000


def test_a_change_after_which_a_job_could_not_be_packed_is_refused_whole() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(**LARGE)
        seq = farm.machines[0].node.replica.seq
        for dry_run in (True, False):
            answer = await farm.ask("job.edit", job=job, changes={"output_dir": FOLDER, "name": "b"}, dry_run=dry_run)
            assert answer.error is not None
            assert (answer.error[0], answer.error[1]) == (2, "the job is too large")
        rows = [rec for rec in farm.machines[0].node.replica.rows() if rec.kind == Kind.JOB_CONTROL]
        assert rows == []
        assert farm.machines[0].node.replica.seq >= seq
        assert (await farm.data("job.spec", job=job))["spec"]
        await farm.until_state(job, "completed")

    play(scene)


def test_a_job_that_changes_of_two_halves_made_too_large_is_granted_as_it_was_submitted() -> None:
    row = job_row(spec("1-4", **LARGE))
    job = folded(row, edit_row("output_dir", 0, FOLDER))
    assert job.spec.output_dir == FOLDER
    with pytest.raises(UsageError):
        spec_bytes_of(job)
    assert spec_bytes_to_grant(job) == row.body


def test_dry_run_tells_what_would_change_and_writes_nothing() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        seq = farm.machines[0].node.replica.seq
        answer = await farm.data("job.edit", job=job, changes={"priority": 90, "project": "dragon"}, dry_run=True)
        assert [row["field"] for row in answer["changed"]] == ["priority", "project"]
        rows = [rec for rec in farm.machines[0].node.replica.rows() if rec.kind == Kind.JOB_CONTROL]
        assert rows == []
        assert farm.machines[0].node.replica.seq >= seq

    play(scene)


def test_priority_is_changed_and_taken_back_like_the_other_fields() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.HOLD, (1,)), priority=30)
        await farm.data("job.edit", job=job, changes={"priority": 90})
        assert (await farm.data("job.show", job=job))["priority"] == 90
        again = await farm.data("job.edit", job=job, changes={"priority": 90})
        assert again["changed"] == []
        await farm.data("job.edit", job=job, changes={"priority": None})
        assert (await farm.data("job.show", job=job))["priority"] == 30

    play(scene)


@pytest.mark.parametrize(
    "changes",
    [
        None,
        {},
        {"frames": "1-2"},
        {"ram_bytes": "lots"},
        {"name": 7},
        {"cores": True},
        {"cores": -1},
        {"name": ""},
        [1],
    ],
)
def test_a_change_that_makes_no_sense_is_refused_whole(changes: Any) -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        wanted = {"project": "dragon", **changes} if isinstance(changes, dict) and changes else changes
        answer = await farm.ask("job.edit", job=job, changes=wanted)
        assert answer.error is not None
        assert answer.error[0] == 2
        assert (await farm.data("job.show", job=job))["project"] == ""

    play(scene)


def test_of_a_cancelled_job_only_what_people_read_can_be_changed() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        await farm.data("job.control", job=job, action="cancel")
        refused = await farm.ask("job.edit", job=job, changes={"cores": 2})
        assert refused.error is not None
        assert "resubmit" in refused.error[3]
        await farm.data("job.edit", job=job, changes={"project": "dragon", "labels.shot": "s010"})
        view = await farm.data("job.show", job=job)
        assert (view["project"], view["labels"]) == ("dragon", {"shot": "s010"})

    play(scene)


def test_a_running_frame_goes_on_as_it_was_started_and_the_next_one_has_the_new_limit() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.OFF), frames="1-12")
        farm.world.failing[job] = lambda rng, node, effect: RenderPlan(4.0, 0, "")  # type: ignore[index]  # a job id
        await farm.until(lambda: bool(farm.machines[0].node.worker.live))
        await farm.data("job.edit", job=job, changes={"frame_timeout_s": 77})
        live = farm.machines[0].node.worker.live
        assert {item.spec.limits.frame_timeout_s for item in live.values()} == {43_200}
        first = dict(live)
        await farm.until(lambda: any(ref not in first for ref in live))
        assert {item.spec.limits.frame_timeout_s for ref, item in live.items() if ref not in first} == {77}

    play(scene)


def test_archived_job_leaves_the_list_and_stays() -> None:
    async def scene(farm: Farm) -> None:
        job, other = await farm.submit(), await farm.submit()
        refused = await farm.ask("job.control", job=job, action="archive")
        assert refused.error is not None
        await farm.until_state(job, "completed")
        await farm.data("job.control", job=job, action="archive")

        async def listed(archived: str) -> list[str]:
            return [row["id"] for row in (await farm.data("job.list", archived=archived))["jobs"]]

        assert (await listed("without"), await listed("only")) == ([other], [job])
        assert sorted(await listed("with")) == sorted([job, other])
        assert (await farm.data("job.show", job=job))["archived"]
        await farm.data("job.control", job=job, action="unarchive")
        assert await listed("only") == []

    play(scene)


@pytest.mark.slow
def test_jobs_that_ended_long_ago_are_archived_by_the_leader_alone_and_once() -> None:
    async def scene(farm: Farm) -> None:
        old = await farm.submit()
        kept = await farm.submit()
        for job in (old, kept):
            await farm.until_state(job, "completed")
        await farm.data("job.control", job=kept, action="archive")
        await farm.data("job.control", job=kept, action="unarchive")
        young = await farm.submit(gate=GateSpec(GateMode.HOLD, (1,)))
        began = farm.world.loop.time()
        await farm.until(lambda: farm.world.loop.time() > began + 3 * LOOK_S, 4 * LOOK_S)
        for machine in farm.machines:
            archived = [job.id for job in machine.node.jobs if job.archived]
            assert archived == [old]
            assert machine.node.jobs.get(young) is not None  # type: ignore[arg-type]  # a job id
        [edit] = [note for note in farm.machines[0].disk.notes if note.what == "archive" and note.actor == "farmd"]
        assert edit.text == "it ended more than 5m ago"

    def prepare(world: World) -> None:
        world.archive_after_s = 300

    play(scene, 2, prepare=prepare)


def scene_of(machine: Machine, pieces: int) -> BlobAddress:
    """Put one large file, and the list of it, into the store of a machine; return the address of the list."""
    return machine.blobs.add(msgpack.packb([list(machine.blobs.add(large(pieces, "film")))]))


def test_a_job_made_of_an_old_one_on_another_machine_brings_its_files_however_long_that_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.sim.hands.PIECE_S", 2.0)

    async def scene(farm: Farm) -> None:
        first, second = farm.machines
        manifest = scene_of(first, 60)
        await farm.data("node.hold", node="n01")
        await farm.submit(manifest=manifest, gate=GateSpec(GateMode.HOLD, (1,)))
        assert manifest not in second.blobs.held
        began = farm.world.loop.time()
        client = farm.world.submit(second, replace(SPEC, manifest=manifest, name="again"))
        await farm.until(lambda: client in farm.world.answers, 300)
        assert farm.world.answers[client].error is None
        assert farm.world.loop.time() - began > 1.5 * SUBMIT_PATIENCE_S
        assert manifest in second.blobs.held

    play(scene, 2)


def test_a_job_whose_files_nobody_has_is_refused_after_a_while() -> None:
    async def scene(farm: Farm) -> None:
        manifest = scene_of(farm.machines[0], 3)
        lost = farm.machines[0].blobs.held.pop(manifest)
        assert lost
        began = farm.world.loop.time()
        client = farm.world.submit(farm.machines[1], replace(SPEC, manifest=manifest))
        await farm.until(lambda: client in farm.world.answers, 3 * SUBMIT_PATIENCE_S)
        error = farm.world.answers[client].error
        assert error is not None
        assert "on no node that answers" in error[2]
        assert farm.world.loop.time() - began >= SUBMIT_PATIENCE_S

    play(scene, 2)
