"""Waiting: every end of a job by every flag gives the code that stands in the table, whatever happens to the nodes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmctl.follow import Follower, Wish, end_of
from farmctl.standing import describe
from protocol import places
from protocol.errors import NotFound, Unreachable, UserError
from protocol.exitcodes import ExitCode
from protocol.places import RunningDaemon
from protocol.states import JOB_TERMINAL, JobState
from tests.farmctl.fakes import JOB, NODE_B, OTHER, Clock, FakeNode, farm, job_view, node_view, run, session_for

if TYPE_CHECKING:
    from farmctl.output import View

ENDS = {"completed": 0, "failed": 3, "cancelled": 4, "rejected": 4}
BY_ITSELF = {"code": "job_paused_itself", "text": "the job paused itself after 10 failed tasks", "hint": ""}
SILENT = Unreachable("no answer from ws07", "it said nothing", "try again")
FLAGS = [
    (),
    ("-q",),
    ("--json",),
    ("--progress", "plain"),
    ("--progress", "tty"),
    ("--progress", "none"),
    ("-o", "name"),
]


def watched(*views: View, clock: Clock | None = None) -> FakeNode:
    """Make a node that tells these states one after the other, and the last one for ever, a long poll later each."""

    def watch(job: str, since: int, timeout_s: float) -> View:
        version = min(len(views), max(0, since) + 1)
        if since == len(views) and clock is not None:
            clock.wait(timeout_s)
        return {"version": version, "job": views[version - 1]}

    return FakeNode(farm() | {"job.watch": watch})


def story(*states: str, **changes: Any) -> list[View]:
    return [job_view(state=state, delivered=100, **changes) for state in states]


@given(
    before=st.lists(st.sampled_from(["queued", "preparing", "testing", "rendering", "paused"]), max_size=4),
    end=st.sampled_from(sorted(ENDS)),
    flags=st.sampled_from(FLAGS),
    timeout=st.sampled_from([(), ("--timeout", "1h")]),
    stop=st.sampled_from([(), ("--stop-at-gate",)]),
)
def test_the_end_of_the_job_alone_decides(before: list[str], end: str, flags: Any, timeout: Any, stop: Any) -> None:
    result = run(watched(*story(*before, end)), "job", "wait", JOB, *flags, *timeout, *stop)
    assert result.exit_code == ENDS[end], result.output


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
@pytest.mark.parametrize("view", [job_view(state="awaiting_approval"), job_view(state="paused", reason=BY_ITSELF)])
def test_a_job_that_waits_for_a_person_ends_the_wait_only_where_asked(view: View, flags: Any) -> None:
    asked = run(watched(view), "job", "wait", JOB, "--stop-at-gate", *flags)
    assert asked.exit_code == 9
    clock = Clock()
    unasked = run(watched(view, clock=clock), "job", "wait", JOB, "--timeout", "60", *flags, clock=clock)
    assert unasked.exit_code == 8
    assert 160 <= clock.now < 165


def test_the_tables_cover_every_state() -> None:
    assert {state.value for state in JOB_TERMINAL} == set(ENDS)
    for state in JobState:
        for stop in (False, True):
            code = end_of(job_view(state=state.value), stop_at_gate=stop)
            waits = state is JobState.AWAITING_APPROVAL and stop
            assert code == (
                ENDS.get(state.value) if state in JOB_TERMINAL else ExitCode.WAITS_FOR_PERSON if waits else None
            )


def test_a_pause_by_a_person_is_waited_out_even_at_the_gate() -> None:
    assert end_of(job_view(state="paused"), stop_at_gate=True) is None


def test_the_end_of_the_job_beats_the_end_of_the_time() -> None:
    assert run(watched(*story("completed")), "job", "wait", JOB, "--timeout", "0").exit_code == 0
    assert run(watched(*story("rendering")), "job", "wait", JOB, "--timeout", "0").exit_code == 8


def test_the_gate_is_told_with_what_to_do_and_waited_for() -> None:
    result = run(watched(*story("testing", "awaiting_approval", "rendering", "completed")), "job", "wait", JOB)
    assert result.exit_code == 0
    assert result.stderr.count(f"farmctl job approve {JOB}") == 1
    assert f"farmctl job reject {JOB}" in result.stderr


def test_away_from_a_terminal_there_is_a_line_per_change_and_no_control_character() -> None:
    views = story("queued") + story("rendering", done=1) + story("rendering", done=1) + story("rendering", done=2)
    result = run(watched(*views, *story("completed", done=100)), "job", "wait", JOB, "-q", "--progress", "plain")
    assert result.stderr == ""
    result = run(watched(*views, *story("completed", done=45)), "job", "wait", JOB)
    assert len(result.stderr.splitlines()) == 4, result.stderr
    assert "\r" not in result.stderr
    assert "\x1b" not in result.stderr


def test_what_it_waits_for_is_said() -> None:
    reason = {"code": "no_node_has_renderer", "text": "no machine has blender", "hint": "install it on one"}
    assert "no machine has blender (install it on one)" in describe(job_view(state="queued", reason=reason))


def test_interrupted_is_130_and_the_job_goes_on() -> None:
    node = FakeNode(farm() | {"job.watch": KeyboardInterrupt()})
    result = run(node, "job", "wait", JOB)
    assert result.exit_code == 130
    assert "the job goes on" in result.stderr
    assert node.asked("job.control") == []


def test_no_node_at_the_start_is_7_and_no_job_is_5() -> None:
    assert run(FakeNode({"farm.status": SILENT}), "job", "wait", JOB).exit_code == 7
    assert run(FakeNode(farm() | {"job.watch": NotFound("no job")}), "job", "wait", JOB).exit_code == 5


def dying(views: list[Any]) -> FakeNode:
    return FakeNode(farm() | {"job.watch": iter(views)})


def alternating(first: FakeNode, second: FakeNode) -> Any:
    """Connect to the second node as soon as the first was asked for the job and died."""

    def connect(target: str | None, timeout_s: float) -> FakeNode:
        if target == "/data/second":
            return second
        if first.asked("job.watch"):
            raise SILENT
        return first

    return connect


def test_another_node_of_this_machine_is_taken_when_the_first_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    daemons = [RunningDaemon("10.9.9.9:7000", "/data/stranger", 1), RunningDaemon("10.0.0.7:7000", "/data/second", 2)]
    monkeypatch.setattr(places, "running_daemons", lambda: iter(daemons))
    first = dying([SILENT])
    second = watched(*story("rendering", "completed"))
    result = run(first, "job", "wait", JOB, connect=alternating(first, second))
    assert result.exit_code == 0
    assert "looking for another node" in result.stderr
    assert [args["since"] for args in second.asked("job.watch")] == [-1, 1]


def test_the_next_job_is_waited_for_at_another_node_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "running_daemons", lambda: iter([RunningDaemon("10.0.0.7:7000", "/data/second", 2)]))
    first = dying([SILENT])
    second = watched(*story("completed"))
    result = run(first, "job", "wait", JOB, OTHER, connect=alternating(first, second))
    assert result.exit_code == 0, result.stderr
    assert [args["job"] for args in second.asked("job.watch")] == [JOB, OTHER]


def test_the_next_job_is_waited_for_until_a_node_answers_again() -> None:
    clock, down_to = Clock(), 130.0
    node = watched(*story("completed"))

    def connect(target: str | None, timeout_s: float) -> FakeNode:
        if node.asked("job.watch") and clock.now < down_to:
            raise SILENT
        return node

    result = run(node, "job", "wait", JOB, OTHER, connect=connect, clock=clock)
    assert result.exit_code == 0, result.stderr
    assert down_to <= clock.now < down_to + 5


def test_a_next_job_that_the_named_node_does_not_know_is_5_at_once() -> None:
    def watch(job: str, since: int, timeout_s: float) -> Any:
        return {"version": 1, "job": job_view(state="completed", delivered=100)} if job == JOB else NotFound("no job")

    clock = Clock()
    assert run(FakeNode(farm() | {"job.watch": watch}), "job", "wait", JOB, OTHER, clock=clock).exit_code == 5
    assert clock.now == 100


def test_a_node_that_does_not_know_the_job_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "running_daemons", lambda: iter([RunningDaemon("10.0.0.7:7000", "/data/second", 2)]))
    first = dying([SILENT])
    second = dying(
        [NotFound("no job"), NotFound("no job"), {"version": 3, "job": job_view(state="completed", delivered=45)}]
    )
    assert run(first, "job", "wait", JOB, connect=alternating(first, second)).exit_code == 0


def test_a_job_that_was_deleted_while_its_node_restarted_ends_the_wait_at_once() -> None:
    clock = Clock()
    node = dying([{"version": 1, "job": job_view()}, SILENT, NotFound("the job is no more")])
    assert run(node, "job", "wait", JOB, clock=clock).exit_code == 5
    assert clock.now < 102


def test_a_job_that_only_a_silent_node_told_of_is_7_after_a_while_and_all_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    daemons = [RunningDaemon("10.0.0.7:7000", "/data/second", 2), RunningDaemon("10.0.0.8:7000", "/data/third", 3)]
    monkeypatch.setattr(places, "running_daemons", lambda: iter(daemons))
    clock, connected = Clock(), []
    first = dying([{"version": 1, "job": job_view()}, SILENT])
    others = {"/data/second": FakeNode(farm()), "/data/third": FakeNode(farm())}
    for name, node in others.items():
        node.answers["job.watch"] = NotFound("no job")
        node.answers["farm.status"] |= {"node": name, "nodes": [{"address": daemon.address} for daemon in daemons]}
    first.answers["farm.status"] |= {"nodes": [{"address": daemon.address} for daemon in daemons]}

    def connect(target: str | None, timeout_s: float) -> FakeNode:
        connected.append(target)
        if target in others:
            return others[target]
        if len(first.asked("job.watch")) > 1:
            raise SILENT
        return first

    result = run(first, "job", "wait", JOB, connect=connect, clock=clock)
    assert result.exit_code == 7, "it is not deleted: the first may have it alone"
    assert "ws07 told of it and does not answer" in result.stderr
    assert 115 <= clock.now < 125
    assert min(len(node.asked("job.watch")) for node in others.values()) >= 5
    assert len(connected) < 100


def test_a_node_of_another_farm_is_never_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "running_daemons", lambda: iter([RunningDaemon("10.0.0.7:7000", "/data/second", 2)]))
    first = dying([SILENT])
    second = watched(*story("completed"))
    second.answers["farm.status"] |= {"farm": "another"}
    assert run(first, "job", "wait", JOB, "--timeout", "30", connect=alternating(first, second)).exit_code == 8
    assert second.asked("job.watch") == []


@given(silences=st.integers(1, 20), end=st.sampled_from(sorted(ENDS)))
def test_a_node_that_comes_back_is_heard_again(silences: int, end: str) -> None:
    clock, tries = Clock(), itertools.count()
    node = FakeNode(farm() | {"job.watch": iter([SILENT, {"version": 1, "job": job_view(state=end, delivered=45)}])})

    def connect(target: str | None, timeout_s: float) -> FakeNode:
        if 0 < next(tries) <= silences:
            raise SILENT
        return node

    session = session_for(node, clock=clock, connect=connect, quiet=True)
    assert Follower(session, Wish(3600)).follow(JOB) == ENDS[end]


def test_the_last_results_are_waited_for_but_not_for_ever() -> None:
    clock = Clock()
    late = [job_view(state="completed", done=100, delivered=count) for count in (98, 99, 100)]
    assert run(watched(*late, clock=clock), "job", "wait", JOB, clock=clock).exit_code == 0
    assert clock.now == 100
    result = run(watched(late[0], clock=clock), "job", "wait", JOB, clock=clock)
    assert result.exit_code == 0
    assert "not everything is in /home/ada/renders: 2 results still missing" in result.stderr
    assert clock.now < 130


@pytest.mark.parametrize(("state", "said"), [("lost", 1), ("left", 1), ("reconnecting", 1), ("idle", 0)])
def test_an_output_folder_on_a_machine_that_is_away_is_told_and_the_wait_ends(state: str, said: int) -> None:
    clock = Clock()
    node = watched(job_view(state="completed", done=100, delivered=98, submit_node=NODE_B), clock=clock)
    node.answers["node.list"] = {"nodes": [node_view(id=NODE_B, name="n02", state=state)]}
    result = run(node, "job", "wait", JOB, clock=clock)
    told = f"the output folder is on n02, which does not answer; fetch the results with: farmctl job download {JOB}"
    assert (result.exit_code, result.stderr.count(told)) == (0, said)
    assert ("not everything is in" in result.stderr) is (not said)
    assert clock.now < 130


def test_a_delivery_that_goes_on_is_not_called_away() -> None:
    clock = Clock()
    late = [job_view(state="completed", done=100, delivered=count, submit_node=NODE_B) for count in (98, 99, 100)]
    node = watched(*late, clock=clock)
    node.answers["node.list"] = {"nodes": [node_view(id=NODE_B, state="lost")]}
    result = run(node, "job", "wait", JOB, clock=clock)
    assert (result.exit_code, "does not answer" in result.stderr) == (0, False)


def test_tasks_of_several_frames_that_all_arrived_are_not_waited_for() -> None:
    clock = Clock()
    chunked = job_view(state="completed", done=100, done_tasks=28, delivered=28, safe=28)
    result = run(watched(chunked, clock=clock), "job", "wait", JOB, clock=clock)
    assert (result.exit_code, clock.now) == (0, 100)
    assert "not everything" not in result.stderr
    shown = run(FakeNode(farm() | {"job.show": chunked}), "job", "show", JOB).stdout
    assert "28 of 28 results are in /home/ada/renders; all on two machines" in shown


def test_of_several_jobs_the_first_that_was_not_completed_decides() -> None:
    def watch(job: str, since: int, timeout_s: float) -> View:
        return {"version": 1, "job": job_view(id=job, delivered=45, state="completed" if job == JOB else "cancelled")}

    node = FakeNode(farm() | {"job.watch": watch})
    assert run(node, "job", "wait", JOB, "wide_ünïcode").exit_code == 4


def test_results_that_no_node_delivers_are_fetched_on_the_way_and_at_the_end() -> None:
    steps: list[str] = []

    class Recording:
        def step(self, links: Any, view: View) -> None:
            steps.append(f"step {view['completed_frames']}")

        def finish(self, links: Any, view: View) -> None:
            steps.append("finish")

    views = [job_view(deliver="client", completed_frames="1"), job_view(deliver="client", state="failed")]
    session = session_for(watched(*views), quiet=True)
    assert Follower(session, Wish(), Recording()).follow(JOB) is ExitCode.JOB_FAILED
    assert steps == ["step 1", "finish"]


def test_a_result_that_cannot_be_had_is_an_error() -> None:
    class Failing:
        def step(self, links: Any, view: View) -> None: ...

        def finish(self, links: Any, view: View) -> None:
            raise UserError("f.png could not be fetched")

    session = session_for(watched(job_view(deliver="client", state="completed")), quiet=True)
    with pytest.raises(UserError):
        Follower(session, Wish(), Failing()).follow(JOB)
