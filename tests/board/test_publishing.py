"""What programs say arrives once and whole, however connections break and boards come and go.

Ledgers and hubs are the real ones; between them a network that loses what it likes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from farmd.board import ops
from farmd.board.hub import KEPT_MS, Hub
from farmd.board.ledger import MESSAGE_BYTES, Ledger
from farmd.board.model import ENDED, BoardModel, Program
from farmd.board.ops import Op
from tests.board.test_ops import CALLS

Step = tuple[str, Any]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.tuples(st.integers(0, 2), st.sampled_from("abc"), CALLS)),
        st.tuples(st.just("send"), st.tuples(st.integers(0, 2), st.sampled_from(["arrives", "answer lost", "lost"]))),
        st.tuples(st.just("end"), st.just(None)),
        st.tuples(st.just("new board"), st.just(None)),
        st.tuples(st.just("serve"), st.integers(0, 2)),
    ),
    max_size=40,
)


@dataclass
class Process:
    """One process of a program, which publishes to whatever board there is."""

    name: str
    program: str
    ledger: Ledger = field(default_factory=Ledger)
    hub: Hub | None = None

    def connect(self, hub: Hub) -> None:
        self.hub = hub
        hello = {"kind": "program", "program": self.program, "process": self.name, "name": self.program}
        self.ledger.resume(hub.enter(hello)[2])

    def serve(self) -> None:
        """Serve a board of its own, until it leaves its port to another and joins that."""
        self.hub = None
        self.ledger.lead_to(partial(BoardModel().apply, Program(self.program, self.program)))

    def send(self, hub: Hub, fate: str) -> None:
        self.ledger.lead_nowhere()
        if self.hub is not hub:
            self.connect(hub)
        number, said = self.ledger.next_message()
        if fate != "lost":
            wire = json.loads(json.dumps({"kind": "ops", "n": number, "ops": said}))
            hub.receive(self.program, self.name, wire)
        if fate == "arrives":
            self.ledger.confirmed(number)
        else:
            hub.leave(self.program)
            self.hub = None


def shown(model: BoardModel) -> dict[str, dict[str, Any]]:
    return {task["key"]: task for task in model.views()}


def end_all(hub: Hub, processes: list[Process]) -> None:
    """Give up those that are away for long."""
    for process in processes:
        hub.end(process.program, 99)


@given(STEPS)
def test_board_shows_in_the_end_what_was_said_however_connections_broke(steps: list[Step]) -> None:
    # programs of their own: two processes of one program may say different things of one task, in any order
    processes = [Process(f"process {n}", f"program {n}") for n in range(3)]
    wanted = BoardModel()
    calm = Hub(wanted)
    hub = Hub(BoardModel())
    for n, process in enumerate(processes):
        calm.enter({"kind": "program", "program": process.program, "process": "x", "name": f"program {n}"})
    said = [0, 0, 0]
    for what, how in steps:
        match what, how:
            case "say", (who, task, op):
                said[who] += 1
                processes[who].ledger.record(task, op)
                calm.receive(f"program {who}", "x", {"kind": "ops", "n": said[who], "ops": {task: op}})
            case "send", (who, fate):
                processes[who].send(hub, fate)
            case "end", _:
                end_all(hub, processes)
            case "new board", _:
                hub = Hub(BoardModel())
            case "serve", who:  # it has the port, so that there is no other board before it leaves
                processes[who].serve()
                hub = Hub(BoardModel())
    for process in processes:
        while process.hub is not hub or not process.ledger.is_told:
            process.send(hub, "arrives")
    assert shown(hub.model) == shown(wanted)
    assert hub.model.counts == wanted.counts


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["say", "arrives", "answer lost", "lost"])), max_size=60))
def test_what_several_processes_add_to_one_task_is_counted_once(steps: list[tuple[int, str]]) -> None:
    processes = [Process(f"process {n}", "program") for n in range(4)]
    hub, total = Hub(BoardModel()), 0
    for who, what in steps:
        if what == "say":
            processes[who].ledger.record("shared", ops.advanced(1, 5))
            total += 1
        else:
            processes[who].send(hub, what)
    for process in processes:
        while not process.ledger.is_told:
            process.send(hub, "arrives")
    assert sum(task.get("done", 0) for task in hub.model.views()) == total


def test_program_that_comes_back_has_not_ended() -> None:
    hub = Hub(BoardModel())
    process = Process("one", "program")
    for task, op in {"a": ops.started(5), "b": ops.added("b", 1, "", ""), "c": ops.failed("own", 6)}.items():
        process.ledger.record(task, op)
    process.send(hub, "arrives")
    before = shown(hub.model)
    hub.leave("program")
    hub.end("program", 99)
    assert [task.get("error") for task in hub.model.views()] == [ENDED, ENDED, "own"]
    process.hub = None
    process.send(hub, "arrives")
    assert shown(hub.model) == before


def test_many_tasks_go_in_messages_that_a_board_takes() -> None:
    ledger, hub = Ledger(), Hub(BoardModel())
    error = "\N{SNOWMAN}" * 2_000
    for number in range(500):
        ledger.record(f"{number}", ops.failed(error, 1))
    process = Process("one", "program", ledger)
    sizes = []
    process.connect(hub)
    while not ledger.is_told:
        sizes.append(len(json.dumps(ledger.next_message()[1])))
        process.send(hub, "arrives")
    assert len(hub.model) == 500
    assert max(sizes) < 2 * MESSAGE_BYTES


def test_forgotten_program_costs_nothing() -> None:
    hub = Hub(BoardModel())
    for number in range(1_500):
        process = Process("one", f"program {number}")
        process.connect(hub)
        process.ledger.record("t", ops.started(1))
        process.send(hub, "arrives")
        hub.leave(process.program)
        hub.end(process.program, 1)
    assert len(hub._sources) == len(hub.model) == len(hub.model.programs()) == 1_000


def test_program_that_ended_days_ago_leaves_the_board_and_can_come_back() -> None:
    hub, old, new = Hub(BoardModel()), Process("one", "old"), Process("one", "new")
    for process, at_ms in ((old, 1), (new, 2 + KEPT_MS)):
        process.ledger.record("t", ops.advanced(3, at_ms))
        process.send(hub, "arrives")
        hub.leave(process.program)
        hub.end(process.program, at_ms)
    assert [program["key"] for program in hub.model.programs()] == ["new"]
    assert hub.model.counts["failed"] == len(hub.model.group_views()) == 1
    old.connect(hub)
    old.send(hub, "arrives")
    assert shown(hub.model)["old/t"]["done"] == 3


def test_operations_of_a_process_stay_as_they_were_said() -> None:
    ledger = Ledger()
    ledger.record("a", Op(fresh=True, name="A"))
    _, first = ledger.next_message()
    ledger.record("a", ops.started(5))
    assert first == {"a": {"fresh": True, "name": "A"}}
