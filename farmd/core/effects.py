"""Effects: what the core asks of the outside. Imperative, immutable, carried out by the driver in order.

The one rule of the driver: **a Save completes before any later effect of the same or a later turn is carried out**,
except a `Send` marked volatile. Everything else in the farm's promises hangs on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protocol.existing import ExistingFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farmd.core.events import HeldBlob
    from protocol.bodies import HookBody, OutputFact
    from protocol.ids import AttemptRef, BlobAddress, JobId, NodeId
    from protocol.jobspec import JobSpec
    from protocol.logquery import LogQuery
    from protocol.messages import Message
    from protocol.pathrules import PathRule
    from protocol.records import Rec


@dataclass(frozen=True, slots=True)
class Save:
    """Commit in one transaction: rows (each replaces its older version), vector entries, local facts.

    Attributes:
        rows: New versions of replicated rows.
        vector: Changed entries of the version vector.
        dropped: (kind, pk) of rows to remove (rows of deleted jobs).
        meta: Local facts that are not replicated: term, vote, accepted leader, epoch, origin.
    """

    rows: tuple[Rec, ...] = ()
    vector: tuple[tuple[int, int], ...] = ()
    dropped: tuple[tuple[int, bytes], ...] = ()
    meta: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to a node; may be lost. Volatile: says nothing of durable state, so it need not wait."""

    to: NodeId
    message: Message
    volatile: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """Keep a connection to this node."""

    node: NodeId
    address: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Unlink:
    """Drop the connection to this node."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class Trust:
    """Accept exactly these CURVE public keys from now on (raw 32 bytes) and close connections of all others."""

    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TrustPeople:
    """Take client requests of exactly these people from now on, as (public key, name); they may say nothing else."""

    people: tuple[tuple[bytes, str], ...]


@dataclass(frozen=True, slots=True)
class AnswerJoin:
    """Answer a join request: admitted or refused, with members as (address, public key)."""

    door: int
    admitted: bool
    reason: str
    members: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer a client's request.

    Attributes:
        client: Names the request.
        data: Plain msgpack-able data.
        error: (exit code, what, why, hint) instead of data.
        promises: It says that something is stored, so it waits for the commit; all other answers need not.
    """

    client: int
    data: Any = None
    error: tuple[int, str, str, str] | None = None
    promises: bool = False


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Check out the job's files and run the renderer for these frames.

    Attributes:
        ref: Whole name of the attempt: also names its folder and log.
        spec: The job.
        frames: Frames of the task, ascending.
        cores: Processors that it may use.
        ram_bytes: Memory that it may use; 0 = not said.
        gpus: UUIDs of the GPU slots that it may use.
        path_rules: Of the farm, for all platforms, as they stood when it was granted; none for a job without files.
    """

    ref: AttemptRef
    spec: JobSpec
    frames: tuple[int, ...]
    cores: int
    ram_bytes: int
    gpus: tuple[str, ...]
    path_rules: tuple[PathRule, ...] = ()


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """Terminate the attempt's process group, kill after `grace_s`; its end comes as `AttemptEnded`."""

    ref: AttemptRef
    cause: int
    text: str
    grace_s: float = 10.0


@dataclass(frozen=True, slots=True)
class FindBlobs:
    """Which of these does the store lack, and which pieces of them are here? Answered by `BlobsFound`."""

    ask: int
    blobs: tuple[BlobAddress, ...]


@dataclass(frozen=True, slots=True)
class ReadManifest:
    """List the blobs that a manifest names. Answered by `ManifestRead`; `quiet`: that it is not here is no news."""

    blob: BlobAddress
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class ReadPiece:
    """Read one piece and send it to a node as `PieceIs` (or `PieceRefused`) on the bulk connection."""

    to: NodeId
    blob: BlobAddress
    index: int


@dataclass(frozen=True, slots=True)
class WritePiece:
    """Verify and store one piece; answered by `PieceWritten`, and by `BlobFinished` after the last one."""

    blob: BlobAddress
    index: int
    xxh64: int
    data: bytes
    source: NodeId


@dataclass(frozen=True, slots=True)
class ReadPack:
    """Read small blobs and send them to a node as one `PackIs` on the bulk connection, without those not held here.

    Attributes:
        to: Whom.
        blobs: Which.
        most_bytes: Told along: how large a pack it may ask for.
    """

    to: NodeId
    blobs: tuple[BlobAddress, ...]
    most_bytes: int


@dataclass(frozen=True, slots=True)
class WritePack:
    """Verify small blobs and store each that is what it is called; answered by `PackWritten`, and nothing else.

    Attributes:
        blobs: Small ones, in order.
        data: Their bytes, one after the other; the length is the sum of the sizes.
        source: Who sent them.
    """

    blobs: tuple[BlobAddress, ...]
    data: bytes
    source: NodeId


@dataclass(frozen=True, slots=True)
class SettleBlobs:
    """Sync all blobs that are held, before anything is said of them that a power cut must not make a lie.

    Answered by `BlobsSettled` as soon as that is so, however often the disk refuses.
    """

    ref: AttemptRef


@dataclass(frozen=True, slots=True)
class VerifyBlob:
    """Hash a blob again and set it aside if it is not what it is called. Answered by `BlobVerified`."""

    blob: BlobAddress


@dataclass(frozen=True, slots=True)
class ListBlobs:
    """Name complete blobs by their last use, the oldest first. Answered by `BlobsListed`.

    Attributes:
        ask: Names the round.
        start: Blobs to pass over; 0 looks at the whole store anew, more goes on in what was seen then.
        count: Most blobs in the answer.
    """

    ask: int
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class EvictBlobs:
    """Delete these, each only if nobody has used it since it was listed. Answered by `BlobsEvicted`."""

    ask: int
    blobs: tuple[HeldBlob, ...]


@dataclass(frozen=True, slots=True)
class Tidy:
    """Drop parts of blobs that nobody has added to for so long; answered by `CheckoutsFound`."""

    parts_idle_s: float


@dataclass(frozen=True, slots=True)
class RemoveCheckouts:
    """Delete the working trees of these jobs; a render of one of them that begins later waits for that."""

    jobs: tuple[JobId, ...]


@dataclass(frozen=True, slots=True)
class Deliver:
    """Write outputs from the store into a folder on this machine, verified. Answered by `Delivered`.

    Attributes:
        ref: Whose outputs they are.
        folder: Absolute.
        outputs: What to write.
        existing: What to do with files of others that have these names.
        former: What the job may have written there before, and may replace.
    """

    ref: AttemptRef
    folder: str
    outputs: tuple[OutputFact, ...]
    existing: ExistingFile = ExistingFile.RENAME
    former: tuple[BlobAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadLog:
    """Read a part of an attempt's log. Answered by `LogRead`."""

    ask: int
    ref: AttemptRef
    offset: int
    limit: int


@dataclass(frozen=True, slots=True)
class SeekLog:
    """Look into an attempt's log. Answered by `LogFound`."""

    ask: int
    ref: AttemptRef
    query: LogQuery


@dataclass(frozen=True, slots=True)
class LeaveLog:
    """Nobody waits for this answer any more: end the search, if it is one."""

    ask: int


@dataclass(frozen=True, slots=True)
class ReadNotes:
    """Read the last `limit` events since then that all nodes tell. Answered by `NotesRead`."""

    ask: int
    since_ms: int
    limit: int


@dataclass(frozen=True, slots=True)
class ReadBlob:
    """Read a small blob as a whole, for a client. Answered by `BlobRead`."""

    ask: int
    blob: BlobAddress


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell a hook something, once. Answered by `Notified`, sooner or later in any case.

    Volatile: it says nothing of durable state, so it need not wait: a full disk can be told of.
    """

    ask: int
    hook: HookBody
    notice: Mapping[str, Any]
    volatile: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the event log: kept on this node, in its database, never replicated.

    Attributes:
        at_ms: When it happened.
        what: One word for it.
        text: For people.
        node: Which machine it is about.
        job: Which job.
        actor: Who wanted it; empty = nobody, the farm did it by itself.
        cause: Number of the event that led to it here.
        task: Which task of the job; -1 = none.
        why: The reason.
        key: Names the event on all nodes; the store keeps one line of a key. Empty = only this node tells it.
        noted_ms: When this node learned of it; 0 = when it happened.
    """

    at_ms: int
    what: str
    text: str
    node: str = ""
    job: str = ""
    actor: str = ""
    cause: int = 0
    task: int = -1
    why: str = ""
    key: str = ""
    noted_ms: int = 0


Effect = (
    Save
    | Send
    | Link
    | Unlink
    | Trust
    | TrustPeople
    | AnswerJoin
    | Reply
    | StartAttempt
    | StopAttempt
    | FindBlobs
    | ReadManifest
    | ReadPiece
    | WritePiece
    | ReadPack
    | WritePack
    | SettleBlobs
    | VerifyBlob
    | ListBlobs
    | EvictBlobs
    | Tidy
    | RemoveCheckouts
    | Deliver
    | ReadLog
    | SeekLog
    | LeaveLog
    | ReadNotes
    | ReadBlob
    | Notify
    | Note
)
