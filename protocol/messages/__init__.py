"""Every message that crosses a socket between nodes.

Messages are NamedTuples: msgpack packs them as arrays without a conversion step, and a field added at the end with a
default is understood by the version before (it ignores the surplus) and by the version after (it takes the default).
The sender is never a field: it is the key that CURVE proved. `protocol.codec` turns them into bytes and back.

Each kind has a module; everybody imports them from here.
"""

from __future__ import annotations

from protocol.messages.contents import (
    Doubt,
    HaveAsk,
    HaveIs,
    Keep,
    PackAsk,
    PackIs,
    PartHas,
    PartIs,
    PieceAsk,
    PieceIs,
    PieceRefused,
    PledgeAsk,
    PledgeIs,
    Wanted,
)
from protocol.messages.inquiries import (
    EventLine,
    EventsAre,
    EventsAsk,
    Finding,
    LogAsk,
    LogIs,
    LogLeave,
    LogSeek,
    LogSought,
    SafeAsk,
    SafeIs,
)
from protocol.messages.joining import (
    Hello,
    JoinAsk,
    JoinReply,
    Lane,
)
from protocol.messages.leading import (
    Grant,
    GrantReply,
    Heartbeat,
    HeartbeatAck,
    HeartbeatNack,
    Inventory,
    InventoryAsk,
    Prefetch,
    PreVoteAsk,
    PreVoteReply,
    Refusal,
    Stop,
    VoteAsk,
    VoteReply,
)
from protocol.messages.presence import (
    Advert,
    MemberUpdate,
    Ping,
    PingAck,
    PingNack,
    PingReq,
    Running,
)
from protocol.messages.replication import (
    DeltaAsk,
    DeltaPart,
    OriginAsk,
    OriginIs,
    PullAsk,
    PullSame,
    Push,
    PushAck,
    Span,
    VectorIs,
)

__all__ = [
    "TAGS",
    "Advert",
    "DeltaAsk",
    "DeltaPart",
    "Doubt",
    "EventLine",
    "EventsAre",
    "EventsAsk",
    "Finding",
    "Grant",
    "GrantReply",
    "HaveAsk",
    "HaveIs",
    "Heartbeat",
    "HeartbeatAck",
    "HeartbeatNack",
    "Hello",
    "Inventory",
    "InventoryAsk",
    "JoinAsk",
    "JoinReply",
    "Keep",
    "Lane",
    "LogAsk",
    "LogIs",
    "LogLeave",
    "LogSeek",
    "LogSought",
    "MemberUpdate",
    "Message",
    "OriginAsk",
    "OriginIs",
    "PackAsk",
    "PackIs",
    "PartHas",
    "PartIs",
    "PieceAsk",
    "PieceIs",
    "PieceRefused",
    "Ping",
    "PingAck",
    "PingNack",
    "PingReq",
    "PledgeAsk",
    "PledgeIs",
    "PreVoteAsk",
    "PreVoteReply",
    "Prefetch",
    "PullAsk",
    "PullSame",
    "Push",
    "PushAck",
    "Refusal",
    "Running",
    "SafeAsk",
    "SafeIs",
    "Span",
    "Stop",
    "VectorIs",
    "VoteAsk",
    "VoteReply",
    "Wanted",
]

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
