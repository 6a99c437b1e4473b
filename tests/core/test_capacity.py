"""Needs against offers: what never fits, what does not fit now, and what is left."""

from __future__ import annotations

import pytest

from farmd.core.capacity import Capacity, Claim, Need, need_of
from protocol.bodies import Gpu, NodeBody, RendererFact
from protocol.ids import AttemptId, AttemptRef, JobId, NodeId, TaskIndex
from protocol.jobspec import JobSpec, Requirements
from protocol.reasons import ReasonCode

GIB = 1 << 30
NODE = NodeId("00" * 8)


def ref(n: int) -> AttemptRef:
    return AttemptRef(JobId("0" * 16), TaskIndex(n), AttemptId(1, NODE, n))


def capacity(*, cores: int = 8, ram: int = 32, slots: int = 0, gpus: tuple[Gpu, ...] = ()) -> Capacity:
    renderers = (RendererFact("blender", "3.4.1"),)
    return Capacity(NODE, NodeBody("n", "h:1", 1, cores, ram * GIB, gpus, slots, renderers, "0", 1, 1))


def gpu(name: str, vram: int) -> Gpu:
    return Gpu(name, "model", vram * GIB)


@pytest.mark.parametrize(
    ("need", "code"),
    [
        (Need("command", ram_bytes=64 * GIB), ReasonCode.NO_NODE_FITS_RAM),
        (Need("command", cores=9), ReasonCode.NO_NODE_FITS_CORES),
        (Need("command", gpus=3), ReasonCode.NO_NODE_FITS_GPU),
        (Need("command", gpus=2, vram_bytes=16 * GIB), ReasonCode.NO_NODE_FITS_VRAM),
        (Need("mitsuba"), ReasonCode.NO_NODE_HAS_RENDERER),
        (Need("blender", version="4"), ReasonCode.NO_NODE_HAS_RENDERER),
        (Need("blender", version="3.40"), ReasonCode.NO_NODE_HAS_RENDERER),
    ],
)
def test_need_beyond_the_empty_node_never_fits_and_says_why(need: Need, code: ReasonCode) -> None:
    misfit = capacity(gpus=(gpu("a", 8), gpu("b", 24))).never_fits(need)
    assert misfit is not None
    assert misfit.code is code


@pytest.mark.parametrize("version", ["", "3", "3.4", "3.4.1"])
def test_version_prefix_that_is_installed_fits(version: str) -> None:
    assert capacity().never_fits(Need("blender", version=version)) is None


def test_live_attempts_take_from_what_is_free_and_give_it_back() -> None:
    node = capacity(cores=4, ram=16)
    need = Need("command", cores=3, ram_bytes=10 * GIB)
    claim = node.fit_now(need)
    assert claim == Claim(3, 10 * GIB)
    node.claims[ref(1)] = claim
    assert (node.free_cores, node.free_ram_bytes) == (1, 6 * GIB)
    assert node.fit_now(need) is None
    del node.claims[ref(1)]
    assert node.fit_now(need) == claim


def test_slots_bound_the_number_of_attempts_whatever_else_is_free() -> None:
    node = capacity(cores=64, slots=2)
    for n in range(2):
        node.claims[ref(n)] = Claim(1, 0)
    assert node.fit_now(Need("command", cores=1)) is None


def test_a_need_without_cores_takes_the_share_of_one_slot() -> None:
    assert capacity(cores=8, slots=2).cores_of(Need("blender")) == 4
    assert capacity(cores=8, slots=0).cores_of(Need("blender")) == 8
    assert capacity(cores=1, slots=4).cores_of(Need("blender")) == 1


def test_gpus_are_named_slots_and_the_smallest_that_fits_goes_first() -> None:
    node = capacity(gpus=(gpu("big", 48), gpu("small", 8), gpu("mid", 24)))
    claim = node.fit_now(Need("command", cores=1, gpus=1, vram_bytes=16 * GIB))
    assert claim is not None
    assert claim.gpus == ("mid",)
    node.claims[ref(1)] = claim
    assert node.free_gpus == ("big", "small")
    second = node.fit_now(Need("command", cores=1, gpus=2))
    assert second is not None
    assert second.gpus == ("small", "big")


def test_memory_after_an_out_of_memory_end_raises_the_need() -> None:
    spec = JobSpec("j", "anna", 0, NODE, "blender", requirements=Requirements(ram_bytes=8 * GIB))
    assert need_of(spec).ram_bytes == 8 * GIB
    assert need_of(spec, 12 * GIB).ram_bytes == 12 * GIB
    assert need_of(spec, 4 * GIB).ram_bytes == 8 * GIB


def test_a_command_takes_one_core_unless_it_asks_for_more() -> None:
    assert need_of(JobSpec("j", "anna", 0, NODE, "command", command="true")).cores == 1
