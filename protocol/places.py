"""Where a daemon and its clients meet on one machine: the data dir, its socket, the list of running daemons, the key.

Both sides must agree on these and on nothing else. A path that stands in a shared directory (/tmp) is believed only
if it belongs to the reader and nobody else can write there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from protocol.errors import NotAllowed, NotFound, UserError

SOCKET_NAME = "client.sock"
ADDRESS_NAME = "client.addr"
"""Holds the real path of the socket where the data dir's own is too long."""
START_NAME = "start"
"""Holds the process that was started last as the daemon, and when that began (see `process_start`)."""
KEY_NAME = "identity.key"
USER_KEY_NAME = "user.key"
MAX_SOCKET_PATH_BYTES = 107
"""sun_path of Linux has 108 bytes, one of them the end mark."""
_RUNTIME_NAME_BYTES = len("/farmd/0123456789abcdef.sock")
SYSTEM_RUNTIME_DIR = Path("/run/farmd")
SYSTEM_DATA_DIR = Path("/var/lib/farmd")
FARM_GROUP = "farm"
"""Whose members a daemon serves besides its own user and root."""
_KEY_TITLE = "farmd-identity-1"


def default_data_dirs() -> tuple[Path, ...]:
    """Return where a data dir is looked for when none is named; the first is where a daemon makes its own.

    $FARM_DATA_DIR alone if it is set, else the user's and the system's; root's is the system's.
    """
    named = os.environ.get("FARM_DATA_DIR")
    if named:
        return (Path(named),)
    share = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    dirs = Path(share) / "farmd", SYSTEM_DATA_DIR
    return dirs[::-1] if os.geteuid() == 0 else dirs


def user_key_path() -> Path:
    """Return where this person's own key pair is kept, with which farmctl asks nodes of other machines."""
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config) / "farm" / USER_KEY_NAME


def user_runtime_dir() -> Path:
    """Return this user's own runtime directory, made with mode 0700 if it is missing.

    That of the session, unless its name is so long that no socket in it could be bound.

    Raises:
        UserError: Somebody else owns the one in /tmp, or could write there.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    is_short = 0 < len(os.fsencode(base)) <= MAX_SOCKET_PATH_BYTES - _RUNTIME_NAME_BYTES
    path = Path(base) / "farmd" if is_short and Path(base).is_dir() else Path(f"/tmp/farmd-{os.getuid()}")  # noqa: S108  # checked below
    path.mkdir(mode=0o700, exist_ok=True)
    if not _is_ours_alone(path):
        raise UserError(
            f"{path} is not safe to use",
            "it does not belong to you alone, so another user could answer in the daemon's place",
            f"remove it, or set XDG_RUNTIME_DIR to a directory of your own: rm -r {path}",
        )
    return path


def _is_ours_alone(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def socket_path(data_dir: Path) -> Path:
    """Choose where the client socket of this data dir is bound: in it, or in the runtime dir if the path is too long.

    Raises:
        UserError: There is no safe runtime dir.
    """
    path = data_dir.absolute() / SOCKET_NAME
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        return path
    from protocol.ids import short_digest  # a client seldom needs it

    return user_runtime_dir() / f"{short_digest(os.fsencode(data_dir.resolve())).hex()}.sock"


def find_socket(data_dir: Path) -> Path:
    """Return where the daemon of this data dir says that it listens for clients."""
    try:
        return Path((data_dir / ADDRESS_NAME).read_text().strip())
    except OSError:
        return data_dir.absolute() / SOCKET_NAME


def note_start(data_dir: Path) -> None:
    """Note that this process becomes the daemon of a data dir: clients that find nobody there know that it is coming.

    Nobody takes the note away: it counts as long as the process lives. Where it cannot be written the daemon will say so.
    """
    pid = os.getpid()
    with suppress(OSError):
        (data_dir / START_NAME).write_text(f"{pid} {process_start(pid)}\n")


def is_starting(data_dir: Path) -> bool:
    """Tell whether the process that was started last as the daemon of a data dir lives; whether it serves is not asked."""
    try:
        pid, _, started = (data_dir / START_NAME).read_text().partition(" ")
        return process_start(int(pid)) == int(started) > 0
    except (OSError, ValueError):
        return False


# -- running daemons ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunningDaemon:
    """One daemon that runs on this machine.

    Attributes:
        address: HOST:PORT of its node socket.
        data_dir: Where it lives.
        pid: Its process.
        started: When that began (see `process_start`), since numbers are given again; 0 if nobody noted it.
    """

    address: str
    data_dir: str
    pid: int
    started: int = 0

    @property
    def is_running(self) -> bool:
        """Tell whether the process is there, and is the one that was listed."""
        start = process_start(self.pid)
        return start > 0 and self.started in (0, start)


def process_start(pid: int) -> int:
    """Return when a process began, in clock ticks since the machine did; 0 if it is not there, or dead."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0
    fields = facts.rpartition(")")[2].split()  # from the third on: the name before them may hold anything
    return 0 if fields[0] in ("Z", "X") else int(fields[19])


def list_in_registry(daemon: RunningDaemon) -> Path:
    """Write a daemon into the list where clients of this machine look; returns the entry, to be unlinked at the end.

    Raises:
        UserError: There is no safe runtime dir.
    """
    import json

    system = os.access(SYSTEM_RUNTIME_DIR, os.W_OK) or (os.getuid() == 0 and SYSTEM_RUNTIME_DIR.parent.is_dir())
    folder = SYSTEM_RUNTIME_DIR if system else user_runtime_dir()
    folder.mkdir(mode=0o755, exist_ok=True)
    entry = folder / f"{daemon.address.replace('/', '_')}.json"
    draft = entry.with_suffix(f".{daemon.pid}")
    draft.write_text(json.dumps(asdict(daemon)))
    draft.chmod(0o644)
    draft.replace(entry)
    return entry


def running_daemons() -> Iterator[RunningDaemon]:
    """List the daemons of this machine that a client of this user can know of; those that were killed are struck."""
    import json

    folders = [SYSTEM_RUNTIME_DIR]
    with suppress(UserError, OSError):  # then nothing of ours is there
        folders.insert(0, user_runtime_dir())
    for entry in sorted(path for folder in folders if folder.is_dir() for path in folder.glob("*.json")):
        try:
            daemon = RunningDaemon(**json.loads(entry.read_text()))
        except (OSError, ValueError, TypeError):
            continue
        if daemon.is_running:
            yield daemon
        else:
            with suppress(OSError):  # another user's list
                entry.unlink()


# -- the key file -------------------------------------------------------------------------------------------------


def format_key_file(public_key: bytes, secret_key: bytes) -> str:
    """Print a CURVE key pair (raw, 32 bytes each) as the text of `identity.key`."""
    return f"{_KEY_TITLE}\npublic {public_key.hex()}\nsecret {secret_key.hex()}\n"


def read_secret_file(path: Path) -> str:
    """Read a text that nobody but its owner may read.

    Raises:
        NotFound: It is not there.
        NotAllowed: It belongs to another user.
        UserError: It cannot be read, or others can read it too.
    """
    try:
        text = path.read_text(encoding="ascii")
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise NotFound(
            f"no key in {path}", "this data dir belongs to no farm yet", "farmd init --name NAME, or farmd join TOKEN"
        ) from error
    except PermissionError as error:
        raise NotAllowed(
            f"may not read {path}", str(error.strerror), "run as the user that owns the data dir"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read {path}", str(error.strerror), "run as the user that owns the data dir") from error
    except UnicodeDecodeError as error:
        raise damaged(path) from error
    if mode & 0o077:
        raise UserError(f"{path} is not secret", "other users of this machine may read it", f"chmod 600 {path}")
    return text


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all, durably.

    Raises:
        UserError: It cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise UserError(f"cannot write {path}", str(error.strerror), "look at who owns the folder") from error


def read_key_file(path: Path) -> tuple[bytes, bytes]:
    """Read `identity.key`: the raw public and the raw secret key.

    Raises:
        NotFound: It is not there.
        UserError: It is damaged, or others can read it too.
    """
    words = read_secret_file(path).split()
    try:
        title, public_key, secret_key = words[0], bytes.fromhex(words[2]), bytes.fromhex(words[4])
    except (ValueError, IndexError) as error:
        raise damaged(path) from error
    if title != _KEY_TITLE or words[1::2] != ["public", "secret"] or len(public_key) != 32 or len(secret_key) != 32:
        raise damaged(path)
    return public_key, secret_key


def damaged(path: Path) -> UserError:
    """Say that a key file holds something else than a key."""
    whose = "delete it and join the farm anew" if path.name != USER_KEY_NAME else "farmctl user key --new"
    return UserError(f"{path} is damaged", "it does not hold a key", f"restore it from a backup; or {whose}")
