"""The simulated network: delay, loss, duplication, reordering, clogged links, partitions, one-way cuts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocol.codec import decode, encode
from protocol.messages import PackIs, PieceIs

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from protocol.ids import NodeId
    from protocol.messages import Message


@dataclass(slots=True)
class Weather:
    """What the links do now; changed by faults.

    Attributes:
        loss: Share of messages that vanish.
        duplicate: Share that arrive twice.
        reorder: Share that are delayed by up to `reorder_s`.
        delay_s: Shortest one-way delay.
        jitter_s: Added, uniformly.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_s: float = 0.5
    delay_s: float = 0.0002
    jitter_s: float = 0.0008


@dataclass(slots=True)
class Network:
    """Carries messages between nodes by name; everything random comes from one generator."""

    rng: Random
    deliver: Callable[[NodeId, NodeId, Message], None]
    encoded: bool = False
    weather: Weather = field(default_factory=Weather)
    cut: dict[tuple[NodeId, NodeId], None] = field(default_factory=dict)
    clogged_until: dict[tuple[NodeId, NodeId], float] = field(default_factory=dict)
    sent: int = 0
    lost: int = 0

    def send(self, sender: NodeId, to: NodeId, message: Message) -> None:
        """Put a message on its way; it may never arrive, or twice, or late."""
        self.sent += 1
        weather, rng = self.weather, self.rng
        if (sender, to) in self.cut or (weather.loss and rng.random() < weather.loss):
            self.lost += 1
            return
        if self.encoded and not isinstance(message, PieceIs | PackIs):
            message = decode(encode(message))
        copies = 2 if weather.duplicate and rng.random() < weather.duplicate else 1
        loop = asyncio.get_running_loop()
        for _ in range(copies):
            delay = weather.delay_s + weather.jitter_s * rng.random()
            if weather.reorder and rng.random() < weather.reorder:
                delay += weather.reorder_s * rng.random()
            at = max(loop.time() + delay, self.clogged_until.get((sender, to), 0.0))
            loop.call_at(at, self._arrive, sender, to, message)

    def _arrive(self, sender: NodeId, to: NodeId, message: Message) -> None:
        if (sender, to) in self.cut:
            self.lost += 1
            return
        self.deliver(sender, to, message)

    def split(self, groups: list[list[NodeId]]) -> None:
        """Cut every link between different groups, both ways."""
        for one in range(len(groups)):
            for other in range(len(groups)):
                if one != other:
                    self.cut_one_way(groups[one], groups[other])

    def cut_one_way(self, senders: list[NodeId], receivers: list[NodeId]) -> None:
        """Nothing of `senders` reaches `receivers` any more."""
        for sender in senders:
            for receiver in receivers:
                self.cut[sender, receiver] = None

    def heal(self) -> None:
        """All links work again."""
        self.cut.clear()
        self.clogged_until.clear()
        self.weather = Weather()
