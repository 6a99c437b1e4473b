"""What is in a file decides what it is: contents that share an xxHash64 are kept apart all the way."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from tests.colliding import colliding_with
from tests.e2e.farm import Farm, until

if TYPE_CHECKING:
    from pathlib import Path


def test_two_contents_of_one_xxhash_are_sent_rendered_and_brought_home_intact(farm: Farm, tmp_path: Path) -> None:
    one = Random(7).randbytes(3 << 20)
    other = colliding_with(one)
    for number, content in enumerate((one, other), 1):
        (tmp_path / f"{number}.bin").write_bytes(content)
    a, b = farm.start("a", "b")
    a.ctl_json("node", "hold", "a")
    words = ("--command", "cp {frame}.bin {output}", "--output-name", "got.{frame}.bin", "--frames", "1-2")
    inputs = ("--input", str(tmp_path / "1.bin"), "--input", str(tmp_path / "2.bin"))
    sent = a.ctl_json("submit", *words, *inputs, "--gate", "off", "--output", str(tmp_path / "out"))
    job = sent["job"]

    assert sent["sent_bytes"] >= len(one) + len(other)
    until(lambda: a.state(job) == "completed", "the copies are made", 30)
    assert {task["node_name"] for task in a.tasks(job)} == {"b"}
    until(lambda: len(list((tmp_path / "out").glob("got.*"))) == 2, "both are brought home", 20)
    assert (tmp_path / "out" / "got.1.bin").read_bytes() == one
    assert (tmp_path / "out" / "got.2.bin").read_bytes() == other

    again = b.ctl_json("submit", *words, *inputs, "--gate", "off", "--output", str(tmp_path / "again"))
    assert again["sent_bytes"] < 4096, "both contents are known by now, each as itself"


def test_after_a_change_of_one_file_only_that_file_is_sent_again(farm: Farm, tmp_path: Path) -> None:
    textures = tmp_path / "textures"
    textures.mkdir()
    for number in range(40):
        (textures / f"t{number:02d}.bin").write_bytes(Random(number).randbytes(100_000))
    (a,) = farm.start("a")
    words = ("submit", "--command", "true", "--frames", "1", "--input", str(textures))

    first = a.ctl_json(*words)
    assert first["sent_bytes"] >= 4_000_000
    (textures / "t07.bin").write_bytes(Random(99).randbytes(100_001))
    second = a.ctl_json(*words)

    assert second["total_bytes"] >= 4_000_001
    assert 100_001 <= second["sent_bytes"] < 100_001 + 16_384, "the changed file, and the list of all files"
