"""Which attempt is meant where a job has very many: the newest of those that matter, found without a look at each."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from farmd.core.events import ClientAsked
from farmd.core.logasks import find_attempt
from farmd.core.loglists import LogLists, newest
from protocol.errors import NotFound
from tests.core.foldrows import JOB, A, attempt_id, attempt_row, done_row, failed_row, fold, job_row, ref, spec

if TYPE_CHECKING:
    from farmd.core.jobs import Jobs
    from farmd.core.logs import Logs
    from farmd.core.node import Node
    from protocol.records import Rec

FRAMES = 3000


def node_with(*rows: Rec) -> Node:
    """Stand in for a node that is here alone and knows one job."""
    jobs: Jobs = fold(job_row(spec(f"1-{FRAMES}")), *rows)
    here = SimpleNamespace(
        jobs=jobs,
        id=A,
        registry=SimpleNamespace(name_of=str),
        membership=SimpleNamespace(is_alive=lambda _node: True),
    )
    return cast("Node", here)


def asked(op: str, **args: Any) -> ClientAsked:
    return ClientAsked(1, op, {"job": JOB} | args, "anna")


def found(node: Node, **args: Any) -> str:
    return str(find_attempt(node, asked("log.tail", **args))[1].ref)


@pytest.fixture(scope="module")
def many() -> Node:
    """A job of which every task is done but one that failed first and one that runs."""
    rows = [done_row(task, task + 1) for task in range(10, FRAMES)]
    return node_with(*rows, failed_row(3, FRAMES + 1), attempt_row(4, FRAMES + 2), done_row(3, FRAMES + 3))


def test_of_a_job_running_and_failed_ones_come_first_and_then_the_newest(many: Node) -> None:
    assert found(many) == str(ref(4, FRAMES + 2))
    assert found(many, frame=4) == str(ref(3, FRAMES + 1)), "that it failed once is what there is to look at"
    assert found(node_with(done_row(1, 1), done_row(2, 2))) == str(ref(2, 2))


@pytest.mark.parametrize(("task", "n"), [(11, 12), (FRAMES - 1, FRAMES), (4, FRAMES + 2), (3, FRAMES + 3)])
def test_an_attempt_is_found_by_its_name_with_and_without_its_task(many: Node, task: int, n: int) -> None:
    name = str(attempt_id(n))
    assert found(many, attempt=name) == found(many, attempt=name, task=task) == str(ref(task, n))


@pytest.mark.parametrize("name", ["1.x.12", "12", "1.2", f"{attempt_id(12)}.12", "9" * 5000, "²", ""])
def test_a_name_of_no_attempt_is_not_found(many: Node, name: str) -> None:
    if not name:
        assert found(many, attempt="") == found(many)
        return
    with pytest.raises(NotFound, match="has no attempt"):
        find_attempt(many, asked("log.tail", attempt=name))
    with pytest.raises(NotFound, match="has no attempt"):
        find_attempt(many, asked("log.tail", attempt=str(attempt_id(12)), task=12))


def test_a_list_is_the_newest_first_and_counts_all(many: Node) -> None:
    effects: list[Any] = []
    turn: Any = SimpleNamespace(effects=effects)
    lists = LogLists(many, cast("Logs", None))
    for state, total, first in (
        ("", FRAMES - 7, FRAMES + 3),
        ("done", FRAMES - 9, FRAMES + 3),
        ("failed", 1, FRAMES + 1),
    ):
        lists.answer(turn, asked("log.list", state=state, limit=5, sizes=False))
        data = effects.pop().data
        assert data["total"] == total
        assert data["attempts"][0]["attempt"] == str(attempt_id(first))
        assert len(data["attempts"]) == min(5, total)


def test_the_newest_are_those_that_a_sort_would_put_first(many: Node) -> None:
    job, _ = find_attempt(many, asked("log.tail"))
    rng = Random(7)
    attempts = [attempt._replace(started_ms=rng.randrange(500)) for attempt in job.tasks.attempts()]
    ordered = sorted(attempts, key=lambda attempt: (attempt.started_ms, attempt.id), reverse=True)
    for limit in (0, 1, 10, len(attempts) - 1, len(attempts), 10_000):
        assert newest(attempts, limit) == ordered[:limit]
