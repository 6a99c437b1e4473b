"""What is taken along of links, folders, and things that are no files; through the real manifest and checkout."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from farmd.ingest.gathering import gather
from farmd.ingest.manifest import manifest_of
from protocol.errors import UserError
from tests.ingest.carrying import carry, contents


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    folder = tmp_path / "shot"
    (folder / "tex").mkdir(parents=True)
    (folder / "scene.blend").write_bytes(b"scene")
    (folder / "tex" / "a.png").write_bytes(b"a")
    return folder


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    (folder / "deep").mkdir(parents=True)
    (folder / "oak.png").write_bytes(b"oak")
    (folder / "deep" / "elm.png").write_bytes(b"elm")
    return folder


def test_file_behind_links_arrives_as_its_content(tmp_path: Path, shot: Path, library: Path) -> None:
    (shot / "tex" / "one.png").symlink_to(library / "oak.png")
    (shot / "tex" / "two.png").symlink_to("one.png")
    tree = carry(tmp_path / "node", shot / "scene.blend", shot / "tex")
    expected = {b"scene.blend": b"scene", b"tex/a.png": b"a", b"tex/one.png": b"oak", b"tex/two.png": b"oak"}
    assert contents(tree) == expected


def test_scene_that_is_a_link_is_rendered_under_the_name_it_was_given(tmp_path: Path, library: Path) -> None:
    (library / "v3.blend").write_bytes(b"third")
    (tmp_path / "latest.blend").symlink_to(library / "v3.blend")
    made, _ = manifest_of(tmp_path / "latest.blend")
    assert (made.root, made.scene) == (str(tmp_path), "latest.blend")
    assert contents(carry(tmp_path / "node", tmp_path / "latest.blend")) == {b"latest.blend": b"third"}


def test_folder_behind_a_link_is_followed_out_of_the_project(tmp_path: Path, shot: Path, library: Path) -> None:
    (shot / "tex" / "wood").symlink_to(library)
    (shot / "also").symlink_to("tex/wood")
    tree = carry(tmp_path / "node", shot / "scene.blend", shot)
    wood = {b"oak.png": b"oak", b"deep/elm.png": b"elm"}
    expected = {b"scene.blend": b"scene", b"tex/a.png": b"a"}
    expected |= {prefix + name: data for name, data in wood.items() for prefix in (b"tex/wood/", b"also/")}
    assert contents(tree) == expected


@pytest.mark.parametrize("target", [".", "..", "../..", "/", "../tex"])
def test_link_to_a_folder_that_it_lies_in_is_named(shot: Path, target: str) -> None:
    (shot / "tex" / "again").symlink_to(target)
    with pytest.raises(UserError, match="never ends") as caught:
        list(gather([shot]))
    assert str(shot / "tex" / "again") in caught.value.what
    assert "in which it lies" in caught.value.why


def test_two_links_that_lead_into_one_another_are_named(tmp_path: Path, shot: Path, library: Path) -> None:
    (shot / "tex" / "wood").symlink_to(library)
    (library / "back").symlink_to(shot)
    with pytest.raises(UserError, match=r"tex/wood/back never ends"):
        list(gather([shot]))


def test_link_in_a_circle_is_named(shot: Path) -> None:
    (shot / "tex" / "x").symlink_to("y")
    (shot / "tex" / "y").symlink_to("x")
    with pytest.raises(UserError, match=r"tex/[xy]") as caught:
        list(gather([shot]))
    assert "Too many levels" in caught.value.why


@pytest.mark.parametrize("named", ["tex", "tex/gone.png"])
def test_link_that_leads_nowhere_is_named_with_its_target(shot: Path, named: str) -> None:
    (shot / "tex" / "gone.png").symlink_to("/mnt/server/gone.png")
    with pytest.raises(UserError, match=r"tex/gone\.png") as caught:
        manifest_of(shot / "scene.blend", [shot / named])
    assert "/mnt/server/gone.png: No such file" in caught.value.why


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def make_device_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "kind"), [(os.mkfifo, "a pipe"), (make_socket, "a socket"), (make_device_link, "a device")]
)
@pytest.mark.parametrize("named", ["tex", "tex/odd"])
def test_what_is_no_file_is_refused_by_name_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shot: Path, make: object, kind: str, named: str
) -> None:
    monkeypatch.chdir(shot / "tex")  # a socket's path may have 107 bytes
    make(Path("odd"))  # type: ignore[operator]  # one of three functions
    with pytest.raises(UserError, match="tex/odd") as caught:
        carry(tmp_path / "node", shot / "scene.blend", shot / named)
    assert kind in caught.value.why
    assert not (tmp_path / "node").exists()


def test_file_that_cannot_be_read_is_named(shot: Path) -> None:
    (shot / "tex" / "bad.png").symlink_to("/proc/self/mem")  # a regular file that says EIO, to root too
    with pytest.raises(UserError, match=r"tex/bad\.png") as caught:
        manifest_of(shot / "scene.blend", [shot / "tex"])
    assert "Input/output error" in caught.value.why


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("closed", ["tex", "tex/a.png"])
def test_file_or_folder_without_permission_is_named(shot: Path, closed: str) -> None:
    (shot / closed).chmod(0)
    try:
        with pytest.raises(UserError, match=closed) as caught:
            manifest_of(shot / "scene.blend", [shot])
    finally:
        (shot / closed).chmod(0o755)
    assert caught.value.why == "Permission denied"


def test_folder_that_vanishes_while_it_is_listed_is_named(shot: Path) -> None:
    found = gather([shot])
    next(found)
    (shot / "tex" / "a.png").unlink()
    (shot / "tex").rmdir()
    with pytest.raises(UserError, match="shot/tex"):
        list(found)


def test_file_that_vanishes_while_its_folder_is_listed_is_named(shot: Path) -> None:
    names = {"tex/a.png", "tex/b.png", "tex/c.png"}
    for name in names:
        (shot / name).write_bytes(b"c")
    found = gather([shot / "tex"])
    names.remove(os.path.relpath(next(found)[1], shot))
    for name in names:
        (shot / name).unlink()
    with pytest.raises(UserError, match=f"({'|'.join(names)})$") as caught:
        list(found)
    assert "No such file" in caught.value.why


def test_folders_without_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    with pytest.raises(UserError, match="no file to send"):
        manifest_of(tmp_path / "empty")


def test_scene_that_is_a_folder_stands_for_the_first_file_in_it(shot: Path) -> None:
    made, _ = manifest_of(shot / "tex", [shot])
    assert made.scene == "tex/a.png"


def test_too_many_files_are_refused_while_they_are_listed(
    shot: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farmd.ingest.manifest.MAX_ITEMS", 5)
    for number in range(9):  # links make many files of few
        (shot / f"wood{number}").symlink_to(library)
    with pytest.raises(UserError, match="more than 5 files"):
        manifest_of(shot / "scene.blend", [shot])
