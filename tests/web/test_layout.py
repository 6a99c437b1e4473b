"""Where files of other machines lie in a job, and how they are found again."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmd.ingest.manifest import decode_manifest, encode_manifest
from farmd.web.errors import Refusal
from farmd.web.layout import lay_out, place_in_tree, plain_path, rules_into
from protocol.errors import FarmError, UserError
from protocol.ids import BlobAddress
from protocol.pathrules import PathMap, PathRule, apply


def blob(text: str) -> BlobAddress:
    return BlobAddress(len(text), len(text), hashlib.md5(text.encode()).digest())


def lay(*paths: str) -> tuple[str, list[str], str, tuple[tuple[str, str], ...]]:
    laid = lay_out(paths[0], {path: blob(path) for path in paths})
    manifest = decode_manifest(encode_manifest(laid.manifest))
    return manifest.root, [entry.path for entry in manifest.entries], laid.scene, laid.rules


def test_files_of_one_posix_machine_lie_below_their_common_folder() -> None:
    assert lay("/home/ada/show/s.ma", "/home/ada/show/tex/a.png") == (
        "/home/ada/show",
        ["s.ma", "tex/a.png"],
        "s.ma",
        (),
    )
    assert lay("/s.ma") == ("/", ["s.ma"], "s.ma", ())


def test_files_of_drives_lie_in_a_folder_of_the_letter() -> None:
    root, paths, scene, rules = lay("C:/Project/s.ma", "Y:/tex/a.png")
    assert (root, paths, scene, rules) == ("", ["C:/Project/s.ma", "Y:/tex/a.png"], "C/Project/s.ma", ())


@pytest.mark.parametrize(
    "paths",
    [
        ("/home/ada/s.ma", "/home/ada/tex/a.png"),
        ("C:/Project/s.ma", "D:/tex/a.png", "c:/project/more/b.png"),
        ("//filer/show/s.ma", "//filer/tex/a.png"),
        ("C:/s.ma", "/opt/lib/x.ma", "//filer/show/a.png"),
    ],
)
def test_what_a_scene_wrote_is_found_in_the_checkout(paths: tuple[str, ...]) -> None:
    laid = lay_out(paths[0], {path: blob(path) for path in paths})
    there = {f"/work/job/{place_in_tree(path)}" if not laid.manifest.root.startswith("/home") else
             f"/work/job/{path.removeprefix(laid.manifest.root + '/')}" for path in paths}  # fmt: skip
    rules = tuple(PathRule(*rule) for rule in laid.rules)
    found = PathMap(job=rules, root=laid.manifest.root, checkout="/work/job")
    for path in paths:
        assert found.find(path, there.__contains__) in there, (path, there)


def test_two_files_in_one_place_are_refused() -> None:
    for paths in (("C:/a", "/C/a"), ("/x/a", "/x/a/b"), ("//x/y", "C:/q", "/x/y")):
        with pytest.raises(Refusal):
            lay(*paths)


@given(st.text(max_size=60))
def test_no_path_leads_out_of_a_tree(written: str) -> None:
    try:
        path = plain_path(written)
    except (UserError, FarmError):
        return
    place = place_in_tree(path)
    assert not place.startswith("/")
    assert ".." not in place.split("/")
    assert "\0" not in place


@given(
    st.lists(st.sampled_from(["a", "..", ".", "b", "etc"]), min_size=1, max_size=8),
    st.sampled_from(["/", "C:/", "//s/h/"]),
)
def test_rules_into_a_tree_leave_nothing_outside(parts: list[str], top: str) -> None:
    rules = [PathRule(*rule) for rule in rules_into("/tree", ["/a", "C:/a", "//s/h/a"])]
    read, rule = apply(rules, top + "/".join(parts))
    assert rule is not None
    assert read.startswith("/tree")
    assert ".." not in read.split("/")
