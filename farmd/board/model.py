"""What is on the board: groups, their tasks, and counts that are kept while things change, never counted anew.

Every change raises `seq`. Tasks and groups stand in the order of their last change, so that what changed since a
viewer's last look is found from the end, without a list per viewer: memory does not grow with viewers or updates, and
a viewer that was away for long simply finds more. What left is remembered for a while; who looked last before that
gets everything anew.

Thread-safe: programs call from any thread, the server reads from its own. Knows neither clock nor socket.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from farmd.board.ops import FAILED, PENDING, RUNNING
from farmd.board.tasks import MAX_TASKS, Counts, Group, Task, no_counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from farmd.board.ops import Op

REMEMBERED: Final = 10_000
"""So many departures are told one by one; who missed more of them starts anew."""
ENDED: Final = "its program ended before it did"


@dataclass(frozen=True, slots=True)
class Program:
    """Where tasks come from.

    Attributes:
        key: Random, the same for a program and its child processes.
        name: For people.
    """

    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different since some `seq`: views, ready to be sent."""

    seq: int
    counts: Counts
    groups: list[dict[str, Any]]
    tasks: list[dict[str, Any]]
    removed: list[str]


class BoardModel:
    """Everything on one board."""

    def __init__(self, title: str = "Task board", *, hint: str = "", max_tasks: int = MAX_TASKS) -> None:
        self.title = title
        self.hint = hint
        """What to do when nothing is there, if it is another thing than adding tasks by a program."""
        self.note = ""
        self.max_tasks = max_tasks
        self.seq = 0
        self._counts = no_counts()
        self._tasks: OrderedDict[str, Task] = OrderedDict()
        self._groups: OrderedDict[str, Group] = OrderedDict()
        self._programs: dict[str, str] = {}
        self._departed: deque[tuple[int, str]] = deque(maxlen=REMEMBERED)
        self._orders = 0
        self._watched: Counter[str] = Counter()
        self._lock = threading.RLock()

    # -- writing --------------------------------------------------------------------------------------------------

    def apply(self, program: Program, ops: Mapping[str, Op]) -> None:
        """Do what a program says of its tasks, by the ids that it gave them."""
        with self._lock:
            self._programs[program.key] = program.name
            for task_id, op in ops.items():
                self._apply(program, task_id, op)
            self._make_room()

    def end_program(self, program: str, at_ms: int) -> None:
        """Say of the unfinished tasks of a program that is gone that they failed: nobody works on them."""
        with self._lock:
            for group in [group for group in self._groups.values() if group.owner == program]:
                for task in [task for task in group.tasks.values() if not task.is_over]:
                    self._change(group, task, {"state": FAILED, "ended_at_ms": at_ms, "error": ENDED})

    def revive_program(self, program: str) -> None:
        """Take back what `end_program` said: the program is there again."""
        with self._lock:
            for group in [group for group in self._groups.values() if group.owner == program]:
                for task in [task for task in group.tasks.values() if task.error == ENDED]:
                    state = PENDING if task.started_at_ms is None else RUNNING
                    self._change(group, task, {"state": state, "ended_at_ms": None, "error": ""})

    def forget_program(self, program: str) -> None:
        """Take a program off the board, with all that it did."""
        with self._lock:
            for key in self.groups_of(program):
                self.drop_tasks(key)  # the last one takes its group along
            self._programs.pop(program, None)

    def say(self, *, title: str | None = None, note: str | None = None) -> None:
        """Change what stands above everything: the title, and a note about what is shown."""
        with self._lock:
            said = (self.title if title is None else title, self.note if note is None else note)
            if said != (self.title, self.note):
                self.title, self.note = said
                self.seq += 1

    def put_group(self, key: str, title: str, owner: str, counts: Counts, facts: Mapping[str, Any]) -> None:
        """Show a group whose tasks are elsewhere, and are fetched when somebody opens it."""
        with self._lock:
            group = self._group(key, title, owner)
            for state, count in counts.items():
                self._counts[state] += count - group.counts[state]
            group.title, group.facts, group.on_demand = title, facts, True
            group.counts = dict(counts)
            self._touch(group)

    def put_tasks(self, key: str, tasks: Iterable[Task]) -> None:
        """Show tasks of a group that is fetched on demand; its counts stay as its source says them."""
        with self._lock:
            group = self._groups.get(key)
            for task in tasks if group is not None and group.on_demand else ():
                self.seq += 1
                task.seq = self.seq
                assert group is not None
                self._tasks[task.key] = group.tasks[task.key] = task
                self._tasks.move_to_end(task.key)

    def drop_tasks(self, key: str) -> None:
        """Forget the tasks of a group that nobody looks at."""
        with self._lock:
            group = self._groups.get(key)
            for task in list(group.tasks.values()) if group is not None else ():
                self._remove(task)

    def remove_group(self, key: str) -> None:
        """Take a group off the board, with its tasks."""
        with self._lock:
            group = self._groups.get(key)
            if group is None:
                return
            self.drop_tasks(key)
            for state, count in group.counts.items():
                self._counts[state] -= count
            del self._groups[key]
            self._depart(key)

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> Counts:
        """Return how many tasks are in each state."""
        with self._lock:
            return dict(self._counts)

    @property
    def is_flat(self) -> bool:
        """Tell whether all there is are tasks of programs, which can be sent as they are."""
        with self._lock:
            return not any(group.on_demand for group in self._groups.values())

    def __len__(self) -> int:
        return sum(self.counts.values())

    def views(self) -> list[dict[str, Any]]:
        """Return all tasks, group by group, in the order in which they came."""
        with self._lock:
            return [task.view() for group in self._in_order() for task in group.tasks.values()]

    def group_views(self) -> list[dict[str, Any]]:
        """Return the groups, in the order in which they came."""
        with self._lock:
            return [group.view() for group in self._in_order()]

    def groups_of(self, owner: str) -> set[str]:
        """Name the groups of a program, or of a bridge."""
        with self._lock:
            return {group.key for group in self._groups.values() if group.owner == owner}

    def programs(self) -> list[dict[str, Any]]:
        """Count the tasks of each program: those that work first, and of either kind the latest first."""
        with self._lock:
            counts: dict[str, Counts] = {}
            for group in reversed(self._groups.values()):
                if group.owner in self._programs:
                    mine = counts.setdefault(group.owner, no_counts())
                    mine.update({state: mine[state] + count for state, count in group.counts.items()})
            return [
                {"key": key, "name": self._programs[key], "total": sum(mine.values()), **mine}
                for key, mine in sorted(counts.items(), key=lambda one: not one[1][PENDING] + one[1][RUNNING])
            ]

    def keys(self, group: str) -> list[str]:
        """Name the tasks of a group, in the order in which they came."""
        with self._lock:
            found = self._groups.get(group)
            return list(found.tasks) if found is not None else []

    def views_of(self, keys: Iterable[str]) -> list[dict[str, Any]]:
        """Return these tasks as they are now; those that are gone are left out."""
        with self._lock:
            return [self._tasks[key].view() for key in keys if key in self._tasks]

    def changes(self, after: int, opened: set[str] | None, most: int) -> Changes | None:
        """Return what changed since `after`; None if that is too long ago, or too much to be told.

        Args:
            after: What `seq` was at the last look.
            opened: Groups whose tasks are wanted; None = all.
            most: Tasks that are still worth telling one by one.
        """
        with self._lock:
            if len(self._departed) == REMEMBERED and after < self._departed[0][0]:
                return None
            tasks = []
            for task in _since(self._tasks, after):
                if opened is None or task.group in opened:
                    tasks.append(task.view())
                if len(tasks) > most:
                    return None
            groups = [group.view() for group in _since(self._groups, after)]
            removed = [key for seq, key in self._departed if seq > after]
            return Changes(self.seq, dict(self._counts), groups[::-1], tasks[::-1], removed)

    # -- who looks at what ----------------------------------------------------------------------------------------

    def watch(self, group: str) -> None:
        """Note that somebody opened a group."""
        with self._lock:
            self._watched[group] += 1

    def unwatch(self, group: str) -> None:
        """Note that somebody closed it."""
        with self._lock:
            self._watched[group] -= 1
            if self._watched[group] <= 0:
                del self._watched[group]

    @property
    def watched(self) -> tuple[str, ...]:
        """Return the groups that somebody has open, the one that is open for longest first."""
        with self._lock:
            return tuple(self._watched)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _in_order(self) -> list[Group]:
        return sorted(self._groups.values(), key=lambda group: group.order)

    def _group(self, key: str, title: str, owner: str) -> Group:
        group = self._groups.get(key)
        if group is None:
            self._orders += 1
            group = self._groups[key] = Group(key, title, owner, order=self._orders)
            self._touch(group)
        return group

    def _touch(self, group: Group) -> None:
        self.seq += 1
        group.seq = self.seq
        self._groups.move_to_end(group.key)

    def _apply(self, program: Program, task_id: str, op: Op) -> None:
        key = f"{program.key}/{task_id}"
        task = self._tasks.get(key)
        if "removed" in op:
            if task is not None:
                self._remove(task)
            return
        title = op.get("group") or program.name
        group_key = f"{program.key}:{title}"
        if task is not None and "group" in op and task.group != group_key:
            self._remove(task)
            task = None
        if task is None:
            task = Task(key, task_id, group_key)
            group = self._group(group_key, title, program.key)
            group.counts[task.state] += 1
            self._counts[task.state] += 1
            group.tasks[key] = self._tasks[key] = task
            self._touch(group)
        self._change(self._groups[task.group], task, op)

    def _change(self, group: Group, task: Task, op: Op) -> None:
        before = task.state
        task.apply(op)
        for counts in (group.counts, self._counts):
            counts[before] -= 1
            counts[task.state] += 1
        self.seq += 1
        task.seq = self.seq
        self._tasks.move_to_end(task.key)
        if task.state != before:
            self._touch(group)

    def _remove(self, task: Task) -> None:
        group = self._groups[task.group]
        del self._tasks[task.key], group.tasks[task.key]
        self._depart(task.key)
        if group.on_demand:
            return
        for counts in (group.counts, self._counts):
            counts[task.state] -= 1
        self._touch(group)
        if not group.tasks:
            del self._groups[group.key]
            self._depart(group.key)

    def _depart(self, key: str) -> None:
        self.seq += 1
        self._departed.append((self.seq, key))

    def _make_room(self) -> None:
        """Keep the memory bounded: who ended first, or else changed first, leaves first.

        What is fetched on demand is bounded by whoever fetches it, and pushes nobody's tasks away.
        """
        fetched = sum([len(group.tasks) for group in self._groups.values() if group.on_demand])
        excess = len(self._tasks) - fetched - self.max_tasks
        if excess <= 0:
            return
        own = [task for task in self._tasks.values() if not self._groups[task.group].on_demand]
        # some more than needed, so that a full board is not looked through for each task that comes
        for task in sorted(own, key=lambda task: not task.is_over)[: excess + self.max_tasks // 100]:
            self._remove(task)


_Dated = TypeVar("_Dated", Task, Group)


def _since(found: OrderedDict[str, _Dated], after: int) -> Iterator[_Dated]:
    for key in reversed(found):
        if found[key].seq <= after:
            return
        yield found[key]
