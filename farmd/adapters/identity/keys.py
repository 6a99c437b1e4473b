"""Who this node is, on disk: its CURVE keys and its farm.

`identity.key` holds the key pair, `farm.json` the farm's name and verify key and, where others can be admitted,
`farm.key` the farm's Ed25519 signing key. Keys are raw bytes in the program and hexadecimal on disk; Z85, which libzmq
prints, appears nowhere but here. Secret files are written whole or not at all, and refused if anybody else can read
them. A data dir belongs to one farm for ever: keys of one farm must not speak in another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import zmq
from zmq.utils import z85

from protocol.errors import NotFound, UserError
from protocol.ids import NodeId, node_id_of, short_digest
from protocol.places import KEY_NAME, damaged, format_key_file, read_key_file, write_secret

if TYPE_CHECKING:
    from pathlib import Path

FARM_NAME = "farm.json"
SIGNING_NAME = "farm.key"
MAX_FARM_NAME_CHARS = 64


@dataclass(frozen=True, slots=True)
class FarmFacts:
    """A farm: its name, for people, and its Ed25519 verify key (32 raw bytes), which is what makes it this farm."""

    name: str
    verify_key: bytes

    @property
    def id(self) -> str:
        """Return 16 hexadecimal digits that name this farm and no other."""
        return short_digest(self.verify_key).hex()


@dataclass(frozen=True, slots=True)
class Identity:
    """This node: id, CURVE keys (raw, 32 bytes each), and its farm."""

    node: NodeId
    public_key: bytes
    secret_key: bytes = field(repr=False)
    farm: FarmFacts
    data_dir: Path


def init_farm(data_dir: Path, name: str) -> Identity:
    """Found a farm: make the node's keys and the farm's signing key.

    Raises:
        UserError: The data dir belongs to a farm already, or cannot be written.
    """
    if not name.strip() or len(name) > MAX_FARM_NAME_CHARS or not name.isprintable():
        raise UserError(f"{name!r} is no name for a farm", f"it has 1 to {MAX_FARM_NAME_CHARS} printable characters")
    refuse_second_farm(data_dir, None)
    from nacl.signing import SigningKey

    signing_key = SigningKey.generate()
    make_data_dir(data_dir)
    write_secret(data_dir / SIGNING_NAME, bytes(signing_key).hex() + "\n")
    make_keys(data_dir)
    write_farm(data_dir, FarmFacts(name, bytes(signing_key.verify_key)))
    return load(data_dir)


def load(data_dir: Path) -> Identity:
    """Read who this node is.

    Raises:
        NotFound: The data dir belongs to no farm.
        UserError: A file is damaged, or others can read it too.
    """
    farm = _read_farm(data_dir)
    if farm is None:
        hint = "farmd init --name NAME, or farmd join TOKEN"
        raise NotFound(f"{data_dir} belongs to no farm", "it has no farm.json", hint)
    public_key, secret_key = read_key_file(data_dir / KEY_NAME)
    if z85.decode(zmq.curve_public(z85.encode(secret_key))) != public_key:
        raise damaged(data_dir / KEY_NAME)
    return Identity(node_id_of(public_key), public_key, secret_key, farm, data_dir)


def can_invite(data_dir: Path) -> bool:
    """Tell whether the farm's signing key is here, as it is where the farm was founded."""
    return (data_dir / SIGNING_NAME).exists()


def forget_farm(data_dir: Path) -> None:
    """Remove the keys and the farm's name; that goes last, so that half of a farm is still one."""
    for name in (KEY_NAME, SIGNING_NAME, FARM_NAME):
        (data_dir / name).unlink(missing_ok=True)


def refuse_second_farm(data_dir: Path, wanted: FarmFacts | None) -> None:
    """Refuse a data dir that belongs to another farm than the wanted one (None: to any).

    Raises:
        UserError: It does.
    """
    present = _read_farm(data_dir)
    if present is not None and (wanted is None or present.verify_key != wanted.verify_key):
        raise UserError(
            f"{data_dir} belongs to the farm “{present.name}” already",
            "a node is a member of one farm for ever",
            "use another data dir (--data-dir), or delete this one if nothing in it is needed",
        )


def make_data_dir(data_dir: Path) -> None:
    """Make a data dir that only its owner can enter.

    Raises:
        UserError: It cannot be made.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {data_dir}", str(error.strerror), "choose another with --data-dir") from error


def make_keys(data_dir: Path) -> None:
    """Make a CURVE key pair for this node.

    Raises:
        UserError: It cannot be written.
    """
    public_key, secret_key = (z85.decode(key) for key in zmq.curve_keypair())
    write_secret(data_dir / KEY_NAME, format_key_file(public_key, secret_key))


def write_farm(data_dir: Path, farm: FarmFacts) -> None:
    """Write down which farm this node belongs to.

    Raises:
        UserError: It cannot be written.
    """
    write_secret(
        data_dir / FARM_NAME, json.dumps({"name": farm.name, "verify_key": farm.verify_key.hex()}, indent=1) + "\n"
    )


def _read_farm(data_dir: Path) -> FarmFacts | None:
    path = data_dir / FARM_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        farm = FarmFacts(str(content["name"]), bytes.fromhex(content["verify_key"]))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"cannot read {path}", str(error.strerror), "run as the owner of the data dir") from error
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path) from error
    if len(farm.verify_key) != 32:
        raise damaged(path)
    return farm
