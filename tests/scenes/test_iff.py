from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from farmd.scenes.iff import Chunk, Walk, is_iff
from protocol.errors import UserError
from tests.scenes.archives import data, group

if TYPE_CHECKING:
    from pathlib import Path


def walked(tmp_path: Path, contents: bytes) -> list[tuple[Chunk, bytes]]:
    scene = tmp_path / "any.mb"
    scene.write_bytes(contents)
    with scene.open("rb") as file:
        walk = Walk(scene, file)
        return [(chunk, b"" if chunk.kind else walk.data(chunk, 100)) for chunk in walk]


@pytest.mark.parametrize("width", [4, 8])
def test_a_tree_is_walked_parents_first_and_padding_is_skipped(tmp_path: Path, width: int) -> None:
    tag = b"FOR%d" % width
    head = group(tag, b"HEAD", data(b"VERS", b"2023", width), data(b"MADE", b"undef", width), width=width)
    node = group(tag, b"RTFT", data(b"CREA", b"\x80file1\0", width), width=width)
    found = walked(tmp_path, group(tag, b"Maya", head, node, width=width))
    assert [(chunk.tag, chunk.kind, chunk.parents, held) for chunk, held in found] == [
        (tag, b"Maya", (), b""),
        (tag, b"HEAD", (b"Maya",), b""),
        (b"VERS", b"", (b"Maya", b"HEAD"), b"2023"),
        (b"MADE", b"", (b"Maya", b"HEAD"), b"undef"),
        (tag, b"RTFT", (b"Maya",), b""),
        (b"CREA", b"", (b"Maya", b"RTFT"), b"\x80file1\0"),
    ]


def test_chunks_of_wide_files_are_padded_from_behind_the_type_of_their_group(tmp_path: Path) -> None:
    contents = group(b"FOR8", b"Maya", group(b"FOR8", b"HEAD", data(b"MADE", b"undef")), data(b"LAST", b"x"))
    starts = [chunk.start for chunk, _ in walked(tmp_path, contents)]
    assert starts == [20, 40, 56, 80]
    assert contents[64 : 64 + 4] == b"LAST"


def test_a_walk_reads_no_data_by_itself(tmp_path: Path) -> None:
    scene = tmp_path / "sparse.mb"
    size = 1 << 40
    with scene.open("wb") as file:
        file.write(b"FOR8" + bytes(4) + (size + 20).to_bytes(8, "big") + b"Maya")
        file.write(b"MESH" + bytes(4) + size.to_bytes(8, "big"))
        file.truncate(16 + size + 20)
    with scene.open("rb") as file:
        assert [(chunk.tag, chunk.size) for chunk in Walk(scene, file)] == [(b"FOR8", size + 16), (b"MESH", size)]


@pytest.mark.parametrize(
    ("contents", "why"),
    [
        (b"", "begins neither"),
        (b"//Maya ASCII", "begins neither"),
        (group(b"FOR8", b"Maya", data(b"STR ", b"12345678"))[:-1], "are left"),
        (group(b"FOR4", b"Maya", b"STR " + (2**32 - 1).to_bytes(4, "big"), width=4), "are left"),
        (group(b"FOR8", b"Maya", b"STR " + bytes(4) + (2**64 - 1).to_bytes(8, "big")), "are left"),
        (group(b"FOR8", b"Maya", b"FOR8" + bytes(12)), "has no type"),
        (group(b"FOR4", b"Maya", width=4) + b"STR " + bytes(4), "outside of any group"),
    ],
)
def test_sizes_that_do_not_fit_are_damage(tmp_path: Path, contents: bytes, why: str) -> None:
    with pytest.raises(UserError) as caught:
        walked(tmp_path, contents)
    assert why in caught.value.why


def test_groups_without_end_inside_each_other_are_damage(tmp_path: Path) -> None:
    nested = group(b"FOR4", b"Maya", width=4)
    for _ in range(200):
        nested = group(b"FOR4", b"Maya", nested, width=4)
    with pytest.raises(UserError) as caught:
        walked(tmp_path, nested)
    assert "nested" in caught.value.why


def test_only_the_two_forms_of_maya_count_as_trees() -> None:
    assert is_iff(b"FOR8\0\0")
    assert not is_iff(b"FORM")


def test_a_group_that_is_skipped_is_passed_over_whole(tmp_path: Path) -> None:
    scene = tmp_path / "any.mb"
    skipped = group(b"FOR8", b"DMSH", data(b"CREA", b"mesh"), group(b"FOR8", b"DEEP", data(b"A   ", b"x")))
    scene.write_bytes(group(b"FOR8", b"Maya", skipped, group(b"FOR8", b"RTFT", data(b"CREA", b"file"))))
    kinds = []
    with scene.open("rb") as file:
        walk = Walk(scene, file)
        for chunk in walk:
            kinds.append(chunk.kind or chunk.tag)
            if chunk.kind == b"DMSH":
                walk.skip()
    assert kinds == [b"Maya", b"DMSH", b"RTFT", b"CREA"]
