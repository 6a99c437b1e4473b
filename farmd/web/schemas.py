"""What goes in and comes out, as pydantic models: they check requests and are the schemas of the OpenAPI document.

Requests are strict. Answers are what the daemon says, described as far as clients should rely on it; they are not checked
again on their way out, which tests do.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from farmd.web.endpoints import Answer, Body, Query
from farmd.web.settings import MAX_FILES
from protocol.states import JobState, TaskState  # noqa: TC001  # pydantic reads annotations

Md5 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{32}$", description="MD5, hexadecimal")]
XXHash = Annotated[str, Field(pattern=r"^[0-9]{1,20}$", description="xxHash64 with seed 0, unsigned decimal")]
LocalPath = Annotated[str, Field(min_length=1, max_length=4096, description="absolute path on the artist's machine")]
Frames = Annotated[str, Field(min_length=1, max_length=4096, description="frames, such as 1-100 or 1,5-7")]
Offset = Annotated[int, Field(ge=0, le=1 << 40)]
Why = Annotated[str | None, Field(max_length=400, description="the reason, kept with the order")]


class Failure(BaseModel):
    """What went wrong, why, and what to try."""

    model_config = ConfigDict(extra="allow")

    code: str = Field(description="a word that scripts can compare")
    message: str
    why: str
    hint: str
    exit_code: int = Field(description="what farmctl exits with for the same")


# -- the words of the render service ----------------------------------------------------------------------------------


class AnalyseBody(Body):
    """Which scene to look at."""

    scene_file: LocalPath
    scene_hash: Md5 | None = Field(None, description="of a scene that you have sent; else the newest of this path")


class AssetDocument(Answer):
    """asset.json: what a scene says of its render, which files it needs, which are missing, and proposed repairs."""

    schema_: str = Field(alias="schema")
    scene_file: str
    scene_file_size: int
    asset_num: int
    asset_size: int
    asset: list[str]
    missing: dict[str, str]


class FileRow(BaseModel):
    """One file of a list; what else a program writes into a row is left alone."""

    model_config = ConfigDict(extra="ignore")

    local: LocalPath
    hash: Md5
    xxhash: XXHash


class UploadBody(Body):
    """The files of a scene, and which of them is the scene."""

    files: list[FileRow] = Field(
        min_length=1, max_length=MAX_FILES, description="rows of local, hash and xxhash, as in upload.json"
    )
    scene_hash: Md5


class UploadRow(Answer):
    """One row of upload.json."""

    local: str
    server: str
    hash: str
    xxhash: str


class LackingRow(Answer):
    """A file that is still to be sent."""

    local: str
    server: str
    hash: str
    have_bytes: int


class UploadDocument(Answer):
    """upload.json, and what is still to be sent."""

    schema_: str = Field(alias="schema")
    scene: list[UploadRow]
    asset: list[UploadRow]
    lacking: list[LackingRow]


class PutQuery(Query):
    """What is known of a file besides its MD5."""

    xxhash: XXHash | None = None


class FileState(Answer):
    """How much of a file is here."""

    hash: str
    have_bytes: int
    size: int | None
    complete: bool
    xxhash: str | None


class TaskBody(BaseModel):
    """A task.json, its parts whole or their fields flat; fields that are not named here are kept and given back."""

    model_config = ConfigDict(extra="allow")

    scene_hash: Md5 | None = Field(None, description="MD5 of the scene whose list was sent")
    allow_missing: bool = Field(False, description="of a scene of this node: go on although it lacks files")
    task_info: dict[str, Any] | None = Field(None, description="identity, split, gate, limits")
    software_config: dict[str, Any] | None = None
    scene_info: dict[str, Any] | None = None
    scene_info_render: dict[str, Any] | None = Field(None, description="what is rendered, frames among it")
    additional_info: dict[str, Any] | None = None


class TaskRemark(Answer):
    """What of a task is otherwise here."""

    code: str
    text: str


class TaskCreated(Answer):
    """The new task."""

    task_id: str
    status: str
    job: str
    remarks: list[TaskRemark]


class TaskDocument(Answer):
    """task.json as it was sent."""

    task_info: dict[str, Any]


class TaskStatus(Answer):
    """How far a task is."""

    task_id: str
    job: str
    status: JobState
    progress: float = Field(ge=0, le=100, description="percent")
    total_frames: int
    completed_frames: list[int] | None = Field(description="null if they are too many: see completed_ranges")
    failed_frames: list[int] | None
    completed_ranges: str
    failed_ranges: str


class PageQuery(Query):
    """A page of a list."""

    offset: Offset = 0
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000


class TasksQuery(PageQuery):
    """Which tasks."""

    state: TaskState | None = None


class OutputRow(Answer):
    """A file that a frame has left."""

    name: str
    size: int
    hash: str
    xxhash: str


class FrameRow(Answer):
    """One frame."""

    frame: int
    frames: str = Field(description="all frames of its task")
    status: TaskState
    test: bool
    task: int
    attempts: int
    outputs: list[OutputRow]
    download: str | None


class FramesDocument(Answer):
    """Frames of a task."""

    task_id: str
    job: str
    frames: list[FrameRow]
    total_tasks: int
    next_offset: int | None


class DownloadQuery(Query):
    """Which file."""

    task_id: Annotated[str, Field(min_length=1, max_length=200)]
    frame: Annotated[int, Field(ge=-(2**31), lt=2**31)]
    name: Annotated[str | None, Field(max_length=1024, description="where a frame has several")] = None


# -- the farm's own words ---------------------------------------------------------------------------------------------


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
