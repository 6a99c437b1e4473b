"""How fast the files of a job are hashed, known again and brought to the node, each beside its limit.

    large   one file, MD5 and xxHash64, beside MD5 alone with the same reads; on one thread, and as farmctl does it
    small   files of 50 KB on all processors beside one thread
    mid     files of 20 MiB, the same
    again   the small files, unchanged: look at each, look it up, make the manifest; beside a loop of bare os.stat, and
            in processor time, which does not count when others had the processor
    submit  `farmctl submit` of new small files to a real daemon, durable when it returns; beside `cp` and `sync -f`

All files lie in the page cache. Rounds alternate between what is measured and its limit, and ratios are medians; since
the machine is shared, the best round is told too, and for many files the rounds in which it gave all processors, as MD5
of memory on all of them beside one says just before and after.

    python -m benchmarks.ingest [--rounds 7] [--files 2000] [--only large,small,mid,again,submit]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import ROOT, SCRATCH, Farm, finish, median, say
from farmd.ingest.hash_cache import HashCache
from farmd.ingest.hashing import READ_BYTES, hash_files
from farmd.ingest.manifest import encode_manifest, manifest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Figures = dict[str, Any]

SMALL_BYTES, MID_BYTES, LARGE_BYTES = 50_000, 20 << 20, 1 << 30
MID_FILES = 40
NO_NODE_HAS = "999T"
"""Of memory: nothing is checked out while the next round is measured."""
QUIET = 0.9
"""Of the processors: a round counts as quiet if the machine gave so many before and after it."""
AGAIN_ROUNDS = 10
"""Of the short part, for one of the others."""
PARTS = ("large", "small", "mid", "again", "submit")
CORES = os.cpu_count() or 1


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--only", default=",".join(PARTS))
    asked = parser.parse_args()
    figures: Figures = {}
    ratios: dict[str, float | None] = {}
    with tempfile.TemporaryDirectory(prefix="farm-benchmark-", dir=SCRATCH) as folder:
        for part in asked.only.split(","):
            found, told = globals()[f"measure_{part}"](Path(folder), asked.rounds, asked.files)
            ratios |= found
            figures |= told
            say(f"{part}: {json.dumps(found)} {json.dumps(told)}")
    finish("ingest", ratios, figures)


def made(folder: Path, files: int, size: int) -> list[Path]:
    """Write files of random bytes."""
    folder.mkdir()
    paths = [folder / f"texture_{number:05}.exr" for number in range(files)]
    for path in paths:
        with path.open("wb") as file:
            for _ in range(0, size, MID_BYTES):
                file.write(os.urandom(min(size, MID_BYTES)))
    return paths


def took(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure_large(folder: Path, rounds: int, _files: int) -> tuple[dict[str, float], Figures]:
    """One large file."""
    (path,) = made(folder / "large", 1, LARGE_BYTES)
    limits: list[float] = []
    one: list[float] = []
    all_: list[float] = []
    for _ in range(rounds):
        limits.append(took(lambda: bare_md5(path)))
        one.append(limits[-1] / took(lambda: hash_files([path], threads=1)))
        all_.append(took(lambda: bare_md5(path)) / took(lambda: hash_files([path])))
    path.unlink()
    ratios = {"large_one_thread_of_md5": median(one), "large_of_md5": median(all_)}
    return ratios, {"large_one_thread_best": max(one), "large_best": max(all_), "md5_mib_s": 1024 / median(limits)}


def bare_md5(path: Path) -> bytes:
    """Read a file as `hash_file` does, and do nothing but MD5."""
    md5, buffer = hashlib.md5(usedforsecurity=False), memoryview(bytearray(READ_BYTES))
    descriptor = os.open(path, os.O_RDONLY)
    while count := os.readv(descriptor, [buffer]):
        md5.update(buffer[:count])
    os.close(descriptor)
    return md5.digest()


def measure_small(folder: Path, rounds: int, files: int) -> tuple[dict[str, float], Figures]:
    """Many small files."""
    return _measure_many("small", made(folder / "small", files, SMALL_BYTES), rounds)


def measure_mid(folder: Path, rounds: int, _files: int) -> tuple[dict[str, float], Figures]:
    """Some files of 20 MiB."""
    return _measure_many("mid", made(folder / "mid", MID_FILES, MID_BYTES), rounds)


def _measure_many(name: str, paths: list[Path], rounds: int) -> tuple[dict[str, float], Figures]:
    data = os.urandom(MID_BYTES)
    gained: list[float] = []
    given: list[float] = [_given(data)]
    rates: list[float] = []
    for _ in range(rounds):
        one = took(lambda: hash_files(paths, threads=1))
        gained.append(one / (all_ := took(lambda: hash_files(paths))))
        given.append(_given(data))
        rates.append(len(paths) / all_)
    shutil.rmtree(paths[0].parent)
    quiet = [gain for at, gain in enumerate(gained) if min(given[at : at + 2]) >= QUIET * CORES]
    ratios = {f"{name}_of_one_thread": median(gained)} | ({f"{name}_in_quiet_rounds": median(quiet)} if quiet else {})
    figures = {f"{name}_files_s": median(rates), f"{name}_best_of_one_thread": max(gained)}
    return ratios, figures | {f"{name}_processors_given": median(given), f"{name}_quiet_rounds": len(quiet)}


def _given(data: bytes) -> float:
    """Say how many processors the machine gives at the moment."""
    return CORES * took(lambda: _md5_of_memory(data, 1)) / took(lambda: _md5_of_memory(data, CORES))


def _md5_of_memory(data: bytes, threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(hashlib.md5, data, usedforsecurity=False) for _ in range(threads)]:
            done.result()


def measure_again(folder: Path, rounds: int, files: int) -> tuple[dict[str, float], Figures]:
    """Files that have not changed since they were hashed."""
    paths = made(folder / "again", files, SMALL_BYTES)
    plain = [str(path) for path in paths]
    cache_path = folder / "hashes.sqlite"
    with HashCache(cache_path) as cache:
        later = time.time_ns() + 60 * 10**9  # the files are too new to be remembered
        cache.remember(digest._replace(hashed_at_ns=later) for digest in hash_files(paths).values())
    again: list[float] = []
    alone: list[float] = []
    looks: list[float] = []
    for _ in range(rounds * AGAIN_ROUNDS):
        looks.append(took(lambda: [os.stat(path) for path in plain]))  # noqa: PTH116  # the limit
        began = time.process_time()
        again.append(took(lambda: _known_again(cache_path, paths[0])))
        alone.append(time.process_time() - began)
    shutil.rmtree(folder / "again")
    ratios = {"again_of_stat": median(a / b for a, b in zip(looks, again, strict=True))}
    figures = {"again_ms": 1000 * median(again), "again_best_ms": 1000 * min(again)}
    figures |= {"again_processor_ms": 1000 * median(alone), "again_processor_best_ms": 1000 * min(alone)}
    return ratios, figures | {"again_files_s": files / median(again), "stat_files_s": files / median(looks)}


def _known_again(cache_path: Path, scene: Path) -> None:
    with HashCache(cache_path) as cache:
        encode_manifest(manifest_of(scene, [scene.parent], cache=cache)[0])


def measure_submit(folder: Path, rounds: int, files: int) -> tuple[dict[str, float], Figures]:
    """New files through `farmctl submit`; nothing is deleted in between, since ext4 searches long for what was."""
    taken: list[float] = []
    copies: list[float] = []
    with Farm(1) as farm:
        for number in range(rounds):
            source, copy = folder / f"submit-{number}", farm.folder / f"copy-{number}"
            made(source, files, SMALL_BYTES)
            copies.append(took(lambda s=source, c=copy: _copy(s, c)))  # type: ignore[misc]  # bound now
            taken.append(took(lambda s=source: _submit(farm, s)))  # type: ignore[misc]  # bound now
    ratios = {"submit_of_cp": median(a / b for a, b in zip(copies, taken, strict=True))}
    figures = {"submit_s": median(taken), "submit_best_s": min(taken), "submit_worst_s": max(taken)}
    return ratios, figures | {"cp_s": median(copies)}


def _submit(farm: Farm, source: Path) -> None:
    words = [
        sys.executable,
        "-c",
        "from farmctl.cli import main; main()",
        "--node",
        str(farm.daemons[0].data_dir),
        "submit",
        "--command",
        "true",
    ]
    words += ["--frames", "1", "--input", str(source), "--ack", "local", "--ram", NO_NODE_HAS, "-q"]
    environ = os.environ | {"XDG_CACHE_HOME": str(farm.folder / "cache")}
    subprocess.run(words, check=True, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)
    subprocess.run(["sync", "-f", str(target)], check=True)


if __name__ == "__main__":
    main()
