"""How fast 2,000 files of 50 KB get from one node to another, encrypted and verified; see `benchmarks.transfer`.

python -m benchmarks.small_files [--files 2000] [--kilobytes 50] [--rounds 3] [--only farm,rsync]
"""

from __future__ import annotations

import argparse
from random import Random
from typing import TYPE_CHECKING

from benchmarks.harness import finish, median
from benchmarks.transfer import add_options, measure, ratios_of

if TYPE_CHECKING:
    from pathlib import Path


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--kilobytes", type=int, default=50)
    add_options(parser)
    asked = parser.parse_args()

    def make(folder: Path, seed: int) -> None:
        write_files(folder, asked.files, asked.kilobytes * 1000, seed)

    seconds = measure(make, asked.rounds, asked.only)
    figures = {f"{name}_files_per_s": median(asked.files / one for one in found) for name, found in seconds.items()}
    finish("small_files", ratios_of(seconds), {**figures, "files": asked.files, "kilobytes": asked.kilobytes})


def write_files(folder: Path, count: int, size: int, seed: int) -> None:
    """Write many files, no two of them equal."""
    random = Random(seed)
    for number in range(count):
        (folder / f"tile.{number:05d}.exr").write_bytes(random.randbytes(size))


if __name__ == "__main__":
    main()
