"""Bodies of replicated rows, by kind: msgpack arrays that grow only at the end.

The JOB row's body is `protocol.jobspec`; all others are here. A body that cannot be read is skipped by the folds and
still relayed: a newer node may know better.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import msgpack

from protocol.codec import decoder_of
from protocol.ids import BlobAddress, NodeId
from protocol.plaindata import unpack

Body = TypeVar("Body")


class FarmBody(NamedTuple):
    """FARM: the farm's name and its Ed25519 verify key (32 bytes)."""

    name: str
    verify_key: bytes


class KeyBody(NamedTuple):
    """KEY: an admitted CURVE public key (32 raw bytes), its role and who admitted it; or that it was evicted, and why."""

    public_key: bytes
    role: str
    admitted_by: str
    revoked: bool = False
    actor: str = ""
    why: str = ""
    token: str = ""
    """Of the invitation that it came with: the digits that name it."""
    name: str = ""
    """What the machine called itself when it asked to join; for people, and all that is known until its NODE row."""
    address: str = ""
    """Where it said that it listens when it asked to join."""


class Gpu(NamedTuple):
    """One GPU slot, named by its UUID."""

    uuid: str
    model: str
    vram_bytes: int


class RendererFact(NamedTuple):
    """A renderer found on a node: name, version ("3.4.1"), features ("cycles", "eevee", "oidn", …)."""

    name: str
    version: str
    features: tuple[str, ...] = ()


class NodeBody(NamedTuple):
    """NODE: what a node is and can do.

    Attributes:
        name: For people; not an identity.
        address: HOST:PORT where its ROUTER listens.
        epoch: Raised at each start.
        cores: Logical processors offered.
        ram_bytes: Memory offered.
        gpus: GPU slots offered.
        slots: Most attempts at once; 0 = bounded by the other resources alone.
        renderers: What it can render with.
        software: Version of farmd.
        oldest_version: Of the wire protocol.
        newest_version: Of the wire protocol.
    """

    name: str
    address: str
    epoch: int
    cores: int
    ram_bytes: int
    gpus: tuple[Gpu, ...]
    slots: int
    renderers: tuple[RendererFact, ...]
    software: str
    oldest_version: int
    newest_version: int


class ControlBody(NamedTuple):
    """JOB_CONTROL and NODE_CONTROL: the register's value, who set it and why.

    Attributes:
        value: PAUSED, CANCELLED, DELETED, GIVEN_UP, HELD: 0 or 1. PRIORITY: 0..100. GATE: 1 approved, 2 rejected.
            REQUEUE: the new generation of the tasks. EDITED: a number, or -1 for what was submitted. PRICE: of an hour,
            in millionths. TOLD: 1 delivered, 2 given up, 0 the job has moved on to what the hook does not want.
        actor: Who asked ("anna@ws07", or "farmd" for an automatic one).
        why: Free text, may be empty.
        generation: GATE: generation of the test tasks that was looked at. TOLD: which time the job was in that state.
        digests: GATE: output digests that were looked at.
        text: EDITED: the value of a field that holds a text. HELD: "drain" if that was the word. REPLACED: a node id.
            TOLD: the event that was told, without its "job.".
        until_ms: HELD: when the node itself lets go, by its own wall clock; 0 = when somebody releases it.
    """

    value: int
    actor: str
    why: str = ""
    generation: int = 0
    digests: tuple[BlobAddress, ...] = ()
    text: str = ""
    until_ms: int = 0


class OutputFact(NamedTuple):
    """One output file of an attempt: name inside the output folder, its blob, and that of a small view of it if any."""

    name: str
    blob: BlobAddress
    thumbnail: BlobAddress | None = None


class AttemptBody(NamedTuple):
    """ATTEMPT: one try of one task on one node.

    Attributes:
        node: Where it ran.
        epoch: That node's life.
        generation: Of the task when it was granted.
        state: `protocol.states.AttemptState` number.
        cause: `protocol.states.FailureClass` number, 0 while it runs or when done.
        started_ms: Wall clock of the node.
        ended_ms: Wall clock of the node, 0 while running.
        exit_code: Of the process; negative = ended by that signal; 0 otherwise.
        peak_ram_bytes: Largest resident set seen.
        outputs: Files that it left, in name order.
        text: One line: what went wrong, or empty.
        last_lines: Tail of its log (at most 2 KiB) when it failed.
        price: What an hour of its share of the machine cost when it started, in millionths; 0 = no price was set,
            -1 = it costs nothing.
        actor: Who wanted that it stopped; empty = nobody did.
    """

    node: NodeId
    epoch: int
    generation: int
    state: int
    cause: int = 0
    started_ms: int = 0
    ended_ms: int = 0
    exit_code: int = 0
    peak_ram_bytes: int = 0
    outputs: tuple[OutputFact, ...] = ()
    text: str = ""
    last_lines: str = ""
    price: int = 0
    actor: str = ""


class HoldingBody(NamedTuple):
    """HOLDING: what a node holds.

    Attributes:
        runs: OUTPUTS, DELIVERED and LOST: runs (first, last) of task indexes.
        complete: ASSETS: True while all files are here; set back when the store turns out to have lost some.
    """

    runs: tuple[tuple[int, int], ...] = ()
    complete: bool = True


class PathRuleBody(NamedTuple):
    """PATH_RULE: a path rule of the farm (`protocol.pathrules`).

    Attributes:
        value: 1 = it holds; 0 = it was removed. Removed is a value like any other: a later row may set it again.
        actor: Who asked.
        written: Prefix as it was typed.
        becomes: Its replacement.
        platform: Of the machines that it holds on.
        note: What for, or why it was removed; may be empty.
    """

    value: int
    actor: str
    written: str
    becomes: str
    platform: str
    note: str = ""


class UserBody(NamedTuple):
    """USER: a person, or everybody who is not listed.

    Attributes:
        role: One of `protocol.people.ROLES`.
        actor: Who asked.
        full_name: For people; may be empty.
        removed: No longer listed. A value like any other: a later row may list the person again, for another life.
        life: How often the person was listed; tokens and keys of an earlier time are good for nothing.
    """

    role: str
    actor: str
    full_name: str = ""
    removed: bool = False
    life: int = 1


class CredentialBody(NamedTuple):
    """USER, with an id in its key: a token or a key with which a person proves to be it, or the end of a life.

    Attributes:
        what: "token", "key" or "life".
        proof: SHA-256 of the token, or the CURVE public key: 32 raw bytes either way; nothing for a life.
        actor: Who made it.
        label: What for; may be empty.
        made_ms: Wall clock of the node where it was made.
        life: `UserBody.life` at that time.
    """

    what: str
    proof: bytes
    actor: str
    label: str = ""
    made_ms: int = 0
    life: int = 1


class HookBody(NamedTuple):
    """HOOK: who is told of jobs and alerts (`protocol.hooks`).

    Attributes:
        kind: "url" or "command".
        target: The address, or the words of the command as a shell would read them; empty once it is removed.
        events: Patterns of what it is told of.
        made_ms: Wall clock of the node where it was made: jobs that ended before are not told.
        made_by: Who asked for it.
        style: What a URL is sent: "json", "slack" or "discord".
        secret: Signs what a URL is sent; empty: it is not signed.
        node: Who tells it; empty: whoever leads.
        note: What for, or why it was removed; may be empty.
        removed: For ever; the rank says the same.
    """

    kind: str
    target: str
    events: tuple[str, ...]
    made_ms: int
    made_by: str
    style: str = "json"
    secret: str = ""
    node: str = ""
    note: str = ""
    removed: bool = False


class SignerBody(NamedTuple):
    """SIGNER: a key that signs invitations.

    Attributes:
        actor: Who added or retired it.
        node: Where that was asked: the machine that has its secret half, if it was added there.
        label: What for; may be empty.
        made_ms: Wall clock of that node; 0 for the key that founded the farm.
    """

    actor: str
    node: str
    label: str = ""
    made_ms: int = 0


def pack_body(body: tuple[object, ...]) -> bytes:
    """Pack any of the bodies above."""
    packed: bytes = msgpack.packb(body)
    return packed


def unpack_body(cls: type[Body], data: bytes) -> Body:
    """Read a body back, strictly.

    Raises:
        PeerError: `data` is no such body.
    """
    body: Body = decoder_of(cls)(unpack(data))
    return body
