"""Everything that the screens show, without a screen: tables, the opened job, the connection, orders on their way.

The feed calls `apply_*`, keys call the rest, screens read. Time is an input: `mono` is a clock that only goes forward,
and the wall clock is the node's own, carried on by `mono` since its last answer, so ages are right on a machine whose
clock is wrong.

Called by the application; must not import textual.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from protocol.frames import FrameSet
from tui.columns import Moment, Row
from tui.filters import Filter, parse_filter
from tui.model import Sort, TableModel
from tui.orders import ORDERS, Order, PendingOrders, Subject
from tui.standing import Standing
from tui.tables import EVENT_COLUMNS, JOB_COLUMNS, JOBS, NODE_COLUMNS, TASK_COLUMNS
from tui.tasks import TaskRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from protocol.feed import Changes, FarmPicture, JobPicture

UNFINISHED: Final[Filter] = parse_filter("state!=completed|failed|cancelled|rejected", JOBS)
"""What the overview lists."""
KEPT_EVENTS: Final = 5_000
AGING_S: Final = 5.0
"""So often a filter by age is held against all rows: a hundred thousand take a tenth of a second."""
_SHOWN_DOING: Final = 3


@dataclass(slots=True)
class OpenJob:
    """The job whose screen is open.

    Attributes:
        picture: As the feed tells it; `job` is empty until the first answer.
        rows: Its tasks.
        table: Its tasks as they are shown.
    """

    picture: JobPicture
    rows: TaskRows
    table: TableModel[int]

    @property
    def is_known(self) -> bool:
        """Tell whether an answer has come."""
        return bool(self.picture.job)

    @property
    def test_frames(self) -> list[Row]:
        """The test frames, as the gate tells them."""
        gate: Row = self.picture.job.get("gate") or {}
        return list(gate.get("test_frames") or [])


@dataclass(slots=True)
class Console:
    """The state of the dashboard.

    Attributes:
        mono: Seconds on a clock that only goes forward.
        user: Who looks.
        read_only: Orders are refused here already.
        farm: What the feed tells of the farm as a whole.
        standing: The connection.
        pending: Orders on their way.
        jobs: All jobs.
        active: Jobs that are not over; the overview lists them.
        nodes: All machines.
        events: The event log of the node that answers.
        open: The opened job.
    """

    mono: Callable[[], float]
    user: str = ""
    read_only: bool = False
    farm: Row = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)
    pending: PendingOrders = field(default_factory=PendingOrders)
    as_of_ms: int = 0
    jobs: TableModel[str] = field(init=False)
    active: TableModel[str] = field(init=False)
    nodes: TableModel[str] = field(init=False)
    events: TableModel[int] = field(init=False)
    event_rows: dict[int, Row] = field(default_factory=dict)
    open: OpenJob | None = None
    _feed: FarmPicture | None = None
    _aged_at: float = 0.0

    def __post_init__(self) -> None:
        self.standing = Standing(began_at=self.mono())
        self.jobs = TableModel(JOB_COLUMNS, Sort("age", downward=True), self.moment)
        self.active = TableModel(JOB_COLUMNS, Sort("age", downward=True), self.moment)
        self.active.set_filter(UNFINISHED)
        self.nodes = TableModel(NODE_COLUMNS, Sort("name"), self.moment)
        self.events = TableModel(EVENT_COLUMNS, Sort("at", downward=True), self.moment, self.event_rows)

    def moment(self) -> Moment:
        """Return what cells may know besides their row."""
        return Moment(self.now_ms, self.user, self.pending.words)

    @property
    def now_ms(self) -> int:
        """The wall clock of the node that answered last, carried on."""
        return self.as_of_ms + int(1000 * self.standing.age_s(self.mono())) if self.as_of_ms else 0

    # -- what the feed tells --------------------------------------------------------------------------------------

    def apply_farm(self, picture: FarmPicture, changes: Changes) -> list[tuple[str, Order]]:
        """Take what is new; returns ids and orders that have come true."""
        self.farm, self.as_of_ms = picture.farm, picture.as_of_ms
        self.standing = self.standing.answered(self.mono(), str(picture.farm.get("node_name") or ""))
        self._say_what_nodes_do(picture, picture.nodes if changes.reset else changes.nodes)
        if changes.reset or self._feed is not picture:
            self._feed = picture
            for table in (self.jobs, self.active):
                table.reset(picture.jobs)
            self.nodes.reset(picture.nodes)
            return self.pending.review(self.pending.keys(), self.row_anywhere)
        for table in (self.jobs, self.active):
            table.remove(changes.removed)
            table.change(changes.jobs)
        self.nodes.remove(changes.nodes_removed)
        self.nodes.change(changes.nodes)
        return self.pending.review([*changes.jobs, *changes.removed, *changes.nodes], self.row_anywhere)

    def _say_what_nodes_do(self, picture: FarmPicture, nodes: Iterable[str]) -> None:
        """Write names of jobs instead of their ids."""
        for node in nodes:
            row = picture.nodes.get(node)
            if row is None:
                continue
            tasks = row.get("tasks") or []
            names = [str((picture.jobs.get(task.get("job")) or task).get("name", task.get("job"))) for task in tasks]
            counts = {name: names.count(name) for name in names}
            doing = [name if count == 1 else f"{count}x {name}" for name, count in counts.items()]
            row["doing"] = doing[:_SHOWN_DOING] + (["…"] if len(doing) > _SHOWN_DOING else [])

    def apply_job(self, picture: JobPicture, *, anew: bool) -> None:
        """Take what is new of the opened job."""
        opened = self.open
        if opened is None or opened.picture.id != picture.id:
            return
        if anew or opened.picture is not picture:
            opened.picture = opened.rows.picture = picture
            opened.rows.begin_anew()
            opened.table.reset(opened.rows)
        else:
            opened.table.change(opened.rows.changed())

    def apply_events(self, rows: Iterable[Row], *, anew: bool) -> None:
        """Take lines of the event log.

        Args:
            rows: As `event.list` gives them, oldest first.
            anew: Another node's log: forget the lines of before.
        """
        if anew:
            self.event_rows.clear()
            self.events.reset(self.event_rows)
        told = {int(row["id"]): row for row in rows}
        self.event_rows.update(told)
        over = sorted(self.event_rows)[: max(0, len(self.event_rows) - KEPT_EVENTS)]
        for number in over:
            del self.event_rows[number]
        at_top = self.events.cursor_line == 0 and not self.events.is_frozen
        self.events.remove(over)
        self.events.change(told)
        if at_top:
            self.events.go(0)

    def tick(self) -> list[str]:
        """Time has passed; returns ids whose order was not confirmed in time."""
        return self.pending.expire(self.mono())

    def age(self) -> bool:
        """Time has passed: let rows come and go in tables that are filtered by it; tells whether there are such."""
        now = self.mono()
        if now - self._aged_at < AGING_S:
            return False
        self._aged_at = now
        aged = [table.age() for table in (self.jobs, self.nodes, self.events)]
        return any(aged)

    # -- the opened job -------------------------------------------------------------------------------------------

    def open_job(self, picture: JobPicture) -> OpenJob:
        """Open a job: its picture is empty until the feed tells of it."""
        rows = TaskRows(picture)
        self.open = OpenJob(picture, rows, TableModel(TASK_COLUMNS, Sort("frames"), self.moment, rows))
        return self.open

    def close_job(self) -> None:
        """Nothing is opened any more."""
        self.open = None

    def job_row(self, job: str) -> Row | None:
        """Return what is known of a job: its page if it is open, else its line."""
        if self.open is not None and self.open.picture.id == job and self.open.is_known:
            return self.open.picture.job
        return self.jobs.rows.get(job)

    def row_anywhere(self, key: str) -> Row | None:
        """Return the row of a job or a machine."""
        return self.jobs.rows.get(key) or self.nodes.rows.get(key)

    # -- orders ---------------------------------------------------------------------------------------------------

    def subjects(self, order: Order, keys: Iterable[str]) -> tuple[list[str], str]:
        """Choose for which rows an order makes sense; returns them, and why it does not for the others."""
        row_of = self.job_row if order.subject is Subject.JOB else self.nodes.rows.get
        sensible, refusals = [], []
        for key in keys:
            row = row_of(key)
            why = (
                "it is gone" if row is None else "an order is on its way" if key in self.pending else order.refuses(row)
            )
            if why:
                refusals.append(why)
            else:
                sensible.append(key)
        return sensible, refusals[0] if refusals else ""

    def rows_of(self, order: Order, keys: Iterable[str]) -> list[Row]:
        """Return the rows that an order is about."""
        row_of = self.job_row if order.subject is Subject.JOB else self.nodes.rows.get
        return [row for row in map(row_of, keys) if row is not None]

    def toggled(self, keys: Iterable[str]) -> Order:
        """Choose between pause and resume: pause, unless all are paused."""
        states = [(self.job_row(key) or {}).get("state") for key in keys]
        return ORDERS["resume" if states and all(state == "paused" for state in states) else "pause"]

    def hold_toggled(self, keys: Iterable[str]) -> Order:
        """Choose between hold and release: hold, unless all are held."""
        states = [(self.nodes.rows.get(key) or {}).get("state") for key in keys]
        held = states and all(state in ("held", "draining") for state in states)
        return ORDERS["release" if held else "hold"]

    def failed_jobs(self) -> list[str]:
        """Return the jobs with failed frames."""
        return [key for key, row in self.jobs.rows.items() if row.get("failed")]

    def unmark(self, keys: list[str]) -> None:
        """Take marks away: what they stood for is done."""
        for table in (self.jobs, self.active, self.nodes):
            table.unmark(keys)

    def find_job(self, word: str) -> list[str]:
        """Return the jobs that a word means: an id or a name, or the begin of one."""
        if word in self.jobs.rows:
            return [word]
        wanted = word.casefold()
        names = {key: str(row.get("name", "")).casefold() for key, row in self.jobs.rows.items()}
        named = [key for key, name in names.items() if name == wanted]
        return named or [key for key, name in names.items() if key.startswith(word) or name.startswith(wanted)]

    def find_node(self, word: str) -> list[str]:
        """Return the machines that a word means: a name, an id, or the begin of one."""
        wanted = word.casefold()
        rows = self.nodes.rows.items()
        exact = [key for key, row in rows if wanted in (key, str(row.get("name", "")).casefold())]
        return exact or [
            key for key, row in rows if key.startswith(word) or str(row.get("name", "")).casefold().startswith(wanted)
        ]


def frames_text(frames: Iterable[int]) -> str:
    """Write frames as a range, as the command line reads it."""
    return str(FrameSet.of(frames))


def path_of(row: Any) -> str:
    """Return what `copy path` copies: where results go, else the scene, else the address."""
    facts: Row = row or {}
    return str(facts.get("output_dir") or facts.get("scene") or facts.get("address") or "")
