"""Files that frames left, on their way out: whole and verified, from the middle on, or cut."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
import requests
import xxhash

from farmd.web.server import Calm

if TYPE_CHECKING:
    from tests.web.serving import Served

DATA = bytes(range(256)) * 10_000
MD5 = hashlib.md5(DATA).hexdigest()
BLOB = f"{xxhash.xxh64_intdigest(DATA):016x}-{len(DATA)}-{MD5}"


def serve(served: Served, *names: str, content: bytes = DATA, here: bool = True, alive: bool = True) -> None:
    served.table.blobs[BLOB] = bytearray(content)
    outputs = [
        {"name": name, "blob": BLOB, "here": here, "task": 0, "frame": 1, "nodes": [{"name": "b", "alive": alive}]}
        for name in names
    ]
    served.table.answers["result.list"] = lambda _args: {"job": "j", "outputs": outputs}
    served.table.answers["result.fetch"] = lambda _args: {"here": False}


def download(served: Served, method: str = "GET", name: str | None = None, **headers: str) -> requests.Response:
    query: dict[str, Any] = {"task_id": "j", "frame": 1} | ({"name": name} if name else {})
    given = {"Authorization": "Bearer good", **{key.replace("_", "-"): text for key, text in headers.items()}}
    return requests.request(method, f"{served.url}/api/files/download", params=query, headers=given, timeout=10)


def test_results_that_fit_into_no_message_are_listed_all_the_same(served: Served) -> None:
    rows = [{"task": task, "name": f"f.{task}.exr", "blob": BLOB, "size": 1} for task in range(5)]

    def page(args: dict[str, Any]) -> dict[str, Any]:
        at = args["offset"]
        following = at + 2 if at + 2 < len(rows) else None
        return {"schema": "farm.results.v1", "job": "j", "outputs": rows[at : at + 2], "next": following}

    served.table.answers["result.list"] = page
    answer = requests.get(
        f"{served.url}/api/v1/jobs/j/results", headers={"Authorization": "Bearer good"}, timeout=10
    ).json()
    assert [output["task"] for output in answer["outputs"]] == [0, 1, 2, 3, 4]


def test_a_file_comes_whole_with_its_name_and_its_hashes(served: Served) -> None:
    serve(served, 'out/shöt "1".0001.exr')
    answer = download(served)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["ETag"] == f'"{MD5}"'
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"sh_t _1_.0001.exr\"; filename*=UTF-8''sh%C3%B6t%20%221%22.0001.exr"
    )


def test_a_head_reads_nothing_of_the_file(served: Served) -> None:
    serve(served, "f.1.exr")
    served.table.blobs.clear()
    answer = download(served, "HEAD")
    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (200, str(len(DATA)), b"")


def test_a_damaged_file_arrives_short_and_never_whole(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(Calm())
    serve(served, "f.1.exr", content=DATA[:-1] + b"\0")
    with pytest.raises(requests.exceptions.RequestException):
        download(served)
    assert served.is_well()
    told = [record for record in caplog.records if "cut" in record.getMessage()]
    assert len(told) == 1
    assert not any(record.exc_info for record in told)


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ({"Range": "bytes=2000000-"}, 2_000_000),
        ({"Range": f"bytes=5-{len(DATA) - 1}"}, 5),
        ({"Range": "bytes=0-"}, 0),
        ({"Range": "bytes=5-10"}, 0),
        ({"Range": "bytes=-5"}, 0),
        ({"Range": "bytes=0-1,5-6"}, 0),
        ({"Range": "bytes=7-", "If_Range": '"another"'}, 0),
        ({"Range": "bytes=7-", "If_Range": f'"{MD5}"'}, 7),
    ],
)
def test_a_download_goes_on_where_it_was_cut(served: Served, given: dict[str, str], start: int) -> None:
    serve(served, "f.1.exr")
    answer = download(served, **given)
    assert (answer.status_code, answer.content == DATA[start:]) == (206 if start else 200, True)
    if start:
        assert answer.headers["Content-Range"] == f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"


def test_a_range_behind_the_end_is_refused(served: Served) -> None:
    serve(served, "f.1.exr")
    answer = download(served, Range=f"bytes={len(DATA)}-")
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(DATA)}")


def test_of_several_files_the_one_that_is_meant_must_be_named(served: Served) -> None:
    serve(served, "beauty.0001.exr", "depth.0001.exr")
    assert download(served).status_code == 409
    assert download(served, name="depth.0001.exr").content == DATA
    assert download(served, name="dept.0001.exr").json()["hint"] == "did you mean 'depth.0001.exr'?"
    serve(served, "f.0001.exr", "f.0002.exr")
    assert download(served).status_code == 200, "a frame of a chunk is known by its number"


@pytest.mark.parametrize("alive", [True, False])
def test_a_file_that_cannot_be_had_is_named_with_its_machine(served: Served, *, alive: bool) -> None:
    serve(served, "f.1.exr", here=False, alive=alive)
    answer = download(served)
    assert (answer.status_code, answer.json()["why"]) == (503, "it is on b, which did not send it")


def test_a_frame_without_files_is_not_found(served: Served) -> None:
    serve(served)
    assert download(served).status_code == 404
