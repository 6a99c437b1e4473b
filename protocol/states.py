"""The states of jobs, tasks, attempts and nodes, and why an attempt ended: words, looks and legal moves as tables.

The tables are the truth: a state machine looks its moves up here, the diagrams of the docs are drawn from them, and
every client takes glyph and colour from them. Job and task states are *derived* by folding records and never stored,
so a replica that catches up may see a job several moves later than it saw it last; each single cause makes one move.

Names are what clients see; the numbers of the `IntEnum`s stand in durable records and gossip and never change.
Imports the standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from typing import TYPE_CHECKING, Final, TypeVar, assert_never

if TYPE_CHECKING:
    from collections.abc import Mapping


_S = TypeVar("_S", bound=Enum)


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    PREPARING = "preparing"
    TESTING = "testing"
    AWAITING_APPROVAL = "awaiting_approval"
    RENDERING = "rendering"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class TaskState(StrEnum):
    """Where one frame, chunk or tile stands."""

    WAITING = "waiting"
    HELD = "held"
    GRANTED = "granted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


TASK_STATES = tuple(TaskState)
"""Task states by their number, where many are told at once; numbers are for ever, new ones come at the end."""


class AttemptState(IntEnum):
    """Where one try of a task stands; a larger number never gives way to a smaller one."""

    RUNNING = 1
    STOPPED = 2
    FAILED = 3
    DONE = 4


class MemberState(IntEnum):
    """What the failure detector believes of a member."""

    ALIVE = 1
    SUSPECT = 2
    DEAD = 3
    LEFT = 4


class NodeState(StrEnum):
    """What a person is told about a machine."""

    IDLE = "idle"
    BUSY = "busy"
    IN_USE = "in_use"
    HELD = "held"
    DRAINING = "draining"
    SICK = "sick"
    RECONNECTING = "reconnecting"
    LOST = "lost"
    LEFT = "left"


class FailureClass(IntEnum):
    """Why an attempt ended without a result."""

    ERROR = 1
    CRASH = 2
    LICENSE = 3
    OOM = 4
    MISSING_ASSET = 5
    TIMEOUT = 6
    PREEMPTED = 7
    DISK_FULL = 8
    BAD_OUTPUT = 9
    NODE_LOST = 10
    SUPERSEDED = 11
    CANCELLED = 12
    START_FAILED = 13
    MISSING_FEATURE = 14
    FILES_LOST = 15


class ColourGroup(StrEnum):
    """The four groups that cards, badges and filters count; every job and task is in exactly one."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


GROUP_COLOURS: Final[dict[ColourGroup, str]] = {
    ColourGroup.PENDING: "yellow",
    ColourGroup.RUNNING: "blue",
    ColourGroup.COMPLETED: "green",
    ColourGroup.FAILED: "red",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a state is shown; the glyph says it without colour, the meaning goes into help and docs."""

    glyph: str
    group: ColourGroup
    meaning: str


_PENDING, _RUNNING, _COMPLETED, _FAILED = ColourGroup

JOB_LOOKS: Final[Mapping[JobState, Look]] = {
    JobState.QUEUED: Look("○", _PENDING, "accepted; nothing has started yet"),
    JobState.PREPARING: Look("◷", _PENDING, "its files are moving to the machines that need them"),
    JobState.TESTING: Look("◐", _RUNNING, "its test frames render"),
    JobState.AWAITING_APPROVAL: Look("◷", _PENDING, "its test frames are done; a person decides"),
    JobState.RENDERING: Look("◐", _RUNNING, "its frames render"),
    JobState.PAUSED: Look("‖", _PENDING, "starts no frame until it is resumed"),
    JobState.COMPLETED: Look("●", _COMPLETED, "all frames are done"),
    JobState.FAILED: Look("✖", _FAILED, "all tasks ended and at least one failed for good, or it was given up"),
    JobState.CANCELLED: Look("⌀", _FAILED, "stopped for ever by a person"),
    JobState.REJECTED: Look("⌀", _FAILED, "its test frames were rejected"),
}

TASK_LOOKS: Final[Mapping[TaskState, Look]] = {
    TaskState.WAITING: Look("○", _PENDING, "may run as soon as a machine fits; its reason says what is missing"),
    TaskState.HELD: Look("‖", _PENDING, "may not run: gate, pause, or poison"),
    TaskState.GRANTED: Look("◷", _PENDING, "given to a node that has not started it yet"),
    TaskState.RUNNING: Look("◐", _RUNNING, "a node says that it renders"),
    TaskState.DONE: Look("●", _COMPLETED, "an attempt is done and verified"),
    TaskState.FAILED: Look("✖", _FAILED, "failed as often as its limit allows, or no machine can render it"),
    TaskState.CANCELLED: Look("⌀", _FAILED, "its job was cancelled or rejected first"),
}

ATTEMPT_LOOKS: Final[Mapping[AttemptState, Look]] = {
    AttemptState.RUNNING: Look("◐", _RUNNING, "its process runs, or is frozen"),
    AttemptState.STOPPED: Look("⌀", _FAILED, "was stopped from outside; says nothing against the frame"),
    AttemptState.FAILED: Look("✖", _FAILED, "ended without a good result"),
    AttemptState.DONE: Look("●", _COMPLETED, "its outputs are verified and stored; never undone"),
}

NODE_LOOKS: Final[Mapping[NodeState, Look]] = {
    NodeState.IDLE: Look("○", _COMPLETED, "has room and nothing to do"),
    NodeState.BUSY: Look("◐", _RUNNING, "renders"),
    NodeState.IN_USE: Look("◷", _PENDING, "a person works at it"),
    NodeState.HELD: Look("‖", _PENDING, "takes no work until it is released"),
    NodeState.DRAINING: Look("◐", _PENDING, "finishes what runs and takes nothing new"),
    NodeState.SICK: Look("✖", _FAILED, "failed on two jobs in a row; gets a canary frame now and then"),
    NodeState.RECONNECTING: Look("◷", _PENDING, "does not answer just now"),
    NodeState.LOST: Look("✖", _FAILED, "did not answer for so long that its tasks go to others"),
    NodeState.LEFT: Look("⌀", _PENDING, "was shut down in good order"),
}


@dataclass(frozen=True, slots=True)
class FailureRule:
    """What follows from a failure class.

    Attributes:
        counts: It uses up one of the task's retries.
        blames_node: It counts towards avoiding this node for the job, and towards calling the node sick.
        bars_node: The job gets nothing more from this node from the first such failure on, until a person retries.
        meaning: What happened, one line.
        remedy: What the farm does, or what a person can do.
    """

    counts: bool
    blames_node: bool
    meaning: str
    remedy: str
    bars_node: bool = False


FAILURE_RULES: Final[Mapping[FailureClass, FailureRule]] = {
    FailureClass.ERROR: FailureRule(True, True, "the renderer ended with an error", "tried on another node"),
    FailureClass.CRASH: FailureRule(True, True, "the renderer was killed by a signal", "tried on another node"),
    FailureClass.LICENSE: FailureRule(False, False, "no licence was free", "the step waits a while and tries again"),
    FailureClass.OOM: FailureRule(False, False, "it needed more memory than granted", "tried again with more memory"),
    FailureClass.MISSING_ASSET: FailureRule(True, False, "a file of the scene is missing", "repair the path, retry"),
    FailureClass.TIMEOUT: FailureRule(True, True, "it took too long or stood still", "tried on another node"),
    FailureClass.PREEMPTED: FailureRule(False, False, "the machine was needed by its user", "runs elsewhere or later"),
    FailureClass.DISK_FULL: FailureRule(True, True, "the disk of the machine is full", "tried on another node"),
    FailureClass.BAD_OUTPUT: FailureRule(True, True, "an output is missing, broken or black", "tried on another node"),
    FailureClass.NODE_LOST: FailureRule(False, False, "the node was lost while it rendered", "runs on another node"),
    FailureClass.SUPERSEDED: FailureRule(False, False, "another attempt had the result first", "nothing to do"),
    FailureClass.CANCELLED: FailureRule(False, False, "stopped by a person", "nothing to do"),
    FailureClass.START_FAILED: FailureRule(True, True, "the renderer could not be started", "tried on another node"),
    FailureClass.MISSING_FEATURE: FailureRule(
        False, False, "the renderer there lacks what the scene needs", "the job goes to other nodes", bars_node=True
    ),
    FailureClass.FILES_LOST: FailureRule(
        False, False, "a file of the job was lost or damaged on the node", "the node fetches it again"
    ),
}
"""Not counted, since the frame is not to blame: licence, oom, preempted, node lost, superseded, cancelled, missing
feature, files lost."""

JOB_TERMINAL: Final = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.REJECTED})
TASK_TERMINAL: Final = frozenset({TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED})
ATTEMPT_TERMINAL: Final = frozenset({AttemptState.STOPPED, AttemptState.FAILED, AttemptState.DONE})


def _job_moves() -> dict[JobState, dict[JobState, str]]:
    """Spell the life of a job out, with pause and cancel added to every unfinished state."""
    life: dict[JobState, dict[JobState, str]] = {
        JobState.QUEUED: {JobState.PREPARING: "a leader takes it up"},
        JobState.PREPARING: {
            JobState.TESTING: "files are there",
            JobState.RENDERING: "files are there, gate off",
            JobState.FAILED: "cannot be prepared",
        },
        JobState.TESTING: {
            JobState.AWAITING_APPROVAL: "test frames good, gate hold",
            JobState.RENDERING: "test frames good, gate auto",
            JobState.FAILED: "a test frame failed, or given up",
        },
        JobState.AWAITING_APPROVAL: {
            JobState.RENDERING: "approved",
            JobState.REJECTED: "rejected",
            JobState.TESTING: "test frames asked again",
        },
        JobState.RENDERING: {JobState.COMPLETED: "all frames done", JobState.FAILED: "all ended, or given up"},
    }
    for moves in life.values():
        moves |= {JobState.PAUSED: "paused", JobState.CANCELLED: "cancelled"}
    back = dict.fromkeys(life, "resumed")
    return life | {
        JobState.PAUSED: back | {JobState.CANCELLED: "cancelled"},
        JobState.COMPLETED: {JobState.RENDERING: "frames requeued or added"},
        JobState.FAILED: {JobState.TESTING: "test frames retried", JobState.RENDERING: "frames retried"},
        JobState.CANCELLED: {},
        JobState.REJECTED: {JobState.TESTING: "test frames asked again"},
    }


JOB_MOVES: Final[Mapping[JobState, Mapping[JobState, str]]] = _job_moves()
"""From a state to each state that may follow, with the cause. Only cancelled is never left."""

TASK_MOVES: Final[Mapping[TaskState, Mapping[TaskState, str]]] = {
    TaskState.WAITING: {
        TaskState.HELD: "gate, pause or poison",
        TaskState.GRANTED: "granted by the leader",
        TaskState.RUNNING: "a node reports it",
        TaskState.DONE: "a result arrives from elsewhere",
        TaskState.FAILED: "job given up",
        TaskState.CANCELLED: "job cancelled",
    },
    TaskState.HELD: {
        TaskState.WAITING: "let go",
        TaskState.DONE: "a result arrives from elsewhere",
        TaskState.FAILED: "job given up",
        TaskState.CANCELLED: "job cancelled",
    },
    TaskState.GRANTED: {
        TaskState.WAITING: "not accepted in time",
        TaskState.RUNNING: "accepted and started",
        TaskState.DONE: "a result arrives from elsewhere",
        TaskState.FAILED: "job given up",
        TaskState.CANCELLED: "job cancelled",
    },
    TaskState.RUNNING: {
        TaskState.DONE: "verified",
        TaskState.FAILED: "failed, limit reached",
        TaskState.WAITING: "failed or stopped, tried again",
        TaskState.HELD: "stopped by a pause, or poison",
        TaskState.CANCELLED: "job cancelled",
    },
    TaskState.DONE: {TaskState.WAITING: "requeued: a new generation"},
    TaskState.FAILED: {TaskState.WAITING: "retried by a person", TaskState.DONE: "a late result arrives"},
    TaskState.CANCELLED: {},
}

ATTEMPT_MOVES: Final[Mapping[AttemptState, Mapping[AttemptState, str]]] = {
    AttemptState.RUNNING: {
        AttemptState.DONE: "outputs verified",
        AttemptState.FAILED: "ended badly",
        AttemptState.STOPPED: "stopped from outside",
    },
    AttemptState.STOPPED: {},
    AttemptState.FAILED: {},
    AttemptState.DONE: {},
}


def word_of(state: Enum) -> str:
    """Return the one word for a state that is used from database to button."""
    return state.name.lower()


def look_of(state: JobState | TaskState | AttemptState | NodeState) -> Look:
    """Return glyph, colour group and meaning of a state.

    One table per kind and not one for all: members of two `StrEnum`s with the same text are equal keys of a dict.
    """
    match state:
        case JobState():
            return JOB_LOOKS[state]
        case TaskState():
            return TASK_LOOKS[state]
        case AttemptState():
            return ATTEMPT_LOOKS[state]
        case NodeState():
            return NODE_LOOKS[state]
        case _:
            assert_never(state)


def is_terminal(state: JobState | TaskState | AttemptState) -> bool:
    """Tell whether nothing more will happen unless a person asks for it."""
    match state:
        case JobState():
            return state in JOB_TERMINAL
        case TaskState():
            return state in TASK_TERMINAL
        case AttemptState():
            return state in ATTEMPT_TERMINAL
        case _:
            assert_never(state)


def job_diagram() -> str:
    """Draw the life of a job as a Mermaid state diagram."""
    return _diagram(JobState.QUEUED, JOB_MOVES, JOB_TERMINAL)


def task_diagram() -> str:
    """Draw the life of a task as a Mermaid state diagram."""
    return _diagram(TaskState.WAITING, TASK_MOVES, TASK_TERMINAL)


def attempt_diagram() -> str:
    """Draw the life of an attempt as a Mermaid state diagram."""
    return _diagram(AttemptState.RUNNING, ATTEMPT_MOVES, ATTEMPT_TERMINAL)


def _diagram(first: _S, moves: Mapping[_S, Mapping[_S, str]], terminal: frozenset[_S]) -> str:
    lines = ["stateDiagram-v2", f"    [*] --> {word_of(first)}"]
    for state, following in moves.items():
        lines += (f"    {word_of(state)} --> {word_of(after)} : {cause}" for after, cause in following.items())
        if state in terminal:
            lines.append(f"    {word_of(state)} --> [*]")
    return "\n".join((*lines, ""))
