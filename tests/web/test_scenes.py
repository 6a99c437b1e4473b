"""Scenes that somebody sent are looked at in a tree of their own files: nothing of this machine is told."""

from __future__ import annotations

import asyncio
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests
import xxhash

from farmd.scenes.readers import read_scene
from farmd.web.analysis import AT_ONCE, MAX_EACH, Analyst
from farmd.web.analysis_process import read_inside
from farmd.web.errors import Refusal
from protocol.errors import NotAllowed, NotFound, UserError
from protocol.places import process_start
from tests.e2e.farm import until

if TYPE_CHECKING:
    from pathlib import Path

    from farmd.scenes.content import Content
    from tests.web.serving import Served

AUTH = {"Authorization": "Bearer good"}
POV = '#include "{}"\nsphere {{ 0, 1 pigment {{ image_map {{ png "{}" }} }} }}\n'


def row(local: str, data: bytes) -> dict[str, str]:
    return {"local": local, "hash": hashlib.md5(data).hexdigest(), "xxhash": str(xxhash.xxh64_intdigest(data))}


def declare(served: Served, files: dict[str, bytes], *, send: bool = True) -> None:
    rows = [row(local, data) for local, data in files.items()]
    body: dict[str, Any] = {"files": rows, "scene_hash": rows[0]["hash"]}
    assert requests.post(f"{served.url}/api/scene/upload", json=body, headers=AUTH, timeout=10).status_code == 200
    for one, data in zip(rows, files.values(), strict=True):
        if send:
            sent = requests.put(f"{served.url}/api/files/{one['hash']}", data=data, headers=AUTH, timeout=10)
            assert sent.status_code == 201, sent.text


def analyse(served: Served, scene: str, **more: Any) -> requests.Response:
    return requests.post(
        f"{served.url}/api/scene/analyse", json={"scene_file": scene, **more}, headers=AUTH, timeout=15
    )


def found(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [line.partition(" (mtime")[0] for line in answer.json()["asset"]]


@pytest.mark.parametrize("top", ["C:/show", "/home/ada/show", "//filer/show/a"])
def test_files_are_told_by_the_paths_of_who_sent_them(served: Served, top: str) -> None:
    scene = f"{top}/s.pov"
    files = {
        scene: POV.format("lib/x.inc", f"{top}/tex/wood.png").encode(),
        f"{top}/lib/x.inc": b"// nothing",
        f"{top}/tex/wood.png": b"not really a picture",
    }
    declare(served, files)
    answer = analyse(served, scene)
    assert found(answer) == sorted(list(files)[1:])
    told = answer.json()
    assert (told["scene_file"], told["scene_file_size"], told["missing"]) == (scene, len(files[scene]), {})
    assert str(served.folder) not in json.dumps(told)
    assert list(served.settings.spool_dir.glob("tree-*")) == [], "the tree is gone"


def test_a_file_that_was_not_declared_is_missing(served: Served) -> None:
    declare(served, {"C:/show/s.pov": POV.format("x.inc", "Y:/tex/wood.png").encode()})
    answer = analyse(served, "C:/show/s.pov")
    assert found(answer) == []
    told = answer.json()["analysis"]["missing"]
    assert {one["written"] for one in told} == {"x.inc", "Y:/tex/wood.png"}
    assert str(served.folder) not in answer.text


@pytest.mark.parametrize("path", ["/etc/hostname", "../../../../../../../../etc/hostname", "/proc/self/environ"])
def test_a_scene_that_names_files_of_this_machine_learns_nothing_of_them(served: Served, path: str) -> None:
    here, absent = POV.format(path, "/etc/hostname"), POV.format(path + ".absent", "/etc/absent")
    answers = []
    for scene, text in (("/a/here.pov", here), ("/a/absent.pov", absent)):
        declare(served, {scene: text.encode()})
        answer = analyse(served, scene)
        assert found(answer) == []
        told = json.dumps(answer.json()["analysis"]["missing"]) + json.dumps(answer.json()["analysis"]["remarks"])
        answers.append(
            told.replace(".absent", "").replace("/a/absent", "/a/here").replace("/etc/absent", "/etc/hostname")
        )
    assert answers[0] == answers[1], "whether it is there makes no difference"
    assert answers[0].count('"written"') == 2


def test_a_scene_that_was_only_declared_is_asked_for(served: Served) -> None:
    data = b"sphere { 0, 1 }"
    declare(served, {"C:/show/s.pov": data}, send=False)
    answer = analyse(served, "C:\\show\\s.pov")
    assert (answer.status_code, answer.json()["code"]) == (409, "refused")
    assert hashlib.md5(data).hexdigest() in answer.json()["hint"]


def test_a_scene_alone_is_looked_at_by_its_hash(served: Served) -> None:
    data = POV.format("x.inc", "y.png").encode()
    md5 = hashlib.md5(data).hexdigest()
    assert requests.put(f"{served.url}/api/files/{md5}", data=data, headers=AUTH, timeout=10).status_code == 201
    answer = analyse(served, "D:/some/s.pov", scene_hash=md5)
    assert (answer.status_code, answer.json()["scene_file"]) == (200, "D:/some/s.pov")
    assert len(answer.json()["missing"]) == 2


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        ("ma", b"//Maya ASCII" + b"{" * 9999),
        ("mb", b"FOR8" + b"\xff" * 500),
        ("blend", b"BLENDER-v999" + b"\xff" * 500),
        ("blend", b""),
        ("xml", b"<scene" + b"<a" * 5000),
        ("usda", b"#usda 1.0\n" + b"(" * 5000),
        ("hip", b"\0" * 100),
    ],
)
def test_a_damaged_scene_is_a_refusal_or_a_report_and_never_a_5xx(served: Served, content: bytes, ending: str) -> None:
    scene = f"/a/s.{ending}"
    declare(served, {scene: content + ending.encode()})
    assert analyse(served, scene).status_code in (200, 404, 409, 422)
    assert served.is_well()


def test_an_analysis_that_takes_too_long_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "pid"
    child = tmp_path / "python"
    child.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {mark}\nwait\n")
    child.chmod(0o755)
    monkeypatch.setattr("farmd.web.analysis.LIMIT_S", 0.5)
    monkeypatch.setattr("farmd.web.analysis.sys.executable", str(child))

    with pytest.raises(UserError, match="cannot be analysed"):
        asyncio.run(Analyst().analyse("anna", tmp_path / "s.pov", (tmp_path,)))

    grandchild = int(mark.read_text())
    until(lambda: process_start(grandchild) == 0, "what it started is gone", 5)


def test_what_an_analysis_needs_on_the_disk_is_made_in_its_turn(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees: list[int] = []
    before = 0

    async def held(asked: bytes) -> bytes:
        del asked
        async with asyncio.timeout(10):
            while served.table.checks < before:  # noqa: ASYNC110  # it counts in another thread
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        trees.append(len(list(served.settings.spool_dir.glob("tree-*"))))
        return b'{"document": {}}'

    monkeypatch.setattr("farmd.web.analysis._run", held)
    declare(served, {"/a/s.pov": b"sphere { 0, 1 }"})
    before = served.table.checks + 6
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: analyse(served, "/a/s.pov").status_code, range(6)))
    assert answers == [200] * 6
    assert max(trees) <= AT_ONCE


def test_an_analysis_for_which_the_disk_has_no_room_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(served, {"/a/s.pov": b"sphere { 0, 1 }"})
    monkeypatch.setattr("farmd.web.room.RESERVE_BYTES", 1 << 62)
    answer = analyse(served, "/a/s.pov")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert list(served.settings.spool_dir.glob("tree-*")) == []


def test_scenes_are_looked_at_for_those_only_who_may_send_files(served: Served) -> None:
    def refuse(_args: dict[str, Any]) -> Any:
        raise NotAllowed("vera may not send files to the farm")

    served.table.answers["blob.missing"] = refuse
    assert analyse(served, "/a/s.pov").status_code == 403
    assert analyse(served, "/a/s.pov", scene_hash="a" * 32).status_code == 403


def test_a_scene_that_is_swapped_while_it_is_read_is_not_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, secret = tmp_path / "shows", tmp_path / "secret.pov"
    inside.mkdir()
    scene = inside / "s.pov"
    scene.write_text("sphere { 0, 1 }")
    secret.write_text(POV.format("secret.inc", "secret.png"))
    assert read_inside(scene, [str(inside)]).references == ()

    def swapped(path: Path) -> Content:
        path.unlink()
        path.symlink_to(secret)
        return read_scene(path)

    monkeypatch.setattr("farmd.web.analysis_process.read_scene", swapped)
    with pytest.raises(UserError, match="is not told of"):
        read_inside(scene, [str(inside)])
    with pytest.raises(NotAllowed):
        read_inside(scene, [str(inside)])
    with pytest.raises(NotFound):
        read_inside(inside / "absent.pov", [str(inside)])


def test_one_user_with_many_scenes_leaves_places_for_the_others() -> None:
    async def scenario() -> None:
        analyst = Analyst()
        ended = asyncio.Event()

        async def look(user: str) -> None:
            async with analyst.turn(user):
                await ended.wait()

        looking = [asyncio.create_task(look(user)) for user in ("anna",) * (MAX_EACH + 3) + ("ben",)]
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, ended.set)
        told = await asyncio.gather(*looking, return_exceptions=True)
        assert [one.status for one in told if isinstance(one, Refusal)] == [429] * 3
        assert told[-1] is None, "ben is not shut out"

    asyncio.run(scenario())
