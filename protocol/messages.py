"""Every message that crosses a socket between nodes.

Messages are NamedTuples: msgpack packs them as arrays without a conversion step, and a field added at the end with a
default is understood by the version before (it ignores the surplus) and by the version after (it takes the default).
The sender is never a field: it is the key that CURVE proved. `protocol.codec` turns them into bytes and back.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from protocol.ids import AttemptRef, BlobAddress, JobId, NodeId
from protocol.logquery import LogExcerpt, LogQuery
from protocol.records import Rec

# -- who is there (SWIM) ------------------------------------------------------------------------------------------


class MemberUpdate(NamedTuple):
    """One piece of membership gossip; `state` is a `protocol.states.MemberState` number, `address` is HOST:PORT."""

    node: NodeId
    state: int
    epoch: int
    incarnation: int
    address: str


class Running(NamedTuple):
    """One attempt that a node is running now: progress 0..1, whole seconds since its start."""

    ref: AttemptRef
    generation: int
    progress: float
    seconds: int


class Advert(NamedTuple):
    """What a node says of itself at the moment; kept in memory only, the larger (epoch, counter) replaces.

    Attributes:
        node: The node it speaks of.
        epoch: Of that node's present life.
        counter: Raised with each advert of that life.
        free_ram_bytes: Physical memory that is available.
        free_disk_bytes: Free bytes under the data dir.
        load: One-minute load average.
        running: Attempts in flight.
        store: Bytes of its content store, the quota (0 = none), and what could be dropped (-1 = not known).
    """

    node: NodeId
    epoch: int
    counter: int
    free_ram_bytes: int
    free_disk_bytes: int
    load: float
    running: tuple[Running, ...] = ()
    store: tuple[int, int, int] = (0, 0, -1)


class Ping(NamedTuple):
    """Probe; answered by `PingAck` with the same `seq`."""

    seq: int
    updates: tuple[MemberUpdate, ...] = ()
    adverts: tuple[Advert, ...] = ()


class PingAck(NamedTuple):
    """Answer to a `Ping`; `target` is set when it answers for another node (indirect probe)."""

    seq: int
    target: NodeId | None = None
    updates: tuple[MemberUpdate, ...] = ()
    adverts: tuple[Advert, ...] = ()


class PingReq(NamedTuple):
    """Ask a third node to probe `target`."""

    seq: int
    target: NodeId
    updates: tuple[MemberUpdate, ...] = ()


class PingNack(NamedTuple):
    """The third node got no answer from `target` in time: it is the target, not our own link, that is silent."""

    seq: int
    target: NodeId


# -- replication --------------------------------------------------------------------------------------------------


class Span(NamedTuple):
    """Rows of one stream that cover the interval (after, upto] of its sequence numbers, superseded ones left out."""

    origin: int
    after: int
    upto: int
    rows: tuple[Rec, ...]


class Push(NamedTuple):
    """New spans; applied only where contiguous."""

    spans: tuple[Span, ...]


class PushAck(NamedTuple):
    """What the receiver of a push now has of those streams, durably: pairs (origin, seq)."""

    known: tuple[tuple[int, int], ...]


class PullAsk(NamedTuple):
    """Compare: hash of the asker's version vector and digest of its rows."""

    vector_hash: int
    digest: int


class PullSame(NamedTuple):
    """Vectors are equal; `digest` lets the asker raise an alarm if the rows are not.

    `vector_hash` is that of the question, so that a late answer is not taken for one to a later question.
    """

    digest: int
    vector_hash: int = 0


class VectorIs(NamedTuple):
    """The whole version vector: pairs (origin, seq)."""

    vector: tuple[tuple[int, int], ...]


class DeltaAsk(NamedTuple):
    """Ask for everything above this vector; `ask` names the request."""

    ask: int
    vector: tuple[tuple[int, int], ...]


class DeltaPart(NamedTuple):
    """Part `part` of `parts` of a delta; applied together with `vector` in one transaction once all are here."""

    ask: int
    part: int
    parts: int
    rows: tuple[Rec, ...]
    vector: tuple[tuple[int, int], ...]


class OriginAsk(NamedTuple):
    """How much do you know of my stream? Asked at start, to notice a lost tail."""

    origin: int


class OriginIs(NamedTuple):
    """Largest sequence number known of that stream."""

    origin: int
    seq: int


# -- the leader ---------------------------------------------------------------------------------------------------


class PreVoteAsk(NamedTuple):
    """Would you vote for me in `term`? Changes nothing at the receiver."""

    term: int


class PreVoteReply(NamedTuple):
    """Answer to `PreVoteAsk`; `term` is the one asked about, `current` the voter's own."""

    term: int
    granted: bool
    current: int


class VoteAsk(NamedTuple):
    """Vote for me in `term`."""

    term: int


class VoteReply(NamedTuple):
    """Answer to `VoteAsk`."""

    term: int
    granted: bool
    current: int


class Heartbeat(NamedTuple):
    """The leader of `term` is alive and followed by `followers` live nodes (itself included)."""

    term: int
    seq: int
    followers: int


class HeartbeatAck(NamedTuple):
    """A follower's answer: renews the leader's quorum and carries the follower's advert."""

    term: int
    seq: int
    advert: Advert | None = None


class HeartbeatNack(NamedTuple):
    """The receiver follows a leader of a higher term."""

    term: int
    leader: NodeId | None


class InventoryAsk(NamedTuple):
    """A new leader asks what a node runs, before its first grant."""

    term: int


class Inventory(NamedTuple):
    """Attempts in flight at a node of that epoch, and what it has accepted but not started."""

    term: int
    epoch: int
    attempts: tuple[Running, ...]


class Grant(NamedTuple):
    """Run this attempt.

    Attributes:
        ref: Job, task, attempt id; the attempt id carries term and leader, which fence it.
        epoch: Life of the receiver that the leader has in mind; another life refuses.
        generation: Of the task, when granted.
        spec: Body of the JOB row, for a node that may not have it yet.
    """

    ref: AttemptRef
    epoch: int
    generation: int
    spec: bytes


class Refusal(IntEnum):
    """Why a node refuses a grant."""

    NONE = 0
    OLD_TERM = 1
    OTHER_LIFE = 2
    SEEN_BEFORE = 3
    BUSY = 4
    HELD = 5
    NO_ASSETS = 6
    JOB_STOPPED = 7
    DISK_FULL = 8
    UNREADABLE = 9
    DONE_ALREADY = 10


class GrantReply(NamedTuple):
    """Accepted (`reason` 0), or refused with a `Refusal` number."""

    ref: AttemptRef
    accepted: bool
    reason: int = 0


class Stop(NamedTuple):
    """End a running attempt: `cause` is a `protocol.states.FailureClass` number, `text` says who and why."""

    ref: AttemptRef
    cause: int
    text: str


class Prefetch(NamedTuple):
    """Fetch the assets of this job: grants will follow."""

    job: JobId
    spec: bytes


# -- assets and results -------------------------------------------------------------------------------------------


class HaveAsk(NamedTuple):
    """Which of these blobs do you hold?"""

    blobs: tuple[BlobAddress, ...]


class HaveIs(NamedTuple):
    """Those that are held, completely and verified.

    Attributes:
        blobs: Which of those asked for.
        hashed: Answers a `Doubt`: the whole was read and hashed again since then.
    """

    blobs: tuple[BlobAddress, ...]
    hashed: bool = False


class PieceAsk(NamedTuple):
    """Send piece `number` (0-based, 1 MiB each) of this blob."""

    blob: BlobAddress
    number: int


class PieceIs(NamedTuple):
    """One piece with its xxHash64."""

    blob: BlobAddress
    number: int
    xxh64: int
    data: bytes


class PieceRefused(NamedTuple):
    """Not held here, or over the sender's credit."""

    blob: BlobAddress
    number: int


class PackAsk(NamedTuple):
    """Send these small blobs, all in one message."""

    blobs: tuple[BlobAddress, ...]


class PackIs(NamedTuple):
    """Small blobs that were asked for with one `PackAsk`.

    Attributes:
        blobs: In the order of the question; what is not held here, or is refused, is left out.
        data: Their bytes, one after the other; the addresses tell the lengths.
    """

    blobs: tuple[BlobAddress, ...]
    data: bytes


class PartIs(NamedTuple):
    """Pieces of a blob that is still on its way to the sender: those that are verified and can be had from it.

    Attributes:
        blob: Which.
        pieces: Bitmap as in BEP 3: the highest bit of the first byte is piece 0; zero bytes at the end are left out.
    """

    blob: BlobAddress
    pieces: bytes


class PartHas(NamedTuple):
    """More pieces of a blob that is on its way to the sender, verified since the last message about it."""

    blob: BlobAddress
    numbers: tuple[int, ...]


class Doubt(NamedTuple):
    """Pieces of this blob came from you, and the whole had another MD5: hash your copy; answered by `HaveIs`."""

    blob: BlobAddress


class Keep(NamedTuple):
    """Keep a second copy of an attempt's outputs."""

    ref: AttemptRef
    blobs: tuple[BlobAddress, ...]


class Wanted(NamedTuple):
    """A blob that its holder would drop: a file of this job (`task` -1), or an output of this task's result."""

    blob: BlobAddress
    job: JobId
    task: int


class PledgeAsk(NamedTuple):
    """To the node where these jobs were submitted: do you keep these? Answered by `PledgeIs`."""

    ask: int
    items: tuple[Wanted, ...]


class PledgeIs(NamedTuple):
    """Those of them that the sender has just hashed and does not drop while their jobs need them."""

    ask: int
    blobs: tuple[BlobAddress, ...]


class LogAsk(NamedTuple):
    """Read an attempt's log where it ran; a negative `offset` counts from the end."""

    ask: int
    ref: AttemptRef
    offset: int
    limit: int


class LogIs(NamedTuple):
    """Bytes of a log from `offset`, and its size now; `found` is False when there is none here."""

    ask: int
    found: bool
    offset: int
    size: int
    data: bytes


class Finding(NamedTuple):
    """One thing that a machine alone has or does.

    Attributes:
        what: "running", "records", "results", "assets", or a kind of remark.
        blocks: It should not be switched off while this holds.
        number: How many of them; 0 where that says nothing.
        text: For people.
        hint: What to do; may be empty.
        job: Which job, or empty.
        frames: Which frames of it, or empty; the list may be cut off.
    """

    what: str
    blocks: bool
    number: int
    text: str
    hint: str
    job: str = ""
    frames: str = ""


class SafeAsk(NamedTuple):
    """Can you be switched off?"""

    ask: int


class SafeIs(NamedTuple):
    """What this machine alone has or does."""

    ask: int
    findings: tuple[Finding, ...] = ()


class LogSeek(NamedTuple):
    """Look into an attempt's log where it ran; answered by `LogSought`, at once or when there is news."""

    ask: int
    ref: AttemptRef
    query: LogQuery


class LogSought(NamedTuple):
    """What was found there."""

    ask: int
    excerpt: LogExcerpt


class LogLeave(NamedTuple):
    """Nobody waits any more for the answer to this `LogSeek`."""

    ask: int


class EventLine(NamedTuple):
    """One event, as every node's log tells it (`farmd.core.effects.Note`)."""

    key: str
    at_ms: int
    what: str
    text: str
    why: str
    actor: str
    job: str
    task: int
    node: str


class EventsAsk(NamedTuple):
    """Which events since then does your log hold, the last `limit` of them? Answered by `EventsAre`."""

    ask: int
    since_ms: int
    limit: int


class EventsAre(NamedTuple):
    """Events that every node tells, oldest first."""

    ask: int
    events: tuple[EventLine, ...]


# -- joining ------------------------------------------------------------------------------------------------------


class Hello(NamedTuple):
    """First message on a connection: the versions spoken, and who speaks."""

    oldest: int
    newest: int
    farm: str
    epoch: int
    address: str


class Lane(NamedTuple):
    """Contents of files may come to this port of mine, sealed with this key; use no older lane of mine any more.

    Attributes:
        name: 8 bytes, said in each sealed message.
        port: TCP port, on the machine where I listen.
        key: Of AES-256-GCM, 32 bytes; for you alone, and for one life of yours.
        word: What lets your connection in at the port (ZMTP PLAIN), 16 bytes.
    """

    name: bytes
    port: int
    key: bytes
    word: bytes


class JoinAsk(NamedTuple):
    """From an unknown key: admit me. The token proves an admission signed by the farm's key."""

    token: bytes
    address: str
    name: str


class JoinReply(NamedTuple):
    """Admitted, with members to talk to as (address, CURVE public key); or refused with a reason."""

    admitted: bool
    reason: str
    members: tuple[tuple[str, bytes], ...] = ()


Message = (
    Ping | PingAck | PingReq | PingNack
    | Push | PushAck | PullAsk | PullSame | VectorIs | DeltaAsk | DeltaPart | OriginAsk | OriginIs
    | PreVoteAsk | PreVoteReply | VoteAsk | VoteReply | Heartbeat | HeartbeatAck | HeartbeatNack
    | InventoryAsk | Inventory | Grant | GrantReply | Stop | Prefetch
    | HaveAsk | HaveIs | PieceAsk | PieceIs | PieceRefused | Keep | LogAsk | LogIs | Doubt
    | PackAsk | PackIs | PartIs | PartHas | PledgeAsk | PledgeIs
    | SafeAsk | SafeIs
    | Hello | JoinAsk | JoinReply | Lane | LogSeek | LogSought | LogLeave
    | EventsAsk | EventsAre
)  # fmt: skip

TAGS: dict[int, type[Message]] = {
    1: Ping, 2: PingAck, 3: PingReq, 4: PingNack,
    10: Push, 11: PushAck, 12: PullAsk, 13: PullSame, 14: VectorIs, 15: DeltaAsk, 16: DeltaPart,
    17: OriginAsk, 18: OriginIs,
    30: PreVoteAsk, 31: PreVoteReply, 32: VoteAsk, 33: VoteReply, 34: Heartbeat, 35: HeartbeatAck, 36: HeartbeatNack,
    37: InventoryAsk, 38: Inventory, 40: Grant, 41: GrantReply, 42: Stop, 43: Prefetch,
    50: HaveAsk, 51: HaveIs, 52: PieceAsk, 53: PieceIs, 54: PieceRefused, 55: Keep, 56: LogAsk, 57: LogIs,
    58: Doubt, 70: PackAsk, 71: PackIs, 72: PartIs, 73: PartHas, 80: PledgeAsk, 81: PledgeIs,
    90: SafeAsk, 91: SafeIs,
    60: Hello, 61: JoinAsk, 62: JoinReply, 63: Lane,
    100: LogSeek, 101: LogSought, 102: LogLeave, 103: EventsAsk, 104: EventsAre,
}  # fmt: skip
"""Wire numbers; for ever."""
