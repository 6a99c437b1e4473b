"""How fast a Maya scene is read, beside the limit: reading its bytes and counting lines.

The scene is made here: mostly vertices and edges of meshes, as real ones are, and among them now and then a camera, a
texture and a reference. Both read it in a process of its own each, in alternating rounds, so that the memory at its
highest is that of one reading; the file lies in the page cache.

    python -m benchmarks.analyse [--megabytes 200] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.harness import ROOT, SCRATCH, finish, median, say

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """//Maya ASCII 2023 scene
//Codeset: UTF-8
requires maya "2023";
requires -nodeType "aiOptions" "mtoa" "5.1.0";
currentUnit -l centimeter -a degree -t film;
fileInfo "version" "2023";
"""
TAIL = """select -ne :defaultRenderGlobals;
	setAttr ".ren" -type "string" "arnold";
	setAttr ".an" yes;
	setAttr ".fs" 1;
	setAttr ".ef" 100;
select -ne :defaultResolution;
	setAttr ".w" 1920;
	setAttr ".h" 1080;
// End of scene.ma
"""
VERTICES, EDGES = 5000, 4000
"""Numbers in one statement: Maya writes a few thousand."""
_MEASURED = """
import json, resource, sys, time
from pathlib import Path
began, scene = time.perf_counter(), Path(sys.argv[2])
if sys.argv[1] == "analyse":
    from farmd.scenes.maya_ascii import read_maya_ascii
    began = time.perf_counter()
    found = len(read_maya_ascii(scene).references)
else:
    with scene.open("rb", buffering=0) as file:
        found = 0
        while block := file.read(1 << 22):
            found += block.count(b"\\n")
took = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([took, peak, found]))
"""


class Reading(NamedTuple):
    """One process that read the scene.

    Attributes:
        took_s: From the first byte to the last; the start of Python does not count.
        peak_bytes: Resident memory at its highest.
        found: References, or lines.
    """

    took_s: float
    peak_bytes: int
    found: int


def mesh(number: int) -> Iterator[str]:
    """Write one mesh: three big statements."""
    yield f'createNode mesh -n "meshShape{number}" -p "mesh{number}";\n'
    vertices = " ".join(f"{at * 0.0137:.6f} -{at * 0.25:.7f} {at % 7 * 1.5e-5:.7g}\n" for at in range(VERTICES))
    edges = " ".join(f"{at} {at + 1} 0" for at in range(EDGES))
    faces = "\n\t\t".join(f"f 4 {at} {at + 1} {at + 2} {at + 3}" for at in range(EDGES))
    yield f'\tsetAttr -s {VERTICES} ".vt[0:{VERTICES - 1}]" {vertices};\n'
    yield f'\tsetAttr -s {EDGES} ".ed[0:{EDGES - 1}]" {edges};\n'
    yield f'\tsetAttr -s {EDGES} ".fc[0:{EDGES - 1}]" -type "polyFaces"\n\t\t{faces};\n'


def write_scene(path: Path, size_bytes: int) -> int:
    """Write a scene of at least this size; return how many files it names."""
    body = "".join(mesh(0))
    named, left = 0, size_bytes - len(HEAD) - len(TAIL)
    with path.open("w") as file:
        file.write(HEAD)
        while left > 0:
            texture = f'createNode file -n "file{named}";\n\tsetAttr ".ftn" -type "string" "tex/{named}.exr";\n'
            file.write(body + texture)
            left -= len(body) + len(texture)
            named += 1
        file.write(TAIL)
    return named


def measured(what: str, scene: Path) -> Reading:
    """Let a process of its own read the scene: "analyse", or "count" its lines."""
    argv = [sys.executable, "-c", _MEASURED, what, str(scene)]
    answer = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return Reading(*json.loads(answer))


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    readings: dict[str, list[Reading]] = {"count": [], "analyse": []}
    with tempfile.TemporaryDirectory(prefix="farm-benchmark-", dir=SCRATCH) as folder:
        scene = Path(folder) / "scene.ma"
        named = write_scene(scene, asked.megabytes * 1_000_000)
        size = scene.stat().st_size
        measured("count", scene)  # fills the page cache
        for _ in range(asked.rounds):
            for what, found in readings.items():
                found.append(measured(what, scene))
                say(f"{what}: {size / found[-1].took_s / 1e6:.0f} MB/s, peak {found[-1].peak_bytes / 1e6:.0f} MB")
    assert {one.found for one in readings["analyse"]} == {named}, "the scene was not read right"
    pairs = list(zip(readings["count"], readings["analyse"], strict=True))
    ratios = {
        "of_limit": median(count.took_s / analyse.took_s for count, analyse in pairs),
        "memory_of_limit": median(count.peak_bytes / analyse.peak_bytes for count, analyse in pairs),
    }
    figures = {
        "scene_mb": size / 1e6,
        "references": named,
        "mb_per_s": median(size / one.took_s / 1e6 for one in readings["analyse"]),
        "limit_mb_per_s": median(size / one.took_s / 1e6 for one in readings["count"]),
        "peak_mb": max(one.peak_bytes for one in readings["analyse"]) / 1e6,
        "limit_peak_mb": max(one.peak_bytes for one in readings["count"]) / 1e6,
    }
    finish("analyse", ratios, figures)


if __name__ == "__main__":
    main()
