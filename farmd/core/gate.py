"""The gate: only test frames before it opens.

Theory. The gate is a function of four facts, and has no memory of its own: the mode, how the test tasks stand, their
generation (the largest of any test task), and the GATE register. A decision holds for the generation that it names
and for no other: who approves looks at pictures, and requeueing a test frame makes other pictures. So a retry of the
test frames reopens testing by itself, in every mode, and an approval given before it opens nothing.

  off                        open
  any, rejected              rejected
  auto/hold, a test failed   failed: finally, or on two nodes
  auto/hold, not all done    testing
  auto, all done             open
  hold, all done             awaiting approval, open once approved

Called by `farmd.core.job`; must never look at a picture or at the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from farmd.core.bitmap import Mark
from farmd.core.tasks import failed_on_two_nodes
from protocol.ids import TaskIndex
from protocol.jobspec import GateMode

if TYPE_CHECKING:
    from farmd.core.plan import Plan
    from farmd.core.tasks import Tasks
    from protocol.bodies import ControlBody
    from protocol.ids import NodeId

APPROVED = 1
REJECTED = 2


class GateState(StrEnum):
    """Where the gate of a job stands."""

    OPEN = "open"
    TESTING = "testing"
    AWAITING_APPROVAL = "awaiting_approval"
    FAILED = "failed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class GateFacts:
    """What the gate depends on.

    Attributes:
        mode: From the specification.
        tests: Test tasks.
        done: Those that are done in their present generation.
        failed: The first test task that failed for good or on two nodes, or None.
        generation: The largest of any test task.
    """

    mode: GateMode
    tests: int
    done: int
    failed: TaskIndex | None
    generation: int


def gate_facts(mode: GateMode, plan: Plan, tasks: Tasks) -> GateFacts:
    """Gather the facts of a job's test tasks."""
    tests = [TaskIndex(task) for task in range(plan.test_count)]
    done = sum([tasks.marks[task] in (Mark.DONE, Mark.SAFE) for task in tests])
    return GateFacts(
        mode=mode,
        tests=len(tests),
        done=done,
        failed=next((task for task in tests if _is_bad(tasks, task)), None),
        generation=max(map(tasks.generation_of, tests), default=0),
    )


def decide(facts: GateFacts, decision: ControlBody | None) -> GateState:
    """Say where the gate stands."""
    verdict = decision.value if decision is not None and decision.generation == facts.generation else 0
    if facts.mode is GateMode.OFF:
        return GateState.OPEN
    if verdict == REJECTED:
        return GateState.REJECTED
    if facts.failed is not None:
        return GateState.FAILED
    if facts.done < facts.tests:
        return GateState.TESTING
    if facts.mode is GateMode.AUTO or not facts.tests or verdict == APPROVED:
        return GateState.OPEN
    return GateState.AWAITING_APPROVAL


def grantable_below(state: GateState, plan: Plan) -> int:
    """Return the index below which tasks may be granted."""
    match state:
        case GateState.OPEN:
            return plan.task_count
        case GateState.TESTING:
            return plan.test_count
        case GateState.AWAITING_APPROVAL | GateState.FAILED | GateState.REJECTED:
            return 0


def nodes_of_tests(plan: Plan, tasks: Tasks, but: TaskIndex) -> tuple[NodeId, ...]:
    """List the nodes that ran or run another test frame: this one goes to a different node, if there is one."""
    others = (TaskIndex(task) for task in range(plan.test_count) if task != but)
    return tuple(sorted({attempt.node for task in others for attempt in tasks.current_of(task)}))


def _is_bad(tasks: Tasks, task: TaskIndex) -> bool:
    mark = tasks.marks[task]
    if mark in (Mark.DONE, Mark.SAFE):
        return False
    return mark is Mark.FAILED or failed_on_two_nodes(tasks.current_of(task))
