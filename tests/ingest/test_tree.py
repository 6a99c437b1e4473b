from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from farmd.ingest.copying import clone, copy
from farmd.ingest.tree import Tree, place_of
from protocol.errors import PeerError


def hello(target: int) -> None:
    os.write(target, b"hello")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("a", "a"),
        ("a/b.png", "a/b.png"),
        ("C:/Users/anna/x.png", "C/Users/anna/x.png"),
        ("c:/x", "C/x"),
        ("a:b/c", "a:b/c"),
        ("..a/b..", "..a/b.."),
        ("with space/ü", "with space/ü"),
    ],
)
def test_path_has_its_place(path: str, place: str) -> None:
    assert place_of(path) == place


@pytest.mark.parametrize("path", ["", "/", "/a", "a/", "../a", "a/..", ".", "a/./b", "C:/", "C:/../a", "C://a", "a\0"])
def test_path_without_a_place_is_refused(path: str) -> None:
    with pytest.raises(PeerError):
        place_of(path)


def test_files_appear_in_their_folders(tmp_path: Path) -> None:
    with Tree(tmp_path) as tree:
        for place in ("a/b/x", "a/b/y", "a/z", "top", "a/b/w"):
            tree.put(place, hello, mode=0o755, mtime_ns=5 * 10**9)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "a/b/w", "a/b/x", "a/b/y", "a/z", "top",
    ]  # fmt: skip
    status = (tmp_path / "a" / "b" / "x").stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o755, 5 * 10**9)


def test_link_to_a_folder_outside_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "way").symlink_to(tmp_path / "outside")
    with Tree(tmp_path / "tree") as tree:
        with pytest.raises(PeerError, match="link"):
            tree.put("way/file", hello, mode=0o644)
        with pytest.raises(PeerError, match="link"):
            tree.status("way/file")
    assert list((tmp_path / "outside").iterdir()) == []


def test_link_under_the_name_itself_is_replaced_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").symlink_to(tmp_path / "secret")
    with Tree(tmp_path / "tree") as tree:
        with pytest.raises(OSError, match="symbolic links"):
            tree.open_file("file")
        tree.put("file", hello, mode=0o644)
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert (tmp_path / "tree" / "file").read_bytes() == b"hello"


def test_write_that_fails_leaves_what_was_there_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"before")

    def fail(target: int) -> None:
        os.write(target, b"half")
        raise RuntimeError("broken")

    with Tree(tmp_path) as tree, pytest.raises(RuntimeError):
        tree.put("file", fail, mode=0o644)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"before"


def test_part_of_an_interrupted_write_is_given_again(tmp_path: Path) -> None:
    offsets = []

    def half(target: int) -> None:
        offsets.append(os.lseek(target, 0, os.SEEK_CUR))
        os.write(target, b"half")
        if len(offsets) == 1:
            raise ConnectionError

    with Tree(tmp_path) as tree:
        with pytest.raises(ConnectionError):
            tree.put("file", half, mode=0o644, part=".mark.part")
        assert [path.name for path in tmp_path.iterdir()] == [".mark.part"]
        tree.put("file", half, mode=0o644, part=".mark.part")
    assert offsets == [0, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"halfhalf"


def test_part_that_somebody_else_writes_is_left_to_them(tmp_path: Path) -> None:
    with Tree(tmp_path) as tree, (tmp_path / ".mark.part").open("wb") as other:
        other.write(b"theirs")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        tree.put("file", hello, mode=0o644, part=".mark.part")
    assert (tmp_path / "file").read_bytes() == b"hello"
    assert (tmp_path / ".mark.part").read_bytes() == b"theirs"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Tree(tmp_path) as tree:
        for place in ("a/b/x", "c/d/y", "e"):
            tree.put(place, hello, mode=0o644)
            tree.status(place)
        assert tree.status("no/such/file") is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_copy_tells_the_address_of_what_it_wrote(tmp_path: Path) -> None:
    data = os.urandom((1 << 20) + 5)
    (tmp_path / "source").write_bytes(data)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as target:
        address = copy(source.fileno(), target.fileno())
    assert (tmp_path / "target").read_bytes() == data
    assert address.size == len(data)


def test_clone_gives_the_same_content_or_says_that_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x" * 8192)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as target:
        cloned = clone(source.fileno(), target.fileno())
    assert (tmp_path / "target").read_bytes() == (b"x" * 8192 if cloned else b"")
