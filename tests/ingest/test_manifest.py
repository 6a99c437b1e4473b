from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmd.ingest.hash_cache import HashCache
from farmd.ingest.manifest import Manifest, ManifestEntry, decode_manifest, encode_manifest, manifest_of
from protocol.errors import PeerError, UserError

NAMES = st.text(st.characters(exclude_characters="/\0:", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..")
)
ENTRIES = st.builds(
    ManifestEntry,
    path=st.tuples(NAMES, NAMES).map("/".join),
    size=st.integers(0, 2**63 - 1),
    mtime_ms=st.integers(-(2**40), 2**42),
    mode=st.integers(0, 0o777),
    xxh64=st.integers(0, 2**64 - 1),
    md5=st.binary(min_size=16, max_size=16),
)


def entry(path: str, *, size: int = 3, mode: int = 0o644, xxh64: int = 1, md5: bytes = b"m" * 16) -> ManifestEntry:
    return ManifestEntry(path, size, 1_700_000_000_000, mode, xxh64, md5)


def manifest(*entries: ManifestEntry, scene: str = "") -> Manifest:
    return Manifest("/home/anna/shot", scene or entries[0].path, entries)


@given(st.lists(ENTRIES, min_size=1, unique_by=lambda made: made.path))
def test_manifest_comes_back_from_its_bytes(entries: list[ManifestEntry]) -> None:
    made = manifest(*sorted(entries))
    assert decode_manifest(encode_manifest(made)) == made


@given(st.binary())
def test_any_bytes_are_a_manifest_or_a_peer_error(data: bytes) -> None:
    with contextlib.suppress(PeerError):
        decode_manifest(data)


@pytest.mark.parametrize(
    "bad",
    [
        manifest(entry("../x")),
        manifest(entry("a/../../x")),
        manifest(entry("/etc/passwd")),
        manifest(entry("C:/../x")),
        manifest(entry("C://x")),
        manifest(entry("a\0b")),
        manifest(entry("a//b")),
        manifest(entry("./a")),
        manifest(entry("")),
        manifest(entry("n" * 256)),
        manifest(entry("/".join(["d" * 200] * 20))),
        manifest(entry("a"), entry("a")),
        manifest(entry("C/x"), entry("C:/x")),
        manifest(entry("a"), entry("a/b")),
        manifest(entry("b"), entry("a")),
        manifest(entry("a"), scene="b"),
        manifest(entry("a", size=-1)),
        manifest(entry("a", size=1 << 63)),
        manifest(entry("a"), entry("b")._replace(mtime_ms=1 << 43)),
        manifest(entry("a"), entry("b")._replace(mtime_ms=-1 << 43)),
        manifest(entry("a", mode=0o4755)),
        manifest(entry("a", mode=-1)),
        manifest(entry("a", xxh64=-1)),
        manifest(entry("a", md5=b"short")),
    ],
    ids=repr,
)
def test_manifest_that_no_honest_node_makes_is_refused(bad: Manifest) -> None:
    with pytest.raises(PeerError):
        decode_manifest(encode_manifest(bad))


def test_manifest_of_another_format_is_refused() -> None:
    with pytest.raises(PeerError, match="format"):
        decode_manifest(msgpack.packb((2, *manifest(entry("a")))))


def test_field_that_a_newer_node_adds_is_ignored() -> None:
    made = manifest(entry("a"))
    newer = msgpack.packb((1, made.root, made.scene, [(*entry("a"), "new")], "new"))
    assert decode_manifest(newer) == made


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    (tmp_path / "shot" / "tex").mkdir(parents=True)
    (tmp_path / "shot" / "scene.blend").write_bytes(b"scene")
    (tmp_path / "shot" / "tex" / "b.png").write_bytes(b"b")
    (tmp_path / "shot" / "tex" / "a.png").write_bytes(b"a")
    (tmp_path / "shot" / "tex" / "a.png").chmod(0o755)
    os.utime(tmp_path / "shot" / "tex" / "b.png", ns=(1_234_567_891, 1_234_567_891))
    return tmp_path / "shot"


def test_scene_alone_lies_in_its_own_folder(shot: Path) -> None:
    made, files = manifest_of(shot / "scene.blend")
    assert (made.root, made.scene) == (str(shot), "scene.blend")
    assert files == {"scene.blend": str(shot / "scene.blend")}


def test_files_are_sorted_below_their_common_folder(shot: Path) -> None:
    made, files = manifest_of(shot / "scene.blend", [shot / "tex" / "b.png", shot / "tex" / "a.png"])
    assert [found.path for found in made.entries] == ["scene.blend", "tex/a.png", "tex/b.png"]
    assert [found.mode for found in made.entries] == [0o644, 0o755, 0o644]
    assert made.entries[2].mtime_ms == 1_234
    assert files["tex/a.png"] == str(shot / "tex" / "a.png")
    assert len(made.blobs) == 3


def test_same_input_in_any_order_gives_the_same_bytes(shot: Path, tmp_path: Path) -> None:
    extra = [shot / "tex" / "b.png", shot / "tex" / "a.png"]
    with HashCache(tmp_path / "cache") as cache:
        cached, _ = manifest_of(shot / "scene.blend", extra, cache=cache)
    plain, _ = manifest_of(shot / "scene.blend", [*reversed(extra), extra[0]])
    assert encode_manifest(cached) == encode_manifest(plain)


def test_folder_stands_for_the_files_below_it(shot: Path) -> None:
    made, _ = manifest_of(shot / "scene.blend", [shot / "tex"])
    assert [found.path for found in made.entries] == ["scene.blend", "tex/a.png", "tex/b.png"]


def test_name_with_dots_is_placed_where_the_checkout_will_look_for_it(shot: Path) -> None:
    made, files = manifest_of(shot / "scene.blend", [shot / "tex" / ".." / "tex" / "a.png"])
    assert [found.path for found in made.entries] == ["scene.blend", "tex/a.png"]
    assert Path(files["tex/a.png"]).read_bytes() == b"a"


def test_files_without_a_common_folder_lie_below_the_root(shot: Path) -> None:
    made, _ = manifest_of(shot / "scene.blend", [Path("/etc/hostname")])
    assert made.root == "/"
    assert made.scene == str(shot / "scene.blend").lstrip("/")
    assert "etc/hostname" in [found.path for found in made.entries]


def test_name_that_is_not_unicode_is_told_to_the_artist(shot: Path) -> None:
    bad = Path(os.fsdecode(os.fsencode(shot) + b"/\xff.png"))
    bad.write_bytes(b"x")
    with pytest.raises(UserError, match="cannot be sent"):
        manifest_of(shot / "scene.blend", [bad])


def test_missing_texture_is_named(shot: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.png"):
        manifest_of(shot / "scene.blend", [shot / "gone.png"])
