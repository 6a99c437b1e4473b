"""Identifiers: what names a node, a job, a task, an attempt and a blob, and how each is packed and printed.

Invariant: every identifier has exactly one printed form and one packed form, and both sort the same way.
Identity never comes from a name or an address: a node id is derived from its CURVE public key, and a job id is
unique even when it is made on a machine that is cut off (time-ordered plus 39 random bits).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, NewType

from protocol.errors import PeerError

if TYPE_CHECKING:
    from random import Random

try:
    from _blake2 import blake2b  # hashlib's own; but hashlib loads OpenSSL beside it: 3 MiB of every idle daemon
except ImportError:  # a Python that keeps it elsewhere
    from hashlib import blake2b

NodeId = NewType("NodeId", str)
"""16 lowercase hexadecimal digits: BLAKE2b-64 of the node's CURVE public key."""

JobId = NewType("JobId", str)
"""16 characters of lowercase Crockford base 32: 41 bits of milliseconds since 2020, then 39 random bits."""

TaskIndex = NewType("TaskIndex", int)
"""Position of a task in its job's plan, 0-based (see `farmd.core.plan`)."""

Origin = NewType("Origin", int)
"""63-bit random name of one database's change stream."""

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_CROCKFORD_VALUE = {letter: value for value, letter in enumerate(_CROCKFORD)}
_EPOCH_2020_MS = 1_577_836_800_000
_JOB_CHARS = 16
_JOB_BYTES = 10
_FIRST_TASK_ID = 100_000_000
"""The least of nine digits."""


def short_digest(data: bytes) -> bytes:
    """Return the 8 bytes of BLAKE2b-64, by which a key, a token or a folder is called."""
    return blake2b(data, digest_size=8).digest()


def node_id_of(public_key: bytes) -> NodeId:
    """Derive the node id from a raw 32-byte CURVE public key."""
    return NodeId(short_digest(public_key).hex())


def pack_node(node: NodeId) -> bytes:
    """Pack a node id into its 8 bytes.

    Raises:
        PeerError: `node` is not 16 hexadecimal digits.
    """
    try:
        packed = bytes.fromhex(node)
    except ValueError as error:
        raise PeerError(f"not a node id: {node!r}") from error
    if len(packed) != 8:
        raise PeerError(f"not a node id: {node!r}")
    return packed


def unpack_node(packed: bytes) -> NodeId:
    """Print the node id that 8 packed bytes name."""
    return NodeId(packed.hex())


def new_job_id(wall_ms: int, rng: Random) -> JobId:
    """Make a job id that sorts by time and needs no coordination.

    Args:
        wall_ms: Milliseconds since the Unix epoch on this machine's clock.
        rng: The injected random generator.
    """
    value = (max(0, wall_ms - _EPOCH_2020_MS) & ((1 << 41) - 1)) << 39 | rng.getrandbits(39)
    return unpack_job(value.to_bytes(_JOB_BYTES, "big"))


@lru_cache(4096)
def pack_job(job: JobId) -> bytes:
    """Pack a job id into its 10 bytes.

    Raises:
        PeerError: `job` is not 16 characters of Crockford base 32.
    """
    if len(job) != _JOB_CHARS:
        raise PeerError(f"not a job id: {job!r}")
    value = 0
    for letter in job:
        digit = _CROCKFORD_VALUE.get(letter)
        if digit is None:
            raise PeerError(f"not a job id: {job!r}")
        value = value << 5 | digit
    return value.to_bytes(_JOB_BYTES, "big")


@lru_cache(4096)
def unpack_job(packed: bytes) -> JobId:
    """Print the job id that 10 packed bytes name."""
    value = int.from_bytes(packed, "big")
    return JobId("".join(_CROCKFORD[value >> shift & 31] for shift in range(75, -1, -5)))


def task_id_of(job: JobId) -> str:
    """Derive the nine digits by which services of render farms name a job; the same on every machine.

    Not unique: among 1,000 jobs two share theirs once in 1,800 farms. Whoever reads one must say so when it means two.

    Raises:
        PeerError: `job` is not 16 characters of Crockford base 32.
    """
    digest = int.from_bytes(short_digest(pack_job(job)), "big")
    return str(_FIRST_TASK_ID + digest % (10 * _FIRST_TASK_ID - _FIRST_TASK_ID))


class AttemptId(NamedTuple):
    """One try of one task: unique because a leader never numbers twice within a term that it remembers."""

    term: int
    leader: NodeId
    n: int

    def __str__(self) -> str:
        return f"{self.term}.{self.leader}.{self.n}"


class AttemptRef(NamedTuple):
    """The whole name of an attempt: job, task, attempt id."""

    job: JobId
    task: TaskIndex
    attempt: AttemptId

    def __str__(self) -> str:
        return f"{self.job}/{self.task}/{self.attempt}"


class BlobAddress(NamedTuple):
    """Where a blob lives in every content store: xxHash64 (seed 0), size in bytes, MD5 (16 raw bytes).

    Looked up by the first two, taken for equal only when the MD5 agrees too.
    """

    xxh64: int
    size: int
    md5: bytes

    def __str__(self) -> str:
        return f"{self.xxh64:016x}-{self.size}-{self.md5.hex()}"


def parse_blob_address(text: str) -> BlobAddress:
    """Read a printed blob address.

    Raises:
        PeerError: `text` is not of the form `xxh64hex-size-md5hex`.
    """
    parts = text.split("-")
    try:
        xxh64, size, md5 = int(parts[0], 16), int(parts[1]), bytes.fromhex(parts[2])
    except (ValueError, IndexError) as error:
        raise PeerError(f"not a blob address: {text!r}") from error
    if len(parts) != 3 or len(md5) != 16 or size < 0 or xxh64 >= 1 << 64:
        raise PeerError(f"not a blob address: {text!r}")
    return BlobAddress(xxh64, size, md5)
