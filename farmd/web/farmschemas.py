"""What goes in and comes out in the farm's own words, under /api/v1; see `farmd.web.schemas`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from farmd.web.endpoints import Answer, Body, Query
from farmd.web.schemas import Frames, Md5, PageQuery, Why
from protocol.states import JobState  # noqa: TC001  # pydantic reads annotations


class JobsQuery(PageQuery):
    """Which jobs."""

    state: JobState | None = None
    owner: Annotated[str | None, Field(max_length=200)] = None
    name: Annotated[str | None, Field(max_length=200, description="a part of the name")] = None
    archived: Literal["without", "only", "with"] = "without"


class JobBody(BaseModel):
    """A job in the farm's own words, as in a job file; sizes and durations may be written as 8G and 2h."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    renderer: Annotated[str, Field(min_length=1, max_length=64)]
    frames: str = Field("", description="such as 1-100; empty = the single frame 1")
    scene_hash: Md5 | None = Field(None, description="MD5 of the scene whose list was sent")


class WatchQuery(Query):
    """What is known of a job already."""

    since: Annotated[int | None, Field(ge=0, lt=2**62, description="its version: answer when it is another")] = None
    wait_s: Annotated[float, Field(ge=0, le=30, description="so long to wait for that")] = 20.0


class JobRow(Answer):
    """A job."""

    schema_: str = Field(alias="schema")
    id: str
    name: str
    owner: str
    state: JobState
    progress: float
    total: int
    done: int
    failed: int
    priority: int
    version: int = Field(description="another one after each change: give it as since")


class JobsDocument(Answer):
    """Jobs."""

    schema_: str = Field(alias="schema")
    jobs: list[JobRow]
    total: int


class Submitted(Answer):
    """A new job."""

    schema_: str = Field(alias="schema")
    job: str
    stored: str


class TasksDocument(Answer):
    """Tasks of a job."""

    schema_: str = Field(alias="schema")
    job: str
    tasks: list[dict[str, Any]]
    total: int


class FrameQuery(Query):
    """Which frame; none = the whole job."""

    frame: Annotated[int | None, Field(ge=-(2**31), lt=2**31)] = None


class FramesQuery(Query):
    """Which frames; none = all."""

    frames: Frames | None = None


class WhyDocument(Answer):
    """Why a job or a frame does not run."""

    schema_: str = Field(alias="schema")


class ResultsDocument(Answer):
    """Files that a job has left, and which machines have them."""

    schema_: str = Field(alias="schema")
    job: str
    outputs: list[dict[str, Any]]


class OrderBody(Body):
    """An order, with its reason."""

    why: Why = None


class PauseBody(OrderBody):
    """An order to pause."""

    now: bool | None = Field(None, description="stop what renders, too")


class RetryBody(OrderBody):
    """An order to try again."""

    frames: Frames | None = Field(None, description="none = all that failed")


class PriorityBody(OrderBody):
    """An order of another priority."""

    value: Annotated[int, Field(ge=0, le=100)]


class JobsFilter(Body):
    """Which jobs an order is for: those of which all of this is true."""

    state: JobState | None = None
    owner: Annotated[str | None, Field(max_length=200)] = None
    name: Annotated[str | None, Field(max_length=200, description="a part of the name")] = None
    has_failed: bool | None = Field(None, description="true: some of its frames have failed")


class OrdersBody(OrderBody):
    """One order for many jobs: for those that are named, or those that a filter finds."""

    action: Literal["pause", "resume", "cancel", "approve", "reject", "retry", "priority", "archive", "unarchive"]
    jobs: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=1000)] | None = None
    filter: JobsFilter | None = None
    dry_run: bool = Field(False, description="look only: which jobs are meant")
    now: bool | None = Field(None, description="with pause: stop what renders, too")
    frames: Frames | None = Field(None, description="with retry; none = all that failed")
    value: Annotated[int | None, Field(ge=0, le=100, description="with priority")] = None


class OrdersDocument(Answer):
    """What became of an order, job by job: an error of its own where one was refused."""

    schema_: str = Field(alias="schema")
    results: list[dict[str, Any]]


class EditBody(OrderBody):
    """Fields to change, by their names in a job; null takes a change back."""

    changes: dict[str, int | str | None] = Field(min_length=1, max_length=64)
    dry_run: bool = False


class Edited(Answer):
    """What was changed."""

    schema_: str = Field(alias="schema")
    job: str
    changed: list[dict[str, Any]]


class HoldBody(OrderBody):
    """An order to hold a machine, for good or until a time."""

    until_ms: Annotated[int | None, Field(ge=0, lt=2**53, description="milliseconds since 1970")] = None
    now: bool | None = Field(None, description="stop what renders, too")


class Ordered(Answer):
    """What became of an order."""

    changed: bool


class FarmDocument(Answer):
    """The farm as this node sees it."""

    schema_: str = Field(alias="schema")
    farm: str
    node: str
    leader: str | None
    nodes: list[dict[str, Any]]
    jobs: dict[str, int]


class FeedQuery(Query):
    """How far a viewer is: what the last answer said."""

    life: Annotated[str, Field(max_length=100)] = ""
    after: Annotated[str | None, Field(pattern=r"^[0-9]{1,18}(,[0-9]{1,18}){0,7}$")] = None
    wait_s: Annotated[float, Field(ge=0, le=30, description="so long to wait for something new")] = 20.0


class FeedDocument(Answer):
    """What has changed; forget everything first if reset is set, and ask again at once if more is."""

    schema_: str = Field(alias="schema")
    life: str
    after: str
    reset: bool
    more: bool
    farm: dict[str, Any]
    jobs: list[dict[str, Any]]
    removed: list[str]
    nodes: list[dict[str, Any]]


class NodesDocument(Answer):
    """Machines."""

    schema_: str = Field(alias="schema")
    nodes: list[dict[str, Any]]


class NodeDocument(Answer):
    """A machine."""

    id: str
    name: str
    state: str


Text = Annotated[str | None, Field(min_length=1, max_length=200)]
WaitSeconds = Annotated[float, Field(ge=0, le=30, description="so long to wait for something new")]


class EventsQuery(Query):
    """Which events."""

    after: Annotated[int | None, Field(ge=0, lt=2**62, description="id of the last one that is known")] = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    wait_s: WaitSeconds = 0.0
    job: Text = None
    node: Text = None
    actor: Text = None
    what: Text = None
    since_ms: Annotated[int | None, Field(ge=0, lt=2**62)] = None
    until_ms: Annotated[int | None, Field(ge=0, lt=2**62)] = None


class EventsDocument(Answer):
    """Who did what, and the id to go on after."""

    schema_: str = Field(alias="schema")
    last: int
    events: list[dict[str, Any]]


class WhichLog(Query):
    """Whose log; without any, the job's most telling one: what runs or has failed, the newest first."""

    frame: Annotated[int | None, Field(ge=-(2**31), lt=2**31)] = None
    task: Annotated[int | None, Field(ge=0, lt=2**31)] = None
    attempt: Annotated[str | None, Field(min_length=1, max_length=200)] = None


class LogQuery(WhichLog):
    """Which lines."""

    lines: Annotated[int, Field(ge=1, le=10_000)] = 1000
    offset: Annotated[int | None, Field(ge=0, le=1 << 40, description="from there on; none = the last lines")] = None
    before: Annotated[int | None, Field(ge=0, le=1 << 40, description="the last lines before this offset")] = None
    size: Annotated[int | None, Field(ge=0, le=1 << 40, description="with wait_s: size of the log as known")] = None
    wait_s: Annotated[float | None, Field(ge=0, le=30, description="with offset: wait for the log to grow")] = None
    numbers: bool = Field(False, description="count the lines")


class FindQuery(WhichLog):
    """What to look for."""

    pattern: Annotated[str | None, Field(min_length=1, max_length=1000)] = None
    errors: bool = Field(False, description="instead of a pattern: what renderers print as an error")
    regex: bool = False
    start: Annotated[int, Field(ge=-1, le=1 << 40, description="offset; -1 = the end")] = 0
    backwards: bool = False
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    context: Annotated[int, Field(ge=0, le=20)] = 0


class RawLogQuery(WhichLog):
    """Which bytes."""

    offset: Annotated[int, Field(ge=-(1 << 40), le=1 << 40, description="negative = from the end")] = 0
    limit: Annotated[int, Field(ge=1, le=262_144)] = 262_144


class LogsQuery(Query):
    """Which logs."""

    frame: Annotated[int | None, Field(ge=-(2**31), lt=2**31)] = None
    task: Annotated[int | None, Field(ge=0, lt=2**31)] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 200


class LogsDocument(Answer):
    """Logs of a job."""

    schema_: str = Field(alias="schema")
    job: str
    attempts: list[dict[str, Any]]


class LogDocument(Answer):
    """Lines of a log."""

    schema_: str = Field(alias="schema")
    job: str
    task: int
    attempt: str
    node_name: str
    ended: bool
    found: bool
    lines: list[dict[str, Any]]


class Me(Answer):
    """Whose token it is."""

    user: str
    role: str


class Health(Answer):
    """Whether this process answers."""

    status: str
