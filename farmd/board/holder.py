"""Which process listens on a port: read from /proc, so that an error can name it. Never raises: it is only a hint."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_LISTENS = "0A"


def port_holder(port: int) -> str:
    """Name the process that listens on a TCP port of this machine: `blender (pid 4711)`; empty if nobody can tell."""
    inodes = _listening_inodes(port)
    for pid in _pids():
        if inodes & _socket_inodes(pid):
            with suppress(OSError):
                return f"{(pid / 'comm').read_text(errors='replace').strip()} (pid {pid.name})"
    return ""


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found - {"0"}


def _pids() -> list[Path]:
    with suppress(OSError):
        return [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    return []


def _socket_inodes(pid: Path) -> set[str]:
    """Return the inodes of the sockets of a process; of another user's, none can be seen."""
    found = set()
    with suppress(OSError):
        for link in (pid / "fd").iterdir():
            with suppress(OSError):
                name = str(link.readlink())
                if name.startswith("socket:["):
                    found.add(name[8:-1])
    return found
