"""What a node offers, what its live attempts take, and whether a task's need fits into the rest.

Free resources are *derived* from the live attempts each time, never kept as a counter that can drift (a farm whose
reserved memory never returned to zero is a known disease of the field). GPUs are slots named by UUID.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocol.reasons import ReasonCode

if TYPE_CHECKING:
    from protocol.bodies import NodeBody
    from protocol.ids import AttemptRef, NodeId
    from protocol.jobspec import JobSpec


MIN_FREE_BYTES = 16 << 20
"""With less free space under its data dir a node accepts nothing new: what was accepted must stay storable."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one task of a job needs; equal needs share one place in the scheduler's index.

    Attributes:
        renderer: Name of the renderer; "command" fits every node.
        version: Version prefix that the renderer must have ("" = any).
        cores: Processors; 0 = the node's share for one slot.
        ram_bytes: Memory; 0 = not said.
        gpus: GPU slots.
        vram_bytes: Memory that each of these slots must have.
    """

    renderer: str
    version: str = ""
    cores: int = 0
    ram_bytes: int = 0
    gpus: int = 0
    vram_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """What a live attempt takes from its node."""

    cores: int
    ram_bytes: int
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a need does not fit: the requirement, what it needs and what is there."""

    code: ReasonCode
    needs: int | str
    has: int | str


def need_of(spec: JobSpec, extra_ram_bytes: int = 0) -> Need:
    """Derive the need of one task from its job; `extra_ram_bytes` raises the memory after an out-of-memory end."""
    wants = spec.requirements
    cores = wants.cores or (1 if spec.renderer == "command" else 0)
    return Need(
        renderer=spec.renderer,
        version=wants.renderer_version,
        cores=cores,
        ram_bytes=max(wants.ram_bytes, extra_ram_bytes),
        gpus=wants.gpus,
        vram_bytes=wants.vram_bytes,
    )


@dataclass(slots=True)
class Capacity:
    """One node's offer and what lives on it.

    Attributes:
        node: Whose.
        body: Its NODE row.
        claims: Live attempts (running, or granted and not refused yet) and what each takes.
    """

    node: NodeId
    body: NodeBody
    claims: dict[AttemptRef, Claim] = field(default_factory=dict)

    @property
    def free_cores(self) -> int:
        """Processors that no live attempt takes."""
        return self.body.cores - sum([claim.cores for claim in self.claims.values()])

    @property
    def free_ram_bytes(self) -> int:
        """Memory that no live attempt takes."""
        return self.body.ram_bytes - sum([claim.ram_bytes for claim in self.claims.values()])

    @property
    def free_gpus(self) -> tuple[str, ...]:
        """UUIDs of GPU slots that no live attempt takes."""
        taken = dict.fromkeys(uuid for claim in self.claims.values() for uuid in claim.gpus)
        return tuple([gpu.uuid for gpu in self.body.gpus if gpu.uuid not in taken])

    @property
    def slot_free(self) -> bool:
        """True if one more attempt may live here at all."""
        return self.body.slots == 0 or len(self.claims) < self.body.slots

    def cores_of(self, need: Need) -> int:
        """Processors that the need takes here: 0 means the share of one slot (the whole node if it has none)."""
        if need.cores:
            return need.cores
        return max(1, self.body.cores // max(1, self.body.slots))

    def never_fits(self, need: Need) -> Misfit | None:
        """Check the need against the empty node: a misfit here never goes away by waiting."""
        body = self.body
        if need.renderer != "command":
            facts = [fact for fact in body.renderers if fact.name == need.renderer]
            if not facts:
                return Misfit(ReasonCode.NO_NODE_HAS_RENDERER, need.renderer, "not installed")
            if need.version and not any(_version_matches(fact.version, need.version) for fact in facts):
                found = ", ".join(fact.version for fact in facts)
                return Misfit(ReasonCode.NO_NODE_HAS_RENDERER, f"{need.renderer} {need.version}", found)
        if need.ram_bytes > body.ram_bytes:
            return Misfit(ReasonCode.NO_NODE_FITS_RAM, need.ram_bytes, body.ram_bytes)
        if self.cores_of(need) > body.cores:
            return Misfit(ReasonCode.NO_NODE_FITS_CORES, need.cores, body.cores)
        if need.gpus > len(body.gpus):
            return Misfit(ReasonCode.NO_NODE_FITS_GPU, need.gpus, len(body.gpus))
        roomy = [gpu for gpu in body.gpus if gpu.vram_bytes >= need.vram_bytes]
        if need.gpus > len(roomy):
            largest = max((gpu.vram_bytes for gpu in body.gpus), default=0)
            return Misfit(ReasonCode.NO_NODE_FITS_VRAM, need.vram_bytes, largest)
        return None

    def fit_now(self, need: Need) -> Claim | None:
        """Return what the need would take here now, or None if it does not fit beside what lives here.

        The caller has checked `never_fits`.
        """
        cores = self.cores_of(need)
        if not self.slot_free or cores > self.free_cores or need.ram_bytes > self.free_ram_bytes:
            return None
        if not need.gpus:
            return Claim(cores, need.ram_bytes)
        free = dict.fromkeys(self.free_gpus)
        gpus = [gpu for gpu in self.body.gpus if gpu.uuid in free and gpu.vram_bytes >= need.vram_bytes]
        if len(gpus) < need.gpus:
            return None
        gpus.sort(key=lambda gpu: (gpu.vram_bytes, gpu.uuid))
        return Claim(cores, need.ram_bytes, tuple(gpu.uuid for gpu in gpus[: need.gpus]))


def _version_matches(version: str, wanted: str) -> bool:
    have, want = version.split("."), wanted.split(".")
    return have[: len(want)] == want
