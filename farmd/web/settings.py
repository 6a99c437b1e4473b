"""What the HTTP door is started with, and the limits that hold before anything is believed.

Every limit is checked before what it limits is read or built. The numbers are for a studio, not for the Internet: a
door that is reachable from outside stands behind a proxy of its own (see docs/howto/use-http).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_LISTEN: Final = "127.0.0.1:8766"
SPOOL_NAME: Final = "web"
"""Folder below the data dir of the daemon: files on their way in."""

MAX_JSON_BYTES: Final = 1 << 20
MAX_LIST_BYTES: Final = 32 << 20
"""Of a list of files: 100,000 of them, with their paths and hashes."""
MAX_FILES: Final = 100_000
MAX_FILE_BYTES: Final = 1 << 40
MAX_HEAD_BYTES: Final = 32 << 10
MAX_CONNECTIONS: Final = 512
MAX_CONNECTIONS_EACH: Final = 128
"""From one address."""
HEAD_S: Final = 10.0
"""So long a client may take for the head of a request."""
IDLE_S: Final = 20.0
"""So long it may send nothing of a body, or take nothing of an answer."""
LEAST_BYTES_S: Final = 1024
"""A body that comes more slowly than this, after a time of grace, is not waited for; nor an answer that goes so."""
GRACE_S: Final = 30.0
KEEP_ALIVE_S: Final = 15
SPOOL_DAYS: Final = 7
"""What nobody went on sending for so long is removed at start."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Options of `farmd web`.

    Attributes:
        data_dir: Of the daemon that is asked; the spool lies below it.
        listen: HOST:PORT of the interface; empty = it is not served.
        board: HOST:PORT of the board; empty = it is not served.
        scenes: Folders of this machine whose scenes may be named by their paths; nothing outside of them is read.
        quota_bytes: Most bytes of one user's files that are on their way in.
        open_metrics: `/metrics` needs no token.
        with_parent: End when standard input is closed, as it is when the daemon that started this process has died.
    """

    data_dir: Path
    listen: str = DEFAULT_LISTEN
    board: str = ""
    scenes: tuple[Path, ...] = ()
    quota_bytes: int = 256 << 30
    open_metrics: bool = False
    with_parent: bool = False

    @property
    def spool_dir(self) -> Path:
        """Where files on their way in lie."""
        return self.data_dir / SPOOL_NAME
