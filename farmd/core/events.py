"""Events: what has happened outside. Past tense, immutable; the only way the core's state changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from farmd.core.effects import Note
    from protocol.bodies import OutputFact
    from protocol.ids import AttemptRef, BlobAddress, JobId, NodeId
    from protocol.logquery import LogExcerpt
    from protocol.messages import Message


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message arrived; `sender` is the node whose key CURVE proved."""

    sender: NodeId
    message: Message


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection to this node came up: a hint, never a truth."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection to this node broke: a hint to probe it now."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class PeerHeardOf:
    """Discovery or a seed names an address of a possible member.

    Attributes:
        address: HOST:PORT.
        public_key: Raw 32 bytes, or None if it is not known.
        vouched: The farm's own key vouches for it (a token or an admission names it): trusted before its row is here.
    """

    address: str
    public_key: bytes | None
    vouched: bool = False


@dataclass(frozen=True, slots=True)
class JoinAsked:
    """An unknown key presented a token whose signature and expiry the adapter has checked.

    Attributes:
        door: Where to answer.
        public_key: Proved by CURVE.
        name: For people.
        address: Where the joiner listens.
        role: That the token grants.
        fault: Empty if the token is good, otherwise why it is refused.
        token: Digits that name the token.
        uses: How many machines it may admit; 0 = as many as like.
    """

    door: int
    public_key: bytes
    name: str
    address: str
    role: str
    fault: str
    token: str = ""
    uses: int = 0


@dataclass(frozen=True, slots=True)
class ClientAsked:
    """A client (farmctl, dashboard, script) asks something.

    Attributes:
        client: Names the request; the `Reply` carries it.
        op: Operation ("job.submit", "farm.status", …).
        args: Plain data, already size-limited, not yet checked.
        actor: Who asks ("anna@ws07").
        same_user: The caller runs as the daemon's own user, so the daemon may write files for it.
        user: The person whose role counts; empty: the daemon's own user, root, or another node, who may do everything.
        proof: How that person was recognised: "local" by the kernel of this machine, "key", or "token".
    """

    client: int
    op: str
    args: dict[str, Any]
    actor: str
    same_user: bool = False
    user: str = ""
    proof: str = ""


@dataclass(frozen=True, slots=True)
class ClientLeft:
    """The client of this request no longer waits."""

    client: int


@dataclass(frozen=True, slots=True)
class AttemptProgressed:
    """A running attempt reports progress 0..1 and resident memory."""

    ref: AttemptRef
    progress: float
    ram_bytes: int = 0


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt's process and everything after it (output checks, ingest) is over.

    Attributes:
        ref: Which attempt.
        cause: `protocol.states.FailureClass` number, 0 = done.
        exit_code: Of the process; negative = signal.
        peak_ram_bytes: Largest resident set seen.
        outputs: Verified and in the blob store, in name order.
        text: What went wrong, one line.
        last_lines: Tail of the log when it failed.
    """

    ref: AttemptRef
    cause: int
    exit_code: int = 0
    peak_ram_bytes: int = 0
    outputs: tuple[OutputFact, ...] = ()
    text: str = ""
    last_lines: str = ""


@dataclass(frozen=True, slots=True)
class BlobsFound:
    """Answer to `FindBlobs`: for each blob that is not complete here, the indexes of pieces that are."""

    ask: int
    missing: tuple[tuple[BlobAddress, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class ManifestRead:
    """Answer to `ReadManifest`: blobs of all files, or None if it cannot be read; `lost` if it is not here at all."""

    blob: BlobAddress
    files: tuple[BlobAddress, ...] | None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class PieceWritten:
    """A piece was stored (`ok`), or did not match its hash and was dropped (`corrupt`), or the disk refused it."""

    blob: BlobAddress
    index: int
    source: NodeId
    ok: bool
    corrupt: bool = False


@dataclass(frozen=True, slots=True)
class PackWritten:
    """Small blobs of a pack were dealt with, each on its own.

    Attributes:
        source: Who sent them.
        ok: Complete, verified by their MD5, and held from now on (also those that were here already).
        corrupt: Not what they are called; dropped.
        failed: The disk refused them.
    """

    source: NodeId
    ok: tuple[BlobAddress, ...] = ()
    corrupt: tuple[BlobAddress, ...] = ()
    failed: tuple[BlobAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class BlobsSettled:
    """Every blob that was held when `SettleBlobs` was carried out survives a power cut."""

    ref: AttemptRef


@dataclass(frozen=True, slots=True)
class BlobFinished:
    """All pieces of a blob are here: MD5 agrees (`ok`), or not (`corrupt`), or the disk refused to tell."""

    blob: BlobAddress
    ok: bool
    corrupt: bool = False


@dataclass(frozen=True, slots=True)
class BlobVerified:
    """Answer to `VerifyBlob`: the blob is here and is what it is called, or it is not here (any more)."""

    blob: BlobAddress
    ok: bool


@dataclass(frozen=True, slots=True)
class BlobLost:
    """The store noticed that something is gone: a blob that was set aside or deleted, or many (`blob` is None)."""

    blob: BlobAddress | None


class HeldBlob(NamedTuple):
    """A complete blob of the store, and when it was used last; in the future where a client was promised it."""

    blob: BlobAddress
    used_ms: int


@dataclass(frozen=True, slots=True)
class BlobsListed:
    """Answer to `ListBlobs`: a page of the store, the oldest use first, and whether there is `more`."""

    ask: int
    blobs: tuple[HeldBlob, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class BlobsEvicted:
    """Answer to `EvictBlobs`: what has `gone`; the rest was used meanwhile, or cannot be deleted."""

    ask: int
    gone: tuple[BlobAddress, ...]


@dataclass(frozen=True, slots=True)
class CheckoutsFound:
    """Answer to `Tidy`: jobs whose files are laid out here."""

    jobs: tuple[JobId, ...]


@dataclass(frozen=True, slots=True)
class Delivered:
    """Outputs stand in the output folder, or `error` says why not.

    Attributes:
        ref: Whose outputs.
        error: Empty if it went well.
        lasting: The error is one that only a person can end.
        remark: What the owner should know although it went well.
    """

    ref: AttemptRef
    error: str = ""
    lasting: bool = False
    remark: str = ""


@dataclass(frozen=True, slots=True)
class LogRead:
    """Answer to `ReadLog`."""

    ask: int
    found: bool
    offset: int
    size: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LogFound:
    """Answer to `SeekLog`."""

    ask: int
    excerpt: LogExcerpt


@dataclass(frozen=True, slots=True)
class NotesRead:
    """Answer to `ReadNotes`: lines of this node's event log, oldest first."""

    ask: int
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class BlobRead:
    """Answer to `ReadBlob`: its bytes, or None if it is not here."""

    ask: int
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Notified:
    """Answer to `Notify`: the hook took it, or why not."""

    ask: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """The machine's state, about once a second.

    Attributes:
        free_ram_bytes: Memory that is available.
        free_disk_bytes: Under the data dir.
        load: One-minute load average.
        store_bytes: Of complete blobs.
        disk_bytes: Of the whole file system under the data dir; 0 = not known.
    """

    free_ram_bytes: int
    free_disk_bytes: int
    load: float
    store_bytes: int = 0
    disk_bytes: int = 0


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """A commit failed and is being tried again; nothing of it has been announced. `error` says why."""

    error: str


@dataclass(frozen=True, slots=True)
class StoreHealed:
    """The commit that had failed is now durable."""


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The deadline that the core asked for has passed; `late_s` says by how much (lag of the event loop)."""

    late_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Stopping:
    """The daemon was asked to stop: say goodbye."""


Event = (
    MessageReceived
    | Connected
    | Disconnected
    | PeerHeardOf
    | JoinAsked
    | ClientAsked
    | ClientLeft
    | AttemptProgressed
    | AttemptEnded
    | BlobsFound
    | ManifestRead
    | PieceWritten
    | PackWritten
    | BlobsSettled
    | BlobFinished
    | BlobVerified
    | BlobLost
    | BlobsListed
    | BlobsEvicted
    | CheckoutsFound
    | Delivered
    | LogRead
    | LogFound
    | NotesRead
    | BlobRead
    | Notified
    | Measured
    | StoreFailed
    | StoreHealed
    | TimerFired
    | Stopping
)
