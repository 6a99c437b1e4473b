"""Peers from the package index, in environments of their own, and those of `benchmarks.dispatch`.

They are installed once below the user's cache folder (or $FARM_BENCHMARK_PEERS); without a package index they are left
out, with a word on stderr. dask.distributed and HyperQueue are asked for the same thing as the farm: so many processes
of `/bin/true`, two workers of two slots.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.harness import say

DASK: Final = """
import subprocess, sys, time
from distributed import Client, LocalCluster

def frame(n):
    return subprocess.run(["/bin/true"]).returncode

if __name__ == "__main__":
    count = int(sys.argv[1])
    with LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            client.gather(client.map(frame, range(100), pure=False))
            began = time.perf_counter()
            assert sum(client.gather(client.map(frame, range(count), pure=False))) == 0
            print(count / (time.perf_counter() - began))
"""
HYPERQUEUE: Final = """
import sys, tempfile, time
from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

if __name__ == "__main__":
    count = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder, LocalCluster() as cluster:
        for _ in range(2):
            cluster.start_worker(WorkerConfig(cores=2))
        client = cluster.client()

        def run(number):
            job = Job(default_workdir=folder)
            for _ in range(number):
                job.program(["/bin/true"], stdout=None, stderr=None)
            client.wait_for_jobs([client.submit(job)])

        run(100)
        began = time.perf_counter()
        run(count)
        print(count / (time.perf_counter() - began))
"""
PEERS: Final = {"dask": DASK, "hyperqueue": HYPERQUEUE}
PACKAGES: Final = ("distributed", "hyperqueue")
PATIENCE_S = 180


def environment(*packages: str) -> Path | None:
    """Return the Python of an environment that has these packages, made now if it is missing; None if that cannot be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("FARM_BENCHMARK_PEERS") or cache / "farmd-benchmarks" / "peers") / "-".join(packages)
    python = folder / "bin" / "python"
    if python.exists() and (folder / "ready").exists():
        return python
    say(f"installing {' and '.join(packages)} into {folder}")
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"without peers: {error}")
        return None
    (folder / "ready").touch()
    return python


def rate_of(name: str, python: Path | None, count: int) -> float | None:
    """Return how many processes a second a peer carries through, or None if it does not work here."""
    command = [str(python), "-c", PEERS[name], str(count)]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_S)
        return float(done.stdout.split()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        said = (getattr(error, "stderr", "") or "").strip().splitlines()
        say(f"  {name} does not work here: {said[-1] if said else error}")
        return None
