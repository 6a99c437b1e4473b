"""Files on their way between daemons: no faster than allowed, and whole when they arrive."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

from tests.e2e.farm import Farm, until

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 2 << 20
CONTENT = Random(3).randbytes(4 * LIMIT)


def test_file_arrives_whole_and_no_faster_than_the_limit_of_its_source(farm: Farm, tmp_path: Path) -> None:
    farm.add("a", "--transfer-limit", "2M")
    a, _ = farm.start("a", "b")
    a.ctl_json("node", "hold", "a")
    (tmp_path / "data.bin").write_bytes(CONTENT)
    words = ("--command", "cp data.bin {output}", "--output-name", "got.{frame}.bin", "--gate", "off")

    began = time.monotonic()
    job = a.submit(*words, "--frames", "1", "--input", str(tmp_path / "data.bin"), "--output", str(tmp_path / "out"))
    until(lambda: a.state(job) == "completed", "b has it and has copied it", 40)

    assert time.monotonic() - began >= len(CONTENT) / LIMIT - 1.5  # a second at once, and a piece
    until((tmp_path / "out" / "got.1.bin").exists, "it is delivered", 20)
    assert (tmp_path / "out" / "got.1.bin").read_bytes() == CONTENT
