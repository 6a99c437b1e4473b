"""What went through the transport and what was dropped, in numbers; the log hears of each peer once a second."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from protocol.errors import PeerError, VersionError

_log = logging.getLogger(__name__)
MAX_NAMES = 1024
"""Peers with a line of their own; strangers make up as many keys as they like, so the oldest line goes."""


class NotYetTrusted(PeerError):
    """A message of a key that is not trusted: at every join, since a connection stands before the farm's answer does."""


@dataclass(slots=True)
class Tally:
    """Counters of one transport, since its start.

    Attributes:
        received: Messages of trusted senders that were decoded and handed on.
        sealed: Of these, how many came sealed along a lane.
        sent: Messages given to a connection.
        unsent: Messages for a peer without a connection, or with a full queue.
        bad: Messages dropped because of their sender, trusted or not.
        faults: The same, by sender (node id, or key in hex).
    """

    received: int = 0
    sealed: int = 0
    sent: int = 0
    unsent: int = 0
    bad: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    _logged_at: dict[str, float] = field(default_factory=dict)

    def blame(self, sender: str, error: PeerError, now: float) -> int:
        """Count a dropped message and name its sender; returns how many it has had."""
        self.bad += 1
        count = self.faults.pop(sender, 0) + 1
        self.faults[sender] = count
        last = self._logged_at.get(sender)
        # A version does not change by repetition: said once.
        if isinstance(error, NotYetTrusted):
            _log.debug("dropped message %d of %s: %s", count, sender, error)
        elif last is None or (now - last >= 1 and not isinstance(error, VersionError)):
            self._logged_at.pop(sender, None)
            self._logged_at[sender] = now
            _log.warning("dropped message %d of %s: %s", count, sender, error)
        for names in (self.faults, self._logged_at):
            while len(names) > MAX_NAMES:
                del names[next(iter(names))]
        return count
