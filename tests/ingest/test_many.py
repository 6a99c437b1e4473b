"""A hundred thousand small files: the client's time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FILES = 100_000
_MEASURED = """
import json, resource, sys, time
from pathlib import Path
from farmctl.sending import Sender
from farmd.ingest.hash_cache import HashCache
from farmd.ingest.manifest import encode_manifest, manifest_of

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

folder, before, told = Path(sys.argv[1]), peak(), {"messages": 0, "blobs": 0, "bytes": 0, "most": 0}

def call(op, *, blobs, data):
    told["messages"] += 1
    told["blobs"] += len(blobs)
    told["bytes"] += len(data)
    told["most"] = max(told["most"], len(data) + sum(map(len, blobs)))
    return {"changed": []}

for name in ("first_s", "again_s"):
    began = time.monotonic()
    with HashCache(Path(sys.argv[2])) as cache:
        manifest, files = manifest_of(folder, cache=cache)
    told[name] = time.monotonic() - began
sources = {entry.address: files[entry.path] for entry in manifest.entries}
Sender(call, lambda count: None).send((blob, path, 0) for blob, path in sources.items())
told |= {"files": len(manifest.entries), "packed": len(encode_manifest(manifest)), "grown": peak() - before}
print(json.dumps(told))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_hundred_thousand_small_files_are_listed_and_packed_in_bounded_time_and_memory(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    for number in range(FILES):
        path = folder / f"{number // 1000:03}" / f"part_{number:06}.dat"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(b"%d" % number)
    argv = [sys.executable, "-c", _MEASURED, str(folder), str(tmp_path / "hashes.sqlite")]
    answer = subprocess.run(
        argv, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=200
    )
    told = json.loads(answer.stdout)
    assert (told["files"], told["blobs"]) == (FILES, FILES)
    assert told["bytes"] == sum(len(b"%d" % number) for number in range(FILES))
    assert told["messages"] == FILES / 4_000
    assert told["most"] < 4 << 20
    assert told["packed"] < FILES * 100
    assert told["grown"] < FILES * 2_000, "two kilobytes a file"
    assert told["first_s"] < 100, "a millisecond a file, on a machine that does other things"
    assert told["again_s"] < told["first_s"]
