r"""Path rules: whole components, the case of the written side, slashes of the target, roots that survive."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import protocol.pathrules
from protocol.pathrules import (
    PLATFORMS,
    PathMap,
    PathRule,
    apply,
    fault_of,
    for_platform,
    is_absolute,
    platform_of,
    prefix_key,
)

RULES = (
    PathRule("Y:/", "/mnt/filer"),
    PathRule("Y:/show", "/mnt/show"),
    PathRule(r"\\filer\tex", r"D:\tex"),
    PathRule("/mnt/linux", r"\\filer\linux"),
    PathRule("${SHOW}/tex", "/mnt/show/tex"),
    PathRule("//../up", "/mnt/up"),
)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters='\0/\\:<>|?*"'), min_size=1, max_size=6).filter(
    lambda name: name not in (".", "..")
)
TAILS = st.lists(NAMES, max_size=4)
ROOTS = st.sampled_from(["Y:", "//server/share", "/mnt"])
SLASHES = st.sampled_from(["/", "\\"])


@pytest.mark.parametrize(
    ("path", "becomes"),
    [
        (r"Y:\show\tex\a.png", "/mnt/show/tex/a.png"),
        ("y:/SHOW/Tex/A.png", "/mnt/show/Tex/A.png"),
        ("Y:/show", "/mnt/show"),
        ("Y:/show/", "/mnt/show/"),
        ("Y:/shows/a.png", "/mnt/filer/shows/a.png"),
        (r"Y:\show\..\other\a.png", "/mnt/filer/other/a.png"),
        ("Y:/show/../../../etc/passwd", "/mnt/filer/etc/passwd"),
        (r"\\?\Y:\show\a.png", "/mnt/show/a.png"),
        (r"\\FILER\Tex\wood\a.png", r"D:\tex\wood\a.png"),
        ("//filer/tex/a.png", r"D:\tex\a.png"),
        (r"\\?\UNC\filer\tex\a.png", r"D:\tex\a.png"),
        ("/mnt/linux/a b/ü.png", r"\\filer\linux\a b\ü.png"),
        ("${SHOW}/tex/a.png", "/mnt/show/tex/a.png"),
        (r"//..\up\a.png", "/mnt/up/a.png"),
    ],
)
def test_a_path_below_a_prefix_gets_the_target(path: str, becomes: str) -> None:
    mapped, rule = apply(RULES, path)
    assert mapped == becomes
    assert rule in RULES


@pytest.mark.parametrize(
    "path",
    [
        "X:/show/a.png",
        "Y:show/a.png",
        r"\\filer\texture\a.png",
        "/mnt/Linux/a.png",
        "/mnt/linuxes/a.png",
        "/filer/tex/a.png",
        "${show}/tex/a.png",
        "show/a.png",
        "//up/a.png",
        "//../../up/a.png",
        "/up/a.png",
        "a",
        "",
    ],
)
def test_a_path_that_no_rule_is_for_comes_back_unchanged(path: str) -> None:
    assert apply(RULES, path) == (path, None)


def test_the_longest_prefix_counts_and_of_equal_ones_the_first() -> None:
    rules = (PathRule("Y:", "/a"), PathRule("Y:/show", "/b"), PathRule(r"y:\SHOW", "/c"))
    assert apply(rules, "Y:/show/x") == ("/b/x", rules[1])
    assert apply(rules, "Y:/x") == ("/a/x", rules[0])


def test_a_rule_of_the_platform_counts_before_one_of_any() -> None:
    rules = (PathRule("Y:", "/any"), PathRule("Y:", "/Volumes/y", "darwin"), PathRule("Z:", "W:", "windows"))
    assert apply(for_platform(rules, "darwin"), "Y:/x")[0] == "/Volumes/y/x"
    assert apply(for_platform(rules, "linux"), "Y:/x")[0] == "/any/x"
    assert for_platform(rules, "linux") == rules[:1]


def test_platforms_have_the_names_that_python_gives_them() -> None:
    assert [platform_of(name) for name in ("linux", "win32", "darwin")] == ["linux", "windows", "darwin"]
    assert {platform_of(name) for name in ("linux", "win32", "darwin")} <= set(PLATFORMS)


@given(ROOTS, NAMES, TAILS, SLASHES, SLASHES, st.sampled_from(["/mnt/x", r"D:\x", "D:", "//s/x", r"\\s\x", "/"]))
def test_what_lies_below_a_prefix_lies_below_its_target(
    root: str, name: str, tail: list[str], slash: str, other: str, target: str
) -> None:
    written = other.join([*root.split("/"), name])
    path = slash.join([*root.split("/"), name, *tail])
    mapped, rule = apply([PathRule(written, target)], path)
    assert rule is not None
    assert mapped.startswith(target)
    assert is_absolute(mapped)
    kept = [part for part in mapped[len(target) :].replace("\\", "/").split("/") if part]
    assert kept == tail
    if tail:
        assert ("\\" in mapped) == ("\\" in target)


@given(ROOTS, NAMES, NAMES, TAILS)
def test_a_prefix_matches_whole_components_only(root: str, name: str, more: str, tail: list[str]) -> None:
    path = "/".join([root, name + more, *tail])
    rules = [PathRule(f"{root}/{name}", "/elsewhere")]
    if f"{root}/{name}{more}".lower() != f"{root}/{name}".lower():
        assert apply(rules, path) == (path, None)


@given(ROOTS, st.text(st.sampled_from("abcXYZ"), min_size=1), TAILS)
def test_case_follows_the_written_side(root: str, name: str, tail: list[str]) -> None:
    path = "/".join([root, name.swapcase(), *tail])
    _, rule = apply([PathRule(f"{root}/{name}", "/elsewhere")], path)
    assert (rule is not None) == (root != "/mnt")


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_mapped_or_left_alone(written: str, target: str, path: str) -> None:
    mapped, rule = apply([PathRule(written, target)], path)
    assert mapped == path if rule is None else mapped.startswith(target.rstrip("\\/"))


@given(ROOTS, NAMES, TAILS, SLASHES)
def test_two_spellings_of_a_prefix_have_one_key(root: str, name: str, tail: list[str], slash: str) -> None:
    plain = "/".join([root, name, *tail])
    other = slash.join([*root.split("/"), name, ".", *tail]) + slash
    assert prefix_key(plain) == prefix_key(other)
    assert prefix_key(prefix_key(plain)) == prefix_key(plain)
    assert apply([PathRule(prefix_key(plain), "/target")], plain) == ("/target", (prefix_key(plain), "/target", "any"))


@pytest.mark.parametrize(
    "rule",
    [
        PathRule("show", "/mnt"),
        PathRule("", "/mnt"),
        PathRule("Y:show", "/mnt"),
        PathRule("//.", "/mnt"),
        PathRule("Y:/", "mnt"),
        PathRule("Y:/", ""),
        PathRule("Y:/", "/mnt", "amiga"),
        PathRule("Y:/\0", "/mnt"),
        PathRule("Y:/\ud800", "/mnt"),
        PathRule("Y:/" + "x" * 250, "/mnt"),
        PathRule("Y:/", "/" + "x" * 4096),
        PathRule("/mnt/show/", "/mnt/show"),
    ],
)
def test_a_rule_that_is_no_good_has_a_reason(rule: PathRule) -> None:
    assert fault_of(rule) is not None


@pytest.mark.parametrize("rule", [*RULES[:4], PathRule("Y:/show", "y:/show"), PathRule("/", "/mnt", "linux")])
def test_a_good_rule_has_no_fault(rule: PathRule) -> None:
    assert fault_of(rule) is None


def test_candidates_are_those_of_the_job_then_of_the_farm_then_of_the_checkout() -> None:
    paths = PathMap((PathRule("Y:/show", "/home/anna/show"),), (PathRule("Y:/", "/mnt/y"),), "/home/anna/show", "/co")
    assert paths.candidates(r"Y:\show\a.png") == ("/co/a.png", "/home/anna/show/a.png", "/co/Y/show/a.png")
    assert paths.candidates(r"Y:\tex\a.png") == ("/mnt/y/tex/a.png", "/co/Y/tex/a.png")
    assert paths.candidates("c:/tex/a.png") == ("/co/C/tex/a.png",)
    assert paths.candidates("/home/anna/show/tex/a.png") == ("/co/tex/a.png",)
    assert paths.candidates("/opt/a.png") == ()


def test_a_path_is_read_elsewhere_only_where_that_is_there() -> None:
    paths = PathMap((PathRule("Y:/", "/home/anna"),), (), "/home/anna", "/co")
    assert paths.find("Y:/a.png", {"/co/a.png": None}.__contains__) == "/co/a.png"
    assert paths.find("Y:/a.png", {"/co/Y/a.png": None}.__contains__) == "/co/Y/a.png"
    assert paths.find("Y:/a.png", dict[str, None]().__contains__) is None


@given(st.text(max_size=30), st.sampled_from(["", "/home/anna", "C:/show", "/"]))
def test_no_path_leaves_the_checkout(path: str, root: str) -> None:
    for place in PathMap((), (), root, "/co").candidates(path):
        assert place == "/co" or place.startswith("/co/")
        assert ".." not in place.split("/")


def test_a_map_survives_json() -> None:
    paths = PathMap((PathRule("Y:/", "/a"),), (PathRule("Z:/", "/b", "linux"),), "/root", "/co")
    assert PathMap.of_plain(json.loads(json.dumps(paths._asdict()))) == paths


def test_the_module_runs_without_any_other_of_the_farm(tmp_path: Path) -> None:
    source = Path(protocol.pathrules.__file__)
    alone = tmp_path / source.name
    alone.write_bytes(source.read_bytes())
    code = "import pathrules; print(pathrules.apply([pathrules.PathRule('Y:', '/m')], 'y:/a')[0])"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "/m/a\n"
