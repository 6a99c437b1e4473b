"""What a node offers: the machine within its cgroup, or what `--advertise` says."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from farmd.adapters import hardware
from farmd.adapters.hardware import Offer, advertise, measure, offer
from protocol.bodies import Gpu
from protocol.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

MEMINFO = "MemTotal:       16384 kB\nMemFree:         1000 kB\nMemAvailable:    8192 kB\nHugePages_Total:       0\n"
MIB = 1 << 20


@pytest.fixture
def machine(tmp_path: Path) -> tuple[Path, Path]:
    """A machine of 16 MiB; the daemon lives in a slice inside a slice."""
    proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(MEMINFO)
    (proc / "self/cgroup").write_text("0::/farm.slice/farmd.service\n")
    (cgroup / "farm.slice/farmd.service").mkdir(parents=True)
    return proc, cgroup


def test_this_machine_is_found() -> None:
    found = offer()
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert found.ram_bytes > 256 << 20


def test_machine_without_limits_offers_everything(machine: tuple[Path, Path]) -> None:
    assert offer("", *machine).ram_bytes == 16 * MIB


def test_limit_of_any_cgroup_above_counts(machine: tuple[Path, Path]) -> None:
    proc, cgroup = machine
    (cgroup / "farm.slice/memory.max").write_text(f"{4 * MIB}\n")
    (cgroup / "farm.slice/farmd.service/memory.max").write_text("max\n")
    (cgroup / "farm.slice/cpu.max").write_text("100000 100000\n")
    found = offer("", proc, cgroup)
    assert (found.cores, found.ram_bytes) == (1, 4 * MIB)


def test_unreadable_machine_offers_nothing_rather_than_a_guess(tmp_path: Path) -> None:
    assert offer("", tmp_path, tmp_path).ram_bytes == 0


def test_free_memory_respects_the_cgroup_and_counts_page_cache_as_free(machine: tuple[Path, Path]) -> None:
    proc, cgroup = machine
    folder = cgroup / "farm.slice"
    (folder / "memory.max").write_text(f"{4 * MIB}\n")
    (folder / "memory.current").write_text(f"{3 * MIB}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {MIB}\n")
    assert measure(folder, proc, cgroup).free_ram_bytes == 2 * MIB


def test_measurement_of_this_machine_is_plausible(tmp_path: Path) -> None:
    seen = measure(tmp_path)
    assert seen.free_ram_bytes > 0
    assert seen.free_disk_bytes > 0
    assert seen.load >= 0


def test_free_disk_of_a_folder_that_is_gone_is_0(tmp_path: Path) -> None:
    assert measure(tmp_path / "gone").free_disk_bytes == 0


FOUND = Offer(4, 8 << 30, (Gpu("GPU-1", "RTX", 8 << 30),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", FOUND),
        ("cores=8", Offer(8, 8 << 30, FOUND.gpus)),
        ("ram=64G, cores=2", Offer(2, 64 << 30, FOUND.gpus)),
        ("gpu=0", Offer(4, 8 << 30, ())),
        (
            "gpu=2,vram=24G",
            Offer(4, 8 << 30, (Gpu("GPU-1", "RTX", 24 << 30), Gpu("advertised-0", "advertised", 24 << 30))),
        ),
    ],
)
def test_advertise_replaces_parts_of_the_offer(text: str, expected: Offer) -> None:
    assert advertise(text, FOUND) == expected


@pytest.mark.parametrize(
    "text", ["core=8", "cores", "cores=", "cores=0", "cores=x", "cores=2,cores=3", "ram=64", "gpu=-1", "x"]
)
def test_unreadable_advertisement_is_refused_in_three_lines(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        advertise(text, FOUND)
    assert all((caught.value.what, caught.value.why, caught.value.hint))


def test_typo_in_the_advertisement_gets_a_proposal() -> None:
    with pytest.raises(UsageError) as caught:
        advertise("vrma=24G", FOUND)
    assert caught.value.hint == "did you mean vram?"


class _FakeNvml(SimpleNamespace):
    """A fake driver: no machine of ours has one."""

    class NVMLError(Exception):
        pass

    def __init__(self, fault: str = "") -> None:
        super().__init__(closed=False)
        self.fault = fault

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's name
        if self.fault == "init":
            raise self.NVMLError

    def nvmlShutdown(self) -> None:  # noqa: N802 - NVML's name
        self.closed = True

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - NVML's name
        if self.fault == "count":
            raise self.NVMLError
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802 - NVML's name
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> Any:  # noqa: N802 - NVML's name
        return b"GPU-0" if handle == 0 else "GPU-1"

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802 - NVML's name
        return "RTX A6000"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802 - NVML's name
        return SimpleNamespace(total=48 << 30)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hardware, "_DRIVER_FILES", (tmp_path,))


@pytest.mark.usefixtures("driver")
def test_gpus_are_named_by_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = _FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    assert hardware.find_gpus() == (Gpu("GPU-0", "RTX A6000", 48 << 30), Gpu("GPU-1", "RTX A6000", 48 << 30))
    assert fake.closed


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("fault", ["init", "count"])
def test_driver_that_fails_means_no_gpus(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", _FakeNvml(fault))
    assert hardware.find_gpus() == ()


def test_without_a_driver_the_package_is_not_even_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hardware, "_DRIVER_FILES", (tmp_path / "missing",))
    fake = _FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    assert hardware.find_gpus() == ()
    assert not fake.closed


@pytest.mark.usefixtures("driver")
def test_missing_package_means_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert hardware.find_gpus() == ()
