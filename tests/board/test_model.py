from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from farmd.board import ops
from farmd.board.feed import Viewer
from farmd.board.model import ENDED, REMEMBERED, BoardModel, Program
from farmd.board.ops import STATES, Op
from farmd.board.tasks import Task, no_counts
from tests.board.test_ops import AMOUNT, AT

ONE, OTHER = Program("p1", "one.py"), Program("p2", "other.py")
CALLS = st.one_of(
    st.builds(ops.added, st.just("a"), AMOUNT, st.just(""), st.sampled_from(["", "train", "test"])),
    st.builds(ops.started, AT),
    st.builds(ops.updated, AMOUNT, AT),
    st.builds(ops.completed, AT),
    st.builds(ops.failed, st.just("broken"), AT),
    st.builds(ops.removed),
)
STEPS = st.lists(st.tuples(st.sampled_from([ONE, OTHER]), st.sampled_from("abcdef"), CALLS), max_size=40)


class Picture:
    """What a page knows: the same rules as in board.js, in the same few lines."""

    def __init__(self) -> None:
        self.seq = -1
        self.counts: dict[str, int] = {}
        self.tasks: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.gaps = 0
        self.kinds: Counter[str] = Counter()

    def take(self, message: dict[str, Any]) -> None:
        self.kinds[message["kind"]] += 1
        match message["kind"]:
            case "snapshot":
                self.tasks = {task["key"]: task for task in message["tasks"]}
                self.groups = {group["key"]: group for group in message["groups"]}
            case "delta" if message["after"] != self.seq:
                self.gaps += 1
                return
            case "delta":
                for key in message["removed"]:
                    self.tasks.pop(key, None)
                    self.groups.pop(key, None)
                self.groups |= {group["key"]: group for group in message["groups"]}
                self.tasks |= {task["key"]: task for task in message["changed"]}
            case "page":
                self.tasks |= {task["key"]: task for task in message["tasks"]}
        if "counts" in message:
            self.seq, self.counts = message["seq"], message["counts"]


def told(viewer: Viewer, picture: Picture) -> None:
    """Tell a picture everything there is."""
    while (message := viewer.next_message()) is not None:
        picture.take(message)


def counted(model: BoardModel) -> dict[str, int]:
    return no_counts() | Counter(task["state"] for task in model.views())


@given(STEPS, st.integers(1, 6))
def test_counts_kept_are_counts_counted_and_a_viewer_sees_the_same(
    steps: list[tuple[Program, str, Op]], looks_every: int
) -> None:
    model = BoardModel()
    viewer, picture = Viewer(model, "s"), Picture()
    for number, (program, task_id, op) in enumerate(steps):
        model.apply(program, {task_id: op})
        if number % looks_every == 0:
            told(viewer, picture)
    told(viewer, picture)
    assert model.counts == counted(model) == picture.counts
    assert picture.tasks == {task["key"]: task for task in model.views()}
    assert picture.groups == {group["key"]: group for group in model.group_views()}
    assert picture.gaps == 0
    for group in model.group_views():
        inside = [task["state"] for task in model.views() if task["group"] == group["key"]]
        assert group["counts"] == no_counts() | Counter(inside)


def test_one_id_in_two_programs_is_two_tasks() -> None:
    model = BoardModel()
    model.apply(ONE, {"t": ops.started(1)})
    model.apply(OTHER, {"t": ops.completed(1)})
    assert model.counts == {"pending": 0, "running": 1, "completed": 1, "failed": 0}


def test_program_that_is_gone_leaves_no_task_running() -> None:
    model = BoardModel()
    model.apply(ONE, {"a": ops.started(1), "b": ops.added("b", 1, "", "x"), "c": ops.completed(2)})
    model.apply(OTHER, {"a": ops.started(1)})
    model.end_program("p1", 9)
    assert model.counts == {"pending": 0, "running": 1, "completed": 1, "failed": 2}
    failed = next(task for task in model.views() if task["key"] == "p1/a")
    assert (failed["error"], failed["ended_at_ms"]) == (ENDED, 9)


def test_programs_that_work_are_told_of_before_those_that_ended() -> None:
    model = BoardModel()
    for number in range(6):
        model.apply(Program(f"p{number}", "n"), {"t": ops.started(1) if number in (1, 3) else ops.completed(1)})
    assert [program["key"] for program in model.programs()] == ["p3", "p1", "p5", "p4", "p2", "p0"]


def test_full_board_lets_ended_tasks_go_before_others() -> None:
    model = BoardModel(max_tasks=100)
    model.apply(ONE, {f"r{n}": ops.started(n) for n in range(60)})
    for n in range(200):
        model.apply(ONE, {f"c{n}": ops.completed(n)})
    assert len(model) <= 100
    assert model.counts["running"] == 60
    assert model.counts == counted(model)
    model.apply(ONE, {f"more{n}": ops.started(n) for n in range(200)})
    assert len(model) <= 100


def test_viewer_that_missed_too_many_departures_starts_anew() -> None:
    model = BoardModel()
    viewer, picture = Viewer(model, "s"), Picture()
    model.apply(ONE, {"stays": ops.started(1)})
    told(viewer, picture)
    for n in range(REMEMBERED):
        model.apply(ONE, {f"{n}": ops.started(1)})
        model.apply(ONE, {f"{n}": ops.removed()})
    told(viewer, picture)
    assert picture.kinds["snapshot"] == 2
    assert list(picture.tasks) == ["p1/stays"]


def test_groups_fetched_on_demand_count_as_their_source_says() -> None:
    model = BoardModel()
    model.apply(ONE, {"t": ops.started(1)})
    model.put_group("job", "Shot 010", "farm", dict.fromkeys(STATES, 100), {"state": "rendering"})
    model.put_group("job", "Shot 010", "farm", no_counts() | {"completed": 400}, {"state": "completed"})
    assert model.counts == {"pending": 0, "running": 1, "completed": 400, "failed": 0}
    model.put_tasks("job", [Task("job/1", "1", "job", state="completed")])
    assert model.counts["completed"] == 400
    model.remove_group("job")
    assert model.counts == counted(model)
    assert len(model.views()) == 1


def test_tasks_that_are_fetched_on_demand_push_no_program_off_the_board() -> None:
    model = BoardModel(max_tasks=100)
    model.apply(ONE, {f"r{n}": ops.started(n) for n in range(60)})
    model.put_group("farm/j", "a job", "farm", no_counts() | {"pending": 5000}, {})
    model.put_tasks("farm/j", [Task(f"farm/j/{n}", f"{n}", "farm/j") for n in range(5000)])
    model.apply(ONE, {"r1": ops.updated(1, 2)})
    own = [task for task in model.views() if task["key"].startswith("p1/")]
    assert len(own) == 60


def test_a_group_that_is_opened_again_and_again_is_told_once() -> None:
    model = BoardModel()
    model.apply(ONE, {f"{n}": ops.started(1) for n in range(5000)})
    viewer, picture = Viewer(model, "s"), Picture()
    told(viewer, picture)
    for _ in range(50):
        viewer.asked({"kind": "open", "group": next(iter(picture.groups))})
    told(viewer, picture)
    assert len(picture.tasks) == 5000
    assert picture.kinds["page"] <= 10
