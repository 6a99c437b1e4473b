"""Files on their way in: whole, in parts, again, wrongly, and by somebody else."""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests
import xxhash

from farmd.web.errors import Refusal
from farmd.web.spans import span_of
from farmd.web.spool import Declared, Spool
from protocol.errors import NotAllowed, Unreachable
from tests.web.serving import read_all

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.serving import Served

DATA = bytes(range(256)) * 5000
MD5 = hashlib.md5(DATA).hexdigest()
XXH = str(xxhash.xxh64_intdigest(DATA))


def put(served: Served, data: bytes, *, md5: str = MD5, token: str = "good", **headers: str) -> requests.Response:
    query = {"xxhash": headers.pop("xxhash")} if "xxhash" in headers else {}
    given = {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return requests.put(f"{served.url}/api/files/{md5}", data=data, headers=given, params=query, timeout=10)


def state(served: Served, token: str = "good") -> requests.Response:
    return requests.get(f"{served.url}/api/files/{MD5}", headers={"Authorization": f"Bearer {token}"}, timeout=10)


def test_a_whole_file_is_verified_and_handed_over(served: Served) -> None:
    answer = put(served, DATA, xxhash=XXH)
    assert (answer.status_code, answer.json()["complete"], answer.json()["xxhash"]) == (201, True, XXH)
    assert "Connection" not in answer.headers, "the next one comes over the same connection"
    assert [bytes(blob) for blob in served.table.blobs.values()] == [DATA]
    assert list(served.settings.spool_dir.rglob("*.part")) == []
    assert put(served, DATA).status_code == 200, "it is not taken twice"
    assert state(served).headers["Upload-Complete"] == "?1"


def test_a_file_in_parts_goes_on_where_it_stopped(served: Served) -> None:
    total, cut = len(DATA), 300_001
    first = put(served, DATA[:cut], Content_Range=f"bytes 0-{cut - 1}/{total}")
    assert (first.status_code, first.json()["have_bytes"], first.headers["Upload-Offset"]) == (202, cut, str(cut))
    assert served.table.blobs == {}
    early = put(served, DATA[10:20], Content_Range=f"bytes 10-19/{total}")
    assert (early.status_code, early.json()["have_bytes"]) == (409, cut)
    rest = put(served, DATA[cut:], Content_Range=f"bytes {cut}-{total - 1}/{total}")
    assert (rest.status_code, rest.json()["complete"]) == (201, True)


def test_a_part_that_is_sent_again_whole_begins_anew(served: Served) -> None:
    put(served, b"wrong beginning", Content_Range=f"bytes 0-14/{len(DATA)}")
    assert put(served, DATA).status_code == 201


@pytest.mark.parametrize("what", ["md5", "xxhash", "declared"])
def test_content_that_is_not_what_was_declared_is_thrown_away(served: Served, what: str) -> None:
    if what == "declared":
        row = {"local": "/a/b.txt", "hash": MD5, "xxhash": "7"}
        declared = requests.post(
            f"{served.url}/api/scene/upload", json={"files": [row], "scene_hash": MD5}, timeout=10,
            headers={"Authorization": "Bearer good"},
        )  # fmt: skip
        assert declared.status_code == 200, declared.text
    answer = put(served, DATA[:-1] if what == "md5" else DATA, **({"xxhash": "7"} if what == "xxhash" else {}))
    assert (answer.status_code, answer.json()["code"]) == (422, "unusable")
    assert served.table.blobs == {}
    assert state(served).status_code == 404


def test_nobody_learns_here_what_somebody_else_has_sent(served: Served) -> None:
    assert put(served, DATA).status_code == 201
    assert state(served, "other").status_code == 404
    assert put(served, DATA, token="other").status_code == 201, "who has it, sends it"
    assert len(served.table.blobs) == 1


def test_a_file_that_the_daemon_has_dropped_is_lacking_again(served: Served) -> None:
    assert put(served, DATA).status_code == 201
    served.table.blobs.clear()
    assert state(served).status_code == 404
    assert put(served, DATA).status_code == 201
    assert len(served.table.blobs) == 1


def test_an_empty_file_is_a_file(served: Served) -> None:
    answer = put(served, b"", md5=hashlib.md5(b"").hexdigest(), Content_Length="0")
    assert (answer.status_code, answer.json()["size"]) == (201, 0)


def test_a_list_says_what_is_still_to_be_sent(served: Served) -> None:
    rows: list[dict[str, Any]] = [
        {"local": "C:\\show\\s.ma", "hash": MD5, "xxhash": XXH},
        {"local": "//filer/tex/wood.png", "hash": "f" * 32, "xxhash": "1", "size": 3},
    ]
    put(served, DATA)
    put(served, DATA[:10], md5="f" * 32, Content_Range="bytes 0-9/100")
    answer = upload(served, rows)
    told = answer.json()
    assert answer.status_code == 200, told
    assert told["scene"] == [{"local": "C:/show/s.ma", "server": "/C/show/s.ma", "hash": MD5, "xxhash": XXH}]
    assert told["lacking"] == [
        {"local": "//filer/tex/wood.png", "server": "//filer/tex/wood.png", "hash": "f" * 32, "have_bytes": 10}
    ]


def upload(served: Served, rows: list[dict[str, Any]], **more: Any) -> requests.Response:
    body = {"files": rows, "scene_hash": MD5, **more}
    return requests.post(
        f"{served.url}/api/scene/upload", json=body, timeout=10, headers={"Authorization": "Bearer good"}
    )


@pytest.mark.parametrize(
    "local",
    ["../up.ma", "/a/../../etc/passwd", "relative.ma", "C:\\..\\x", "/", "/a/\0b", "//", "/a//../b", "/" + "x" * 300],
)
def test_a_path_that_climbs_or_is_none_is_refused_in_a_list(served: Served, local: str) -> None:
    answer = upload(served, [{"local": local, "hash": MD5, "xxhash": XXH}])
    assert answer.status_code == 422, answer.text


def test_a_list_that_names_one_file_with_two_contents_is_refused(served: Served) -> None:
    rows = [{"local": "/a", "hash": MD5, "xxhash": XXH}, {"local": "/a", "hash": "0" * 32, "xxhash": "1"}]
    assert upload(served, rows).status_code == 422
    assert upload(served, rows[:1], scene_hash="0" * 32).status_code == 422


@pytest.mark.parametrize(
    ("header", "length", "status"),
    [
        (None, None, 411),
        ("bytes 5-4/10", 0, 416),
        ("bytes 0-10/10", 11, 416),
        ("bytes 0-4/10", 6, 416),
        ("bytes */10", 1, 416),
        ("lines 0-4/10", 5, 416),
        (None, 1 << 41, 413),
    ],
)
def test_a_range_that_cannot_be_is_refused(header: str | None, length: int | None, status: int) -> None:
    with pytest.raises(Refusal) as refused:
        span_of(header, length)
    assert refused.value.status == status


@pytest.mark.parametrize("length", [0, None])
def test_a_range_without_a_part_says_that_everything_was_sent(length: int | None) -> None:
    assert span_of("bytes */10", length) == (10, 0, 10)


def test_what_nobody_goes_on_with_is_removed_at_the_next_start(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "web", 1 << 30)
    spool.open()
    mine = spool.user("anna")
    for md5, age_days in (("a" * 32, 30), ("b" * 32, 1)):
        mine.part(md5).write_bytes(b"half")
        os.utime(mine.part(md5), (time.time() - age_days * 86_400,) * 2)
    (tmp_path / "web" / "tree-left").mkdir()
    spool.open()
    assert (mine.have_bytes("a" * 32), mine.have_bytes("b" * 32)) == (0, 4)
    assert not (tmp_path / "web" / "tree-left").exists()
    assert (tmp_path / "web").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["", "..", "a/b", "../x", "x" * 65, "a\0b", "ä"])
def test_a_name_that_no_user_has_gets_no_folder(tmp_path: Path, name: str) -> None:
    spool = Spool(tmp_path / "web", 1 << 30)
    spool.open()
    if name == "..":
        assert spool.user(name).part("a" * 32).parent.parent.name == "u-.."
        return
    with pytest.raises(Refusal):
        spool.user(name)
    assert list((tmp_path / "web").iterdir()) == []


def test_lists_are_known_again_after_a_restart(tmp_path: Path) -> None:
    files = [Declared("/a/s.ma", MD5, 5), Declared("/a/t.png", "b" * 32, 6)]
    before = Spool(tmp_path / "web", 1 << 30)
    before.open()
    before.declare("anna", MD5, files)
    spool = Spool(tmp_path / "web", 1 << 30)
    spool.open()
    assert spool.user("anna").get_set(MD5) == files
    assert spool.declared_xxh64("anna", "b" * 32) == 6
    assert spool.user("ben").get_set(MD5) is None


def test_old_lists_give_way_to_new_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farmd.web.spool.MAX_SETS", 3)
    spool = Spool(tmp_path / "web", 100)
    spool.open()
    mine = spool.user("anna")
    for number in range(5):
        mine.put_set(f"{number:032x}", [Declared("/a", f"{number:032x}", 1)])
        os.utime(tmp_path / "web/u-anna/sets" / f"{number:032x}.json", (number, number))
    mine.put_set(f"{9:032x}", [Declared("/a", f"{9:032x}", 1)])
    assert [md5 for md5, _ in mine.sets()] == [f"{number:032x}" for number in (9, 4, 3)]


def test_a_client_that_reads_no_answer_before_it_has_sent_all_is_told_all_the_same(served: Served) -> None:
    large = b"x" * (4 << 20)
    assert (
        put(served, large, md5="a" * 32, Content_Range=f"bytes 5-{4 + len(large)}/{5 + len(large)}").status_code == 409
    )
    assert put(served, DATA).status_code == 201
    again = put(served, DATA)
    assert (again.status_code, again.headers.get("Connection", "")) == (200, "")


def fail_to_hand_over(served: Served, times: int = 1) -> None:
    put_blob, left = served.table.answers["blob.put"], [times]

    def put_or_fail(args: dict[str, Any]) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise Unreachable("the connection to the daemon broke")
        return put_blob(args)

    served.table.answers["blob.put"] = put_or_fail


@pytest.mark.parametrize("again", ["nothing", "last part", "whole"])
def test_a_complete_file_that_could_not_be_handed_over_is_handed_over_by_the_next_request(
    served: Served, again: str
) -> None:
    total, cut = len(DATA), 300_001
    fail_to_hand_over(served)
    put(served, DATA[:cut], Content_Range=f"bytes 0-{cut - 1}/{total}")
    failed = put(served, DATA[cut:], Content_Range=f"bytes {cut}-{total - 1}/{total}")
    assert (failed.status_code, served.table.blobs) == (503, {})
    shown = state(served)
    assert (shown.headers["Upload-Offset"], shown.headers["Upload-Complete"]) == (str(total), "?0")
    body, header = {
        "nothing": (b"", f"bytes */{total}"),
        "last part": (DATA[cut:], f"bytes {cut}-{total - 1}/{total}"),
        "whole": (DATA, f"bytes 0-{total - 1}/{total}"),
    }[again]
    answer = put(served, body, Content_Range=header)
    assert (answer.status_code, answer.json()["complete"]) == (201, True)
    assert [bytes(blob) for blob in served.table.blobs.values()] == [DATA]


def test_a_small_request_that_is_wrong_leaves_what_was_sent_in_parts(served: Served) -> None:
    total = len(DATA)
    put(served, DATA[:-1], Content_Range=f"bytes 0-{total - 2}/{total}")
    assert put(served, b"", Content_Length="0").status_code == 422
    assert put(served, b"", Content_Range=f"bytes */{total}").status_code == 409, "its last byte is lacking"
    assert put(served, DATA[-1:], Content_Range=f"bytes {total - 1}-{total - 1}/{total}").status_code == 201


def test_a_complete_file_that_is_wrong_is_thrown_away_and_taken_anew(served: Served) -> None:
    total = len(DATA)
    part = served.settings.spool_dir / "u-anna" / "parts" / f"{MD5}.part"
    assert put(served, DATA[:9], Content_Range=f"bytes 0-8/{total}").status_code == 202
    part.write_bytes(b"x" * total)
    assert put(served, DATA, Content_Range=f"bytes 0-{total - 1}/{total}").status_code == 201
    served.table.blobs.clear()
    part.write_bytes(b"x" * total)
    assert put(served, b"", Content_Range=f"bytes */{total}").status_code == 422
    assert not part.exists()


def test_more_than_the_whole_file_is_answered_with_what_helps(served: Served) -> None:
    assert put(served, DATA[:99], Content_Range=f"bytes 0-98/{len(DATA)}").status_code == 202
    answer = put(served, DATA[:9], Content_Range="bytes 9-17/50")
    assert (answer.status_code, answer.json()["hint"]) == (409, "send the file whole")


@pytest.mark.parametrize("where", ["query", "list"])
def test_an_arrived_file_of_which_another_xxhash_is_declared_is_not_called_complete(served: Served, where: str) -> None:
    assert put(served, DATA).status_code == 201
    if where == "list":
        rows = [{"local": "/a/b.txt", "hash": MD5, "xxhash": "7"}]
        assert [row["hash"] for row in upload(served, rows).json()["lacking"]] == [MD5]
    answer = put(served, DATA, **({"xxhash": "7"} if where == "query" else {}))
    assert (answer.status_code, answer.json()["why"]) == (422, f"its xxHash64 is {XXH}, and 7 was declared")
    assert len(served.table.blobs) == 1
    upload(served, [{"local": "/a/b.txt", "hash": MD5, "xxhash": XXH}])
    assert put(served, DATA).status_code == 200, "it is still here"


def test_an_xxhash_of_zero_means_that_none_is_known(served: Served) -> None:
    rows = [{"local": "/a/b.txt", "hash": MD5, "xxhash": "0"}]
    upload(served, rows)
    assert put(served, DATA).status_code == 201
    assert upload(served, rows).json()["lacking"] == []
    assert put(served, DATA, xxhash="0").status_code == 200


def test_an_arrived_file_that_comes_slowly_again_is_answered_after_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farmd.web.bodies._DRAIN_S", 0.0)
    assert put(served, DATA).status_code == 201
    answer = put(served, DATA)
    assert (answer.status_code, answer.headers.get("Connection", "")) == (200, "")


def test_a_client_that_waits_to_be_asked_for_an_arrived_file_is_not_asked(served: Served) -> None:
    assert put(served, DATA).status_code == 201
    with served.connect() as client:
        client.sendall(
            f"PUT /api/files/{MD5} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n"
            f"Content-Length: {len(DATA)}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 200"), answer[:80]


def test_a_list_of_somebody_who_may_send_nothing_is_not_kept(served: Served) -> None:
    def refuse(_args: dict[str, Any]) -> Any:
        raise NotAllowed("vera may not send files to the farm")

    served.table.answers["blob.missing"] = refuse
    assert upload(served, [{"local": "/a", "hash": MD5, "xxhash": XXH}]).status_code == 403
    assert list(served.settings.spool_dir.rglob("*.json")) == []


@pytest.mark.parametrize(
    "paths",
    [("C:/a", "C:/a/s.blend"), ("/C/x.ma", "C:/x.ma"), ("//a/b/s.ma", "/a/b/s.ma"), ("/a/s.ma/tex.png", "/a/s.ma")],
)
def test_a_list_whose_files_have_no_place_beside_each_other_is_refused(served: Served, paths: tuple[str, str]) -> None:
    rows = [{"local": path, "hash": f"{n:032x}", "xxhash": "1"} for n, path in enumerate(paths)]
    answer = upload(served, rows, scene_hash=f"{1:032x}")
    assert (answer.status_code, answer.json()["code"]) == (422, "unusable")


def test_one_scene_declared_by_two_requests_at_once_keeps_one_list_of_them(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "web", 1 << 30)
    spool.open()
    lists = [[Declared(f"/a/{n}/{k}.png", f"{k:032x}", n) for k in range(200)] for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda files: spool.declare("anna", MD5, files), lists))
    kept = spool.user("anna").get_set(MD5)
    assert kept in lists
    assert spool.declared_xxh64("anna", f"{3:032x}") == kept[3].xxh64
    assert list((tmp_path / "web").rglob("*.draft")) == []


def test_hashes_of_lists_that_gave_way_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farmd.web.spool.MAX_SETS", 2)
    monkeypatch.setattr("farmd.web.spool.MAX_HASHES", 3)
    spool = Spool(tmp_path / "web", 100)
    spool.open()
    for number in range(4):
        spool.declare("anna", f"{number:032x}", [Declared("/a", f"{number:032x}", number)])
        os.utime(tmp_path / "web/u-anna/sets" / f"{number:032x}.json", (number, number))
    assert [spool.declared_xxh64("anna", f"{number:032x}") for number in range(4)] == [None, None, 2, 3]
    spool.declare("anna", f"{3:032x}", [Declared("/b", "b" * 32, 9)])
    assert (spool.declared_xxh64("anna", f"{3:032x}"), spool.declared_xxh64("anna", "b" * 32)) == (None, 9)
    spool.declare("ben", "c" * 32, [Declared("/a", "c" * 32, 1), Declared("/b", "d" * 32, 1)])
    assert spool.declared_xxh64("ben", "d" * 32) == 1
    assert list(spool._hashes) == ["ben"], (
        "those of who sent nothing for longest are read again when they are asked for"
    )
    assert spool.declared_xxh64("anna", "b" * 32) == 9
