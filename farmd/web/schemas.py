"""What goes in and comes out, as pydantic models: they check requests and are the schemas of the OpenAPI document.

Requests are strict. Answers are what the daemon says, described as far as clients should rely on it; they are not checked
again on their way out, which tests do.
"""

from __future__ import annotations

from typing import Annotated, Any

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
