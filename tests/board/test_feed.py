from __future__ import annotations

from farmd.board import ops
from farmd.board.feed import FLAT, FLAT_AGAIN, MAX_OPENED, PAGE, Viewer
from farmd.board.model import BoardModel, Program
from farmd.board.tasks import Task, no_counts
from tests.board.test_model import Picture, told

ONE = Program("p1", "one.py")
GROUP = "p1:one.py"


def filled(tasks: int) -> BoardModel:
    model = BoardModel()
    model.apply(ONE, {f"{n}": ops.added(f"task {n}", 10, "", "") for n in range(tasks)})
    return model


def test_viewer_is_greeted_and_told_everything_once() -> None:
    viewer, picture = Viewer(filled(441), "server"), Picture()
    hello = viewer.next_message()
    assert hello == {"kind": "hello", "schema": "farm.board.v1", "server_id": "server", "title": "Task board"}
    told(viewer, picture)
    assert picture.kinds == {"snapshot": 1}
    assert len(picture.tasks) == 441


def test_many_changes_of_one_task_are_told_as_one() -> None:
    model = filled(3)
    viewer, picture = Viewer(model, "s"), Picture()
    told(viewer, picture)
    for n in range(1000):
        model.apply(ONE, {"1": ops.updated(n, 1)})
    message = viewer.next_message()
    assert message is not None
    assert [(task["id"], task["done"]) for task in message["changed"]] == [("1", 999)]
    assert viewer.next_message() is None


def test_viewer_that_missed_a_message_sees_the_gap_and_asks() -> None:
    model = filled(3)
    viewer, picture = Viewer(model, "s"), Picture()
    told(viewer, picture)
    model.apply(ONE, {"1": ops.started(1)})
    assert viewer.next_message() is not None  # lost on the way
    model.apply(ONE, {"2": ops.started(1)})
    told(viewer, picture)
    assert picture.gaps == 1
    viewer.asked({"kind": "resync"})
    told(viewer, picture)
    assert picture.counts["running"] == 2
    assert picture.tasks["p1/1"]["state"] == "running"


def test_past_the_limit_groups_are_told_and_their_tasks_when_opened() -> None:
    model = filled(FLAT + 1)
    viewer, picture = Viewer(model, "s"), Picture()
    told(viewer, picture)
    assert picture.tasks == {}
    assert picture.groups[GROUP]["counts"]["pending"] == FLAT + 1
    model.apply(ONE, {"7": ops.started(1)})
    told(viewer, picture)
    assert picture.tasks == {}
    viewer.asked({"kind": "open", "group": GROUP})
    told(viewer, picture)
    assert len(picture.tasks) == FLAT + 1
    model.apply(ONE, {"8": ops.started(1)})
    told(viewer, picture)
    assert picture.tasks["p1/8"]["state"] == "running"
    viewer.asked({"kind": "close", "group": GROUP})
    model.apply(ONE, {"9": ops.started(1)})
    told(viewer, picture)
    assert picture.tasks["p1/9"]["state"] == "pending"


def test_number_of_tasks_about_the_limit_does_not_make_the_page_jump() -> None:
    model = filled(FLAT + 1)
    viewer, picture = Viewer(model, "s"), Picture()
    told(viewer, picture)
    model.apply(ONE, {f"{n}": ops.removed() for n in range(50)})
    told(viewer, picture)
    assert picture.tasks == {}
    model.apply(ONE, {f"{n}": ops.removed() for n in range(50, FLAT + 1 - FLAT_AGAIN)})
    told(viewer, picture)
    assert len(picture.tasks) == FLAT_AGAIN


def test_large_group_comes_in_pages_and_what_changes_meanwhile_is_not_lost() -> None:
    model = filled(3 * PAGE + 10)
    viewer, picture = Viewer(model, "s"), Picture()
    told(viewer, picture)
    viewer.asked({"kind": "open", "group": GROUP})
    first = viewer.next_message()
    assert first is not None
    assert len(first["tasks"]) == PAGE
    picture.take(first)
    assert viewer.has_more
    model.apply(ONE, {f"{n}": ops.completed(1) for n in range(5 * PAGE // 2)})
    model.apply(ONE, {"0": ops.removed()})
    told(viewer, picture)
    assert picture.tasks == {task["key"]: task for task in model.views()}


def test_viewer_with_too_much_to_be_told_gets_a_snapshot() -> None:
    model = filled(FLAT)
    viewer, picture = Viewer(model, "s"), Picture()
    told(viewer, picture)
    model.put_group("job", "Job", "farm", no_counts(), {})
    told(viewer, picture)
    viewer.asked({"kind": "open", "group": "job"})
    told(viewer, picture)
    model.put_tasks("job", [Task(f"job/{n}", f"{n}", "job") for n in range(PAGE + 1)])
    told(viewer, picture)
    assert picture.kinds["snapshot"] == 3
    assert len([key for key in picture.tasks if key.startswith("job/")]) == PAGE + 1


def test_viewer_opens_a_bounded_number_of_groups_and_lets_go_of_all() -> None:
    model = filled(FLAT + 1)
    viewer = Viewer(model, "s")
    for n in range(MAX_OPENED + 5):
        viewer.asked({"kind": "open", "group": f"g{n}"})
    assert len(model.watched) == MAX_OPENED
    viewer.left()
    assert model.watched == ()


def test_nonsense_from_a_page_is_ignored() -> None:
    viewer = Viewer(filled(1), "s")
    said: tuple[object, ...] = (None, 7, [], "open", {}, {"kind": "open"}, {"kind": "open", "group": 7})
    for nonsense in (*said, {"kind": "close", "group": "x"}):
        viewer.asked(nonsense)
    hello = viewer.next_message()
    assert hello is not None
    assert hello["kind"] == "hello"
