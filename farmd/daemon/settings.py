"""What a daemon is started with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Options of `farmd run`.

    Attributes:
        data_dir: Everything that the node keeps.
        listen: HOST:PORT to bind.
        join: Addresses of members to look for, HOST:PORT.
        name: For people; the host's name if empty.
        slots: Most attempts at once; 0 = bounded by cores, memory and GPUs alone.
        advertise: Overrides of what is offered ("ram=64G,gpu=2"); empty = what the machine has.
        transfer_limit_bytes_s: Most bytes of files from other machines, and as many to them; 0 = no limit.
        store_quota_bytes: Most bytes of blobs in the content store; 0 = no limit.
        archive_after_s: Jobs that ended so long ago leave the lists by themselves; 0 = never.
        logs_age_s: Logs that were written last so long ago are removed; 0 = never.
        logs_quota_bytes: Most bytes of all logs; the oldest are removed; 0 = no limit.
        mdns: Look for other nodes by multicast DNS.
        web: HOST:PORT where HTTP is served by a child; empty = not.
        board: The same of the board.
    """

    data_dir: Path
    listen: str
    join: tuple[str, ...] = ()
    name: str = ""
    slots: int = 0
    advertise: str = ""
    transfer_limit_bytes_s: int = 0
    store_quota_bytes: int = 0
    archive_after_s: int = 0
    logs_age_s: float = 30 * 86_400.0
    logs_quota_bytes: int = 10 << 30
    mdns: bool = True
    web: str = ""
    board: str = ""
