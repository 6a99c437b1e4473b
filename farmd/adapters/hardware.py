"""What this machine is and how it feels: processors, memory, GPUs; free memory, free disk, load.

Decides what counts as offered: what the machine has, within the limits of the cgroup that the daemon lives in (a
container or a slice that is promised 8 GiB does not have the host's 64), unless `--advertise` says otherwise.
Whatever cannot be found out is 0 or absent, never a guess; a machine without the NVIDIA driver simply has no GPU.

Called by the daemon at start (`offer`) and about once a second (`measure`).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from protocol.bodies import Gpu
from protocol.errors import UsageError
from protocol.human import nearest_word, parse_size

_PROC: Final = Path("/proc")
_CGROUP: Final = Path("/sys/fs/cgroup")
ADVERTISED_MODEL: Final = "advertised"
DEFAULT_ADVERTISED_VRAM: Final = 24 << 30


@dataclass(frozen=True, slots=True)
class Offer:
    """What a node offers."""

    cores: int
    ram_bytes: int
    gpus: tuple[Gpu, ...] = ()


class Measurement(NamedTuple):
    """The state of the machine now."""

    free_ram_bytes: int
    free_disk_bytes: int
    load: float
    disk_bytes: int = 0


def offer(advertised: str = "", proc: Path = _PROC, cgroup: Path = _CGROUP) -> Offer:
    """Find out what this machine has; the folders are arguments so that tests can bring their own.

    Args:
        advertised: The text of `--advertise`, which replaces parts of what is found.
        proc: Where the kernel tells about processes and memory.
        cgroup: Root of the cgroups.

    Raises:
        UsageError: `advertised` cannot be read.
    """
    found = Offer(_cores(proc, cgroup), _ram_bytes(proc, cgroup), find_gpus())
    return advertise(advertised, found) if advertised else found


def measure(data_dir: Path, proc: Path = _PROC, cgroup: Path = _CGROUP) -> Measurement:
    """Measure free memory, free disk under the data dir, and the one-minute load."""
    free = _meminfo(proc).get("MemAvailable", 0)
    for folder in _own_cgroups(proc, cgroup):
        limit = _number(folder / "memory.max")
        used = _number(folder / "memory.current")
        if limit is not None and used is not None:
            free = min(free, max(0, limit - used + _reclaimable(folder)))
    try:
        disk = shutil.disk_usage(data_dir)
    except OSError:
        return Measurement(free, 0, os.getloadavg()[0])
    return Measurement(free, disk.free, os.getloadavg()[0], disk.total)


def _cores(proc: Path, cgroup: Path) -> int:
    cores = float(len(os.sched_getaffinity(0)))
    for folder in _own_cgroups(proc, cgroup):
        quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
        if quota.isdigit() and period.isdigit():
            cores = min(cores, int(quota) / int(period))
    return max(1, int(cores))


def _ram_bytes(proc: Path, cgroup: Path) -> int:
    limits = [_number(folder / "memory.max") for folder in _own_cgroups(proc, cgroup)]
    return min([_meminfo(proc).get("MemTotal", 0), *(limit for limit in limits if limit is not None)])


def _meminfo(proc: Path) -> dict[str, int]:
    """Read /proc/meminfo in bytes."""
    lines = (line.split() for line in _text(proc / "meminfo").splitlines())
    return {words[0].rstrip(":"): int(words[1]) << 10 for words in lines if len(words) == 3 and words[1].isdigit()}


def _own_cgroups(proc: Path, cgroup: Path) -> list[Path]:
    """List the folders of our cgroup (v2) and of all above it: any of them may set a limit."""
    own = next((line[3:] for line in _text(proc / "self/cgroup").splitlines() if line.startswith("0::")), "")
    if not own:
        return []
    inner = cgroup / own.lstrip("/")
    return [inner, *(parent for parent in inner.parents if parent == cgroup or cgroup in parent.parents)]


def _reclaimable(folder: Path) -> int:
    """Page cache counts as used in a cgroup, and goes when it is needed."""
    for line in _text(folder / "memory.stat").splitlines():
        if line.startswith("inactive_file "):
            return int(line.split()[1])
    return 0


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


_DRIVER_FILES: Final = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/proc/driver/nvidia/version"))
"""One of these is there where NVIDIA's driver is (the second is that of WSL)."""


def find_gpus() -> tuple[Gpu, ...]:
    """List NVIDIA GPUs by NVML, in the order of the driver; without driver or package there are none."""
    if not any(file.exists() for file in _DRIVER_FILES):
        return ()
    try:
        import pynvml  # with ctypes 2 MiB for ever
    except ImportError:
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return tuple(
            Gpu(
                _as_text(pynvml.nvmlDeviceGetUUID(handle)),
                _as_text(pynvml.nvmlDeviceGetName(handle)),
                int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
            )
            for handle in handles
        )
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _as_text(value: str | bytes) -> str:
    """Older bindings answer in bytes."""
    return value.decode() if isinstance(value, bytes) else value


# --advertise -----------------------------------------------------------------------------------------------------

_WORDS: Final = {"cores": "cores=8", "ram": "ram=64G", "gpu": "gpu=2", "vram": "vram=24G"}


def advertise(text: str, found: Offer) -> Offer:
    """Replace parts of an offer by what `--advertise` says, as in "ram=64G,gpu=2,cores=8,vram=24G".

    GPUs that are advertised beyond those found are named `advertised-0` and so on; `vram` speaks of all.

    Raises:
        UsageError: It cannot be read.
    """
    given: dict[str, str] = {}
    for part in filter(None, (item.strip() for item in text.split(","))):
        word, equals, value = part.partition("=")
        if word not in _WORDS:
            meant = nearest_word(word, _WORDS)
            hint = f"did you mean {meant}?" if meant else f"for example {','.join(_WORDS.values())}"
            raise UsageError(f"--advertise: {part!r} cannot be read", "it knows cores, ram, gpu and vram", hint)
        if not equals or not value or word in given:
            raise UsageError(f"--advertise: {part!r} cannot be read", "each word once, with a value", _WORDS[word])
        given[word] = value
    offered = found
    if "cores" in given:
        offered = replace(offered, cores=_whole("cores", given["cores"], least=1))
    if "ram" in given:
        offered = replace(offered, ram_bytes=parse_size(given["ram"]))
    return replace(offered, gpus=_advertised_gpus(given, found.gpus))


def _advertised_gpus(given: dict[str, str], found: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    count = _whole("gpu", given["gpu"], least=0) if "gpu" in given else len(found)
    vram_bytes = parse_size(given["vram"]) if "vram" in given else None
    invented = (
        Gpu(f"advertised-{index}", ADVERTISED_MODEL, DEFAULT_ADVERTISED_VRAM) for index in range(count - len(found))
    )
    gpus = (*found[:count], *invented)
    return gpus if vram_bytes is None else tuple(gpu._replace(vram_bytes=vram_bytes) for gpu in gpus)


def _whole(word: str, text: str, least: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= 4096:
        raise UsageError(
            f"--advertise: {word}={text} cannot be read", f"it is a whole number from {least}", _WORDS[word]
        )
    return int(text)
