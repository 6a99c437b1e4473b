"""The replicated record: one row, one writer, one total order between its versions.

A row is named by (kind, pk). Its *stamp* (rank, ver, hlc, origin) orders all versions of it totally, so joining two
replicas is taking the larger stamp: commutative, associative, idempotent. `rank` makes states absorbing: a *done*
attempt outranks a running one, a *deleted* job outranks everything. `ver` is a causal counter compared before time:
a machine with a wrong clock can win one concurrent conflict but never block a later override.

(origin, seq) names the same version in the change stream of the database that wrote it. A sequence number is used
once in the whole life of a stream; a database that may have gone back in time takes a new origin.

Bodies are opaque here: they are stored and forwarded as the bytes received, so that an old node relays kinds and
fields that it does not know.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import xxhash

from protocol.errors import PeerError
from protocol.ids import AttemptId, AttemptRef, JobId, NodeId, TaskIndex, pack_job, pack_node, unpack_job, unpack_node
from protocol.pathrules import PLATFORMS, prefix_key


class Kind(IntEnum):
    """Kinds of replicated rows; numbers are for ever. A node relays kinds it does not know."""

    FARM = 1
    """pk empty: name of the farm and its Ed25519 public signing key."""
    KEY = 2
    """pk node: admitted CURVE public key and role; rank 1 = revoked."""
    NODE = 3
    """pk node: address, name, capabilities, software. Written by that node alone."""
    JOB = 4
    """pk job: the immutable specification. Written once, where it was submitted."""
    JOB_CONTROL = 5
    """pk job + field byte + sub-key: one register per field."""
    NODE_CONTROL = 6
    """pk node + field byte."""
    ATTEMPT = 7
    """pk job + task + attempt id. Written by the node that ran it, alone."""
    HOLDING = 8
    """pk node + what byte + job: what a node holds completely, or has delivered."""
    PATH_RULE = 9
    """pk platform byte + written prefix in its normal form: a path rule of the farm, or that it was removed."""
    USER = 10
    """pk name of a person, or name + NUL + id: proof of being it, or a life; rank 1 = revoked, over."""
    HOOK = 11
    """pk 8 random bytes: an address or a program that is told of jobs and alerts; rank 1 = removed."""
    SIGNER = 12
    """pk Ed25519 public key: it signs invitations, like the one that founded the farm; rank 1 = retired."""


class Rank(IntEnum):
    """Dominates everything else in a stamp: a higher rank absorbs."""

    NORMAL = 0
    ENDED = 1
    """A failed or stopped attempt; a cancelled job; a revoked key or token."""
    FINAL = 2
    """A done attempt; a deleted job."""


class JobField(IntEnum):
    """Registers of a job (second part of a JOB_CONTROL key)."""

    PAUSED = 1
    PRIORITY = 2
    CANCELLED = 3
    DELETED = 4
    GATE = 5
    REQUEUE = 6
    """Sub-key: first and last task index of the set, 4 bytes each."""
    GIVEN_UP = 7
    """No machine of the farm can render it; written by the leader, undone by any later REQUEUE."""
    EDITED = 8
    """Sub-key: the name of a field of the specification (`protocol.jobedits`), which this value stands in for."""
    ARCHIVED = 9
    """The job has ended and left the lists; undone by any later REQUEUE."""
    TOLD = 10
    """Sub-key: the key of a hook, and the value what that hook was told of the job last; written by who tells it."""


class NodeField(IntEnum):
    """Registers of a node (second part of a NODE_CONTROL key)."""

    HELD = 1
    PRICE = 2
    """Of an hour of the machine."""
    HARDWARE_PRICE = 3
    """The same for every machine of one configuration: eight zero bytes for the node, then its words as sub-key."""
    REPLACED = 4
    """It will not come back: the node whose id is the text keeps and delivers in its place."""


class HoldingWhat(IntEnum):
    """What a HOLDING row speaks of (its second byte group)."""

    ASSETS = 1
    """All files of the job's manifest are here, verified."""
    OUTPUTS = 2
    """Outputs of other nodes' attempts that this node keeps a copy of."""
    DELIVERED = 3
    """Tasks whose outputs this node has written into the output folder."""
    LOST = 4
    """Tasks whose result this node rendered, and whose outputs are gone from its store."""


class Rec(NamedTuple):
    """One version of one replicated row.

    Attributes:
        kind: A `Kind`, or a number this node does not know.
        pk: Primary key within the kind.
        ver: Causal counter: one more than the version that the writer saw.
        hlc: Stamp of `protocol.clock`.
        origin: Change stream that this version was written to.
        seq: Position in that stream, from 1.
        rank: A `Rank`.
        body: Opaque bytes (msgpack).
    """

    kind: int
    pk: bytes
    ver: int
    hlc: int
    origin: int
    seq: int
    rank: int
    body: bytes


def stamp(rec: Rec) -> tuple[int, int, int, int]:
    """Return what orders the versions of one row: larger wins."""
    return rec.rank, rec.ver, rec.hlc, rec.origin


def row_hash(rec: Rec) -> int:
    """Hash one version of a row to 64 bits; a replica's digest is the XOR over its rows."""
    head = f"{rec.kind}|{rec.ver}|{rec.hlc}|{rec.origin}|{rec.seq}|{rec.rank}|".encode()
    return xxhash.xxh64_intdigest(head + len(rec.pk).to_bytes(2, "big") + rec.pk + rec.body)


JOB_PREFIXED: frozenset[int] = frozenset({Kind.JOB, Kind.JOB_CONTROL, Kind.ATTEMPT})
"""Kinds whose key starts with the 10 bytes of a job id: dropped with the job when it is deleted."""


def job_pk(job: JobId) -> bytes:
    """Key of a JOB row."""
    return pack_job(job)


def job_control_pk(job: JobId, field: JobField, sub: bytes = b"") -> bytes:
    """Key of a JOB_CONTROL row."""
    return pack_job(job) + bytes((field,)) + sub


def node_control_pk(node: NodeId, field: NodeField) -> bytes:
    """Key of a NODE_CONTROL row."""
    return pack_node(node) + bytes((field,))


def hardware_price_pk(hardware: str) -> bytes:
    """Key of the NODE_CONTROL row that prices a configuration of hardware, not one node."""
    return bytes(8) + bytes((NodeField.HARDWARE_PRICE,)) + hardware.encode()


def attempt_pk(ref: AttemptRef) -> bytes:
    """Key of an ATTEMPT row: job, task, term, leader, n (30 bytes).

    Raises:
        PeerError: A number of the reference does not fit 32 bits, or an id is none.
    """
    try:
        task, term, n = (number.to_bytes(4, "big") for number in (ref.task, ref.attempt.term, ref.attempt.n))
    except OverflowError as error:
        raise PeerError(f"not an attempt: {ref}") from error
    return pack_job(ref.job) + task + term + pack_node(ref.attempt.leader) + n


def attempt_ref_of(pk: bytes) -> AttemptRef:
    """Read the key of an ATTEMPT row back (the inverse of `attempt_pk`)."""
    big = int.from_bytes
    attempt = AttemptId(big(pk[14:18], "big"), unpack_node(pk[18:26]), big(pk[26:30], "big"))
    return AttemptRef(unpack_job(pk[:10]), TaskIndex(big(pk[10:14], "big")), attempt)


def holding_pk(node: NodeId, what: HoldingWhat, job: JobId) -> bytes:
    """Key of a HOLDING row."""
    return pack_node(node) + bytes((what,)) + pack_job(job)


def path_rule_pk(written: str, platform: str) -> bytes:
    """Key of a PATH_RULE row: two spellings of one prefix have the same."""
    return bytes((PLATFORMS.index(platform),)) + prefix_key(written).encode()


LIFE = "life"
"""Beginning of what stands in the place of a credential's id where a life of its person is ended."""


def user_pk(name: str) -> bytes:
    """Key of the USER row of a person."""
    return name.encode()


def credential_pk(name: str, credential: str) -> bytes:
    """Key of the USER row of a person's token or key: each is a row of its own, so that revoked ones stay so."""
    return name.encode() + b"\0" + credential.encode()


def life_pk(name: str, life: int) -> bytes:
    """Key of the USER row that ends a life of a person; ids of credentials are hex digits, so none is like it."""
    return credential_pk(name, f"{LIFE}{life}")


def job_of(rec: Rec) -> JobId:
    """Return the job that a JOB, JOB_CONTROL or ATTEMPT row belongs to."""
    return unpack_job(rec.pk[:10])
