"""How fast one large file, or many small ones, get from one node to another, encrypted and verified.

Two real daemons on loopback, and in the same run, one after the other in each round, rsync, syncthing and libtorrent
with the same files (see `benchmarks.carriers` for what is timed: until the farm has confirmed the MD5 of everything, and,
as `verified`, until each piece of it is verified). Each round has files of its own, and nothing is deleted before the
end: ext4 searches for minutes around inodes that were freed, which made a new file cost five times as much.
First the page cache is filled, as it is on a machine in use: on a virtual machine whose host takes free memory back, the
first touch of a gigabyte costs 3 s, so that one program would pay it and the next one would not.

    python -m benchmarks.transfer [--megabytes 1024] [--rounds 3] [--only farm,rsync]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from hashlib import md5
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from benchmarks import carriers, peers
from benchmarks.farm_carrier import FarmCarrier
from benchmarks.harness import SCRATCH, finish, median, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.carrying import Carrier

MIB = 1 << 20
MOST_FILLED = 64 << 30
VERIFIED = "_verified"


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1024)
    add_options(parser)
    asked = parser.parse_args()

    def make(folder: Path, seed: int) -> None:
        write_file(folder / "large.bin", asked.megabytes * MIB, seed)

    seconds = measure(make, asked.rounds, asked.only)
    size = asked.megabytes * MIB
    figures = {f"{name}_mb_per_s": median(size / one / 1e6 for one in found) for name, found in seconds.items()}
    finish("transfer", ratios_of(seconds), {**figures, "megabytes": size / 1e6, "rounds": asked.rounds})


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what both benchmarks of transfers know."""
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", default="", metavar="NAMES", help="only these, with commas: farm,rsync,syncthing,libtorrent"
    )


def write_file(path: Path, size: int, seed: int) -> None:
    """Write bytes that nobody has seen."""
    random = Random(seed)
    with path.open("wb") as file:
        for at in range(0, size, MIB):
            file.write(random.randbytes(min(MIB, size - at)))


def measure(make: Callable[[Path, int], None], rounds: int, only: str) -> dict[str, list[float]]:
    """Return the seconds that each program took in each round."""
    wanted = only.split(",") if only else []
    python = peers.environment("libtorrent") if not wanted or "libtorrent" in wanted else None
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="farm-benchmark-", dir=SCRATCH) as name, ExitStack() as stack:
        scratch = Path(name)
        known = {
            one: stack.enter_context(carrier)
            for one, carrier in carriers.known(scratch, python)
            if not wanted or one in wanted
        }
        fill_page_cache(scratch)
        for number in range(rounds + 1):
            source = scratch / f"round{number}"
            source.mkdir()
            make(source, number)
            for one, took in round_of(known, source, scratch).items():
                if number:  # the first one warms up
                    seconds.setdefault(one, []).append(took)
    return seconds


def round_of(known: Mapping[str, Carrier], source: Path, scratch: Path) -> dict[str, float]:
    """Have each carry the same files, and return how many seconds it took, of the farm also until all was verified."""
    found = {}
    for one, carrier in known.items():
        target = scratch / f"{source.name}-to-{one}"
        target.mkdir()
        os.sync()
        found[one] = carrier.carry(source, target)
        say(f"{source.name}: {one} {found[one]:.2f} s")
        if isinstance(carrier, FarmCarrier):
            found[f"{one}{VERIFIED}"] = carrier.verified_s
        if one != "farm":
            assert digest(target) == digest(source), f"{one} brought something else"
    return found


def fill_page_cache(scratch: Path) -> None:
    """Read a file of holes until the memory that nobody has used is used."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(fields["MemFree"].split()[0]) << 10
    path = scratch / "holes"
    with path.open("wb") as file:
        file.truncate(min(free, MOST_FILLED))
    say(f"filling {min(free, MOST_FILLED) / 1e9:.0f} GB of page cache")
    with path.open("rb", buffering=0) as file:
        while file.read(MIB):
            pass


def digest(folder: Path) -> str:
    """Hash all files of a folder and of what is below it, by name."""
    whole = md5(usedforsecurity=False)
    for path in sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.name):
        if path.name.startswith("."):
            continue
        whole.update(path.name.encode())
        with path.open("rb") as file:
            while data := file.read(MIB):
                whole.update(data)
    return whole.hexdigest()


def ratios_of(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """Compare round by round, once until all MD5 are confirmed and once until all pieces are verified; over 1 is faster."""
    ratios = {}
    for suffix in ("", VERIFIED):
        ours = seconds.get(f"farm{suffix}", [])
        for name, theirs in seconds.items():
            if ours and not name.startswith("farm"):
                ratio = median(their / our for our, their in zip(ours, theirs, strict=True))
                ratios[f"{suffix.lstrip('_')}_vs_{name}".lstrip("_")] = ratio
    return ratios


if __name__ == "__main__":
    main()
