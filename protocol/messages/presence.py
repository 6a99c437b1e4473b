"""Who is there (SWIM), and what each node says of itself."""

from __future__ import annotations

from typing import NamedTuple

from protocol.ids import AttemptRef, NodeId


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
