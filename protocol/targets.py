"""Where a client connects: from what a person named to an endpoint and the keys that it needs.

Called by `protocol.client`. What is named must lead to the daemon that is meant or to an error that says why not: a
Unix socket is tried at once, and a remote address is never used without the public key of the node that is there.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from protocol.errors import NotAllowed, NotFound, Starting, Unreachable
from protocol.places import (
    ADDRESS_NAME,
    FARM_GROUP,
    KEY_NAME,
    SOCKET_NAME,
    default_data_dirs,
    find_socket,
    is_starting,
    read_key_file,
    running_daemons,
    user_key_path,
)

_HOST_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:.%a-z]+\]|[^/:\s]+):(?P<port>\d{1,5})")
_ANY_HOST = {"0.0.0.0", "::"}  # noqa: S104  # read in the list of daemons, not bound


@dataclass(frozen=True, slots=True)
class Target:
    """Where a client connects: an endpoint, and for a remote node its public key and the caller's own key pair."""

    name: str
    endpoint: str
    server_key: bytes = b""
    own_keys: tuple[bytes, bytes] = field(default=(b"", b""), repr=False)
    own_name: str = ""
    """For the machine's own keys: which person asks, for the history."""
    own_file: str = ""
    """For a person's keys: where they lie, for who has to be told that nobody knows them."""

    @property
    def remote(self) -> bool:
        """Tell whether it is a node's socket, not a Unix socket."""
        return bool(self.server_key)


class Known(NamedTuple):
    """What the local daemon knows of a node: its raw public key, and HOST:PORT where it listens (empty: as named)."""

    public_key: bytes
    address: str = ""


KeyOf = Callable[[Path, str], Known | None]
"""Data dir of the local daemon, HOST:PORT as it was named -> the node there, if it is known."""


def find_target(target: str | Path | None, key_of: KeyOf) -> Target:
    """Find out what a target means; `key_of` asks the local daemon for the key of a remote one.

    Raises:
        Unreachable: There is no such daemon.
        Starting: There will be: its process lives.
        UserError: The local keys cannot be read, or the local daemon does not know the remote one.
    """
    named = str(target or os.environ.get("FARM_NODE", ""))
    if not named:
        return _local(_default_data_dir())
    parts = _HOST_PORT.fullmatch(named)
    if not parts or _is_there(Path(named)):
        return _local(Path(named))
    host, port = parts["host"].strip("[]"), int(parts["port"])
    data_dir = _data_dir_of(host, port)
    return _local(data_dir) if data_dir else _remote(named, key_of)


def _default_data_dir() -> Path:
    dirs = default_data_dirs()
    for data_dir in dirs:
        if _is_there(data_dir / SOCKET_NAME) or _is_there(data_dir / ADDRESS_NAME):
            return data_dir
    return dirs[0]


def _is_there(path: Path) -> bool:
    """Tell whether something is there, as far as this user may know: where they may not look, connecting says why."""
    try:
        return path.exists()
    except PermissionError:
        return True


def _local(data_dir: Path) -> Target:
    """Check that a daemon listens there: asking the kernel takes microseconds, a time-out takes seconds."""
    path = find_socket(data_dir)
    what = f"no daemon answers for {data_dir}"
    hint = _how_to_start(data_dir)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except PermissionError as error:
            why = f"it serves its own user, root and the group {FARM_GROUP}, and you are none of them"
            join = f"sudo usermod --append --groups {FARM_GROUP} $USER, then log in again; or --node HOST:PORT"
            raise NotAllowed(f"may not talk to the daemon of {data_dir}", why, join) from error
        except OSError as error:
            if is_starting(data_dir):
                wait = "try again in a few seconds"
                raise Starting(
                    f"the daemon of {data_dir} does not answer yet", "it is starting, or ending", wait
                ) from error
            why = "it is not running" if path.exists() else f"there is no {path}"
            raise Unreachable(what, why, hint) from error
    return Target(str(data_dir), f"ipc://{path}")


def _how_to_start(data_dir: Path) -> str:
    """Say what comes next: for a data dir without a key, a farm must be founded or joined before anything runs."""
    option = f"--data-dir {data_dir}"
    if _is_there(data_dir / KEY_NAME):
        return f"start it: farmd run {option}; or name a node: --node HOST:PORT"
    return f"found a farm: farmd init {option}; or join one: farmd join {option} TOKEN; then farmd run {option}"


def _data_dir_of(host: str, port: int) -> Path | None:
    """Look in this machine's list for the daemon that listens at HOST:PORT."""
    here = None
    for daemon in running_daemons():
        listed_host, _, listed_port = daemon.address.rpartition(":")
        if int(listed_port) != port:
            continue
        if listed_host.strip("[]") == host:
            return Path(daemon.data_dir)
        if here is None:
            here = _is_this_machine(host)
        listens_there = listed_host.strip("[]") in _ANY_HOST or _same_host(listed_host.strip("[]"), host)
        if here and listens_there:
            return Path(daemon.data_dir)
    return None


def _is_this_machine(host: str) -> bool:
    """Tell whether a host is this one: an address that can be bound is."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    for family, kind, _, _, address in found:
        with suppress(OSError), socket.socket(family, kind) as probe:
            probe.bind(address)
            return True
    return False


def _same_host(one: str, other: str) -> bool:
    try:
        return bool(
            {item[4][0] for item in socket.getaddrinfo(one, 0)} & {item[4][0] for item in socket.getaddrinfo(other, 0)}
        )
    except OSError:
        return False


def _remote(address: str, key_of: KeyOf) -> Target:
    data_dir = _default_data_dir()
    hint = f"run farmctl on {address.rpartition(':')[0]}, or start the daemon of this machine and try again"
    own_keys, own_name, own_file = _own_keys(data_dir, address, hint)
    try:
        known = _look_up(data_dir, address, key_of)
    except Unreachable as error:
        why = "its public key would come from the daemon of this machine, which is not running"
        raise Unreachable(f"cannot talk to {address} from here", why, hint) from error
    if known is None:
        raise Unreachable(
            f"cannot talk to {address} from here", "no node of this farm listens there", "farmctl node list"
        )
    return Target(address, f"tcp://{known.address or address}", known.public_key, own_keys, own_name, own_file)


def _look_up(data_dir: Path, address: str, key_of: KeyOf) -> Known | None:
    """Ask for the node that was named; if the farm knows no such name, by the addresses that the host has here.

    Raises:
        NotFound: The local daemon knows none of them.
    """
    try:
        return key_of(data_dir, address)
    except NotFound:
        for other in _addresses_of(address):
            with suppress(NotFound):
                return key_of(data_dir, other)
        raise


def _addresses_of(address: str) -> list[str]:
    """Return HOST:PORT with each numeric address of the host, but for the one that was named."""
    host, _, port = address.rpartition(":")
    try:
        found = [str(item[4][0]) for item in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []
    numeric = [f"[{one}]:{port}" if ":" in one else f"{one}:{port}" for one in dict.fromkeys(found)]
    return [one for one in numeric if one != address]


def _own_keys(data_dir: Path, address: str, hint: str) -> tuple[tuple[bytes, bytes], str, str]:
    """Read the keys to ask with, the person's own if there are any; for the machine's, also say which person asks."""
    own = user_key_path()
    if own.exists():
        return read_key_file(own), "", str(own)
    try:
        return read_key_file(data_dir / KEY_NAME), _who_asks(), ""
    except NotFound as error:
        why = f"{data_dir} has no key that this farm knows"
        raise Unreachable(f"cannot talk to {address} from here", why, hint) from error
    except NotAllowed as error:
        why = f"the key of {data_dir} is the daemon's, and you have none of your own"
        raise NotAllowed(f"may not talk to {address}", why, "make one and let it be known: farmctl user key") from error


def _who_asks() -> str:
    with suppress(KeyError):
        return f"{pwd.getpwuid(os.geteuid()).pw_name}@{socket.gethostname().partition('.')[0]}"
    return ""
