"""Files on their way between daemons: no faster than allowed, and whole when they arrive."""

from __future__ import annotations

import time
from itertools import pairwise
from random import Random
from struct import iter_unpack
from typing import TYPE_CHECKING

from tests.e2e.farm import Farm, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.farm import Member

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


def pieces_of(member: Member) -> int:
    """Count the verified pieces of what a node has begun to fetch: one slot of nine bytes each, 1 = it is there."""
    maps = list((member.data_dir / "blobs" / "parts").glob("*.map"))
    return sum(slot[0] for path in maps for slot in iter_unpack("<BQ", path.read_bytes()))


def test_transfer_goes_on_where_it_was_when_its_only_source_was_killed(farm: Farm, tmp_path: Path) -> None:
    farm.add("a", "--transfer-limit", "2M")
    a, b = farm.start("a", "b")
    a.ctl_json("node", "hold", "a")
    (tmp_path / "data.bin").write_bytes(CONTENT)
    words = ("--command", "cp data.bin {output}", "--output-name", "got.{frame}.bin", "--gate", "off")
    job = a.submit(*words, "--frames", "1", "--input", str(tmp_path / "data.bin"), "--output", str(tmp_path / "out"))
    here = until(lambda: found if (found := pieces_of(b)) >= 3 else 0, "three pieces have arrived", 20)

    a.kill()
    assert pieces_of(b) >= here
    a.launch().ready()

    seen = [pieces_of(b)]
    assert seen[0] >= here

    def is_done() -> bool:
        seen.append(pieces_of(b))
        return b.state(job) == "completed"

    until(is_done, "the rest arrives, and the copy is made", 60)
    assert [count for count in seen if 0 < count < here] == [], "nothing was begun anew"
    until((tmp_path / "out" / "got.1.bin").exists, "it is delivered", 20)
    assert (tmp_path / "out" / "got.1.bin").read_bytes() == CONTENT


def test_transfer_from_two_sources_does_not_pause_when_one_of_them_is_killed(farm: Farm, tmp_path: Path) -> None:
    farm.add("c", "--transfer-limit", "1M")
    a, b, c = farm.start("a", "b", "c")
    for name in ("a", "c"):
        a.ctl_json("node", "hold", name)
    (tmp_path / "data.bin").write_bytes(CONTENT)
    words = ("--command", "cp data.bin {output}", "--output-name", "got.{frame}.bin", "--gate", "off")
    more = ("--input", str(tmp_path / "data.bin"), "--output", str(tmp_path / "out"))
    first = a.submit(*words, "--frames", "1", *more)
    until(lambda: b.state(first) == "completed", "b has it too", 40)
    b.ctl_json("node", "hold", "b")
    b.ctl_json("node", "release", "c")
    second = a.submit(*words, "--frames", "2", *more)
    here = until(lambda: found if (found := pieces_of(c)) >= 2 else 0, "two pieces have arrived at c", 30)

    a.kill()
    arrived = {here: time.monotonic()}

    def is_done() -> bool:
        arrived.setdefault(pieces_of(c), time.monotonic())
        return c.state(second) == "completed"

    until(is_done, "the rest arrives, and the copy is made", 60)
    times = [at for count, at in arrived.items() if count]
    assert len(times) >= 4, "it was killed in the middle"
    assert max(after - before for before, after in pairwise(times)) < 4, "at a piece a second; a time-out takes eight"
