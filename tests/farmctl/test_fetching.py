"""Results on their way home: verified, resumed, never outside their folder, and honest about what is missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from protocol.errors import Unreachable
from tests.farmctl.fakes import JOB, FakeNode, farm, job_view, run
from tests.farmctl.test_submit import address_of

if TYPE_CHECKING:
    from pathlib import Path


class Results:
    """The result side of a node."""

    def __init__(self, files: dict[str, bytes], *, here: bool = True, alive: bool = True) -> None:
        self.files = files
        self.here = here
        self.holders = [{"id": "b" * 16, "name": "n02", "alive": alive}]
        self.fetches: list[int] = []
        self.damaged = False
        self.former: list[bytes] = []

    def list(self, job: str, frames: str, offset: int) -> dict[str, Any]:
        """List two tasks at a time."""
        outputs = [
            {
                "frame": number,
                "task": number - 1,
                "name": name,
                "blob": str(address_of(data)),
                "size": len(data),
                "nodes": self.holders,
                "here": self.here,
                "former": [str(address_of(data)) for data in self.former],
            }
            for number, (name, data) in enumerate(self.files.items(), 1)
        ]
        following = offset + 2 if offset + 2 < len(outputs) else None
        return {"outputs": outputs[offset : offset + 2], "next": following}

    def fetch(self, job: str, task: int) -> dict[str, Any]:
        self.fetches.append(task)
        return {"here": self.holders[0]["alive"] and self.fetches.count(task) > 2}

    def get(self, blob: str, offset: int, limit: int) -> dict[str, Any]:
        data = next(data for data in self.files.values() if str(address_of(data)) == blob)
        return {
            "data": b"x" * len(data[offset : offset + limit]) if self.damaged else data[offset : offset + limit],
            "size": len(data),
        }

    def node(self, **changes: Any) -> FakeNode:
        view = job_view(state="completed", completed_frames=f"1-{len(self.files)}") | changes
        ops = {"result.list": self.list, "result.fetch": self.fetch, "blob.get": self.get, "job.show": view}
        return FakeNode(farm() | ops)


FILES = {"f.0001.png": os.urandom(3_000_000), "sub/f.0002.png": b"small", "f.0003.png": b""}


def test_finished_frames_arrive_verified_and_are_named(tmp_path: Path) -> None:
    results = Results(FILES)
    done = run(results.node(), "job", "download", JOB, "-o", str(tmp_path / "new"))
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines() == [str(tmp_path / "new" / name) for name in FILES]
    assert {name: (tmp_path / "new" / name).read_bytes() for name in FILES} == FILES


def test_what_is_there_is_left_alone_and_a_former_result_is_replaced(tmp_path: Path) -> None:
    results = Results(FILES)
    node = results.node()
    assert run(node, "job", "download", JOB, "-o", str(tmp_path)).exit_code == 0
    (tmp_path / "sub" / "f.0002.png").write_bytes(b"SMALL")
    results.former = [b"SMALL"]
    before = len(node.asked("blob.get"))
    assert run(node, "job", "download", JOB, "-o", str(tmp_path)).exit_code == 0
    assert len(node.asked("blob.get")) == before + 1
    assert (tmp_path / "sub" / "f.0002.png").read_bytes() == b"small"
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3


@pytest.mark.parametrize(
    ("words", "code", "there", "said"),
    [
        ((), 0, {"f.0002.png": b"small", "f.0002.png.~1~": b"mine"}, "it is f.0002.png.~1~ now"),
        (("--existing", "rename"), 0, {"f.0002.png": b"small", "f.0002.png.~1~": b"mine"}, "another file"),
        (("--existing", "keep"), 0, {"f.0002.png": b"mine"}, "was left; the result was not written"),
        (("--existing", "replace"), 0, {"f.0002.png": b"small"}, "3 files"),
        (("--existing", "fail"), 10, {"f.0002.png": b"mine"}, "another file has the name: sub/f.0002.png"),
    ],
)
def test_a_file_of_somebody_else_is_lost_only_where_that_was_asked_for(
    tmp_path: Path, words: tuple[str, ...], code: int, there: dict[str, bytes], said: str
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "f.0002.png").write_bytes(b"mine")
    done = run(Results(FILES).node(), "job", "download", JOB, "-o", str(tmp_path), *words)
    assert done.exit_code == code
    assert said in done.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "sub").iterdir()} == there
    listed = str(tmp_path / "sub" / "f.0002.png") in done.stdout.splitlines()
    assert listed is (there["f.0002.png"] == b"small")


def test_what_the_job_says_of_existing_files_counts_unless_the_command_says_more(tmp_path: Path) -> None:
    results = Results({"f.png": b"x"})
    node = results.node()
    node.answers["result.list"] = lambda **args: results.list(**args) | {"existing": "keep"}
    (tmp_path / "f.png").write_bytes(b"mine")
    assert run(node, "job", "download", JOB, "-o", str(tmp_path)).exit_code == 0
    assert (tmp_path / "f.png").read_bytes() == b"mine"
    assert run(node, "job", "download", JOB, "-o", str(tmp_path), "--existing", "replace").exit_code == 0
    assert (tmp_path / "f.png").read_bytes() == b"x"


def test_an_interrupted_file_is_gone_on_with_where_it_stopped(tmp_path: Path) -> None:
    results = Results(FILES)
    node, asked = results.node(), []

    def get(blob: str, offset: int, limit: int) -> Any:
        asked.append(offset)
        if len(asked) == 3:
            raise Unreachable("the node does not answer")
        return results.get(blob, offset, limit)

    node.answers["blob.get"] = get
    assert run(node, "job", "download", JOB, "-o", str(tmp_path)).exit_code == 7
    (part,) = tmp_path.iterdir()
    assert (part.name.startswith("."), part.stat().st_size) == (True, 2 << 20)
    asked[:] = [0, 0, 0]
    done = run(node, "job", "download", JOB, "-o", str(tmp_path))
    assert done.exit_code == 0, done.stderr
    assert asked[3:] == [2 << 20, 0]
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == FILES
    assert not part.exists()


def test_a_half_file_that_is_wrong_is_fetched_anew(tmp_path: Path) -> None:
    results = Results({"f.png": b"content"})
    part = tmp_path / f".{address_of(b'content').md5.hex()}.farmd-part"
    part.write_bytes(b"CON")
    assert run(results.node(), "job", "download", JOB, "-o", str(tmp_path)).exit_code == 0
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("f.png", b"content")]


def test_a_damaged_file_never_gets_its_name(tmp_path: Path) -> None:
    results = Results(FILES)
    results.damaged = True
    done = run(results.node(), "job", "download", JOB, "-o", str(tmp_path))
    assert done.exit_code == 1
    assert "arrived damaged" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil", "a/../../evil", ""])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "out"
    done = run(Results({name: b"x"}).node(), "job", "download", JOB, "-o", str(folder))
    assert done.exit_code == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_link_in_the_folder_leads_nowhere(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "sub").symlink_to(elsewhere)
    assert run(Results(FILES).node(), "job", "download", JOB, "-o", str(folder)).exit_code == 1
    assert list(elsewhere.iterdir()) == []


def test_the_node_is_asked_to_get_what_it_lacks(tmp_path: Path) -> None:
    results = Results({"f.png": b"x"}, here=False)
    assert run(results.node(), "job", "download", JOB, "-o", str(tmp_path)).exit_code == 0
    assert results.fetches == [0, 0, 0]


def test_what_only_a_silent_machine_has_is_said(tmp_path: Path) -> None:
    results = Results({"f.png": b"x", "g.png": b"y"}, here=False, alive=False)
    done = run(results.node(), "job", "download", JOB, "-o", str(tmp_path))
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-3:] == [
        "error: frames 1-2 could not be fetched",
        "  why: frames 1-2: only copy on n02, which is off",
        f"  try: switch n02 on, or render it again: farmctl job retry {JOB} --frames 1-2",
    ]
    assert results.fetches == []


def test_what_can_be_had_comes_before_what_cannot(tmp_path: Path) -> None:
    results = Results(FILES)
    node = results.node()

    def listed(job: str, frames: str, offset: int) -> dict[str, Any]:
        answer = results.list(job, frames, offset)
        if not offset:
            away, afar = answer["outputs"]
            away |= {"here": False, "nodes": [{"id": "c" * 16, "name": "n03", "alive": False}]}
            afar["here"] = False
        return answer

    node.answers["result.list"] = listed
    done = run(node, "job", "download", JOB, "-o", str(tmp_path))
    assert done.exit_code == 10
    assert done.stdout.splitlines() == [str(tmp_path / name) for name in list(FILES)[1:]]
    assert "  why: frame 1: only copy on n03, which is off\n" in done.stderr
    assert results.fetches == [1, 1, 1]


def test_what_a_machine_that_answers_does_not_send_is_said(tmp_path: Path) -> None:
    results = Results({"f.png": b"x"}, here=False)
    node = results.node()
    node.answers["result.fetch"] = {"here": False}
    done = run(node, "job", "download", JOB, "-o", str(tmp_path))
    assert done.exit_code == 1
    assert "  why: frame 1: on n02, which did not send in time\n" in done.stderr


def test_each_frame_that_cannot_be_had_is_named_with_its_own_way_out(tmp_path: Path) -> None:
    results = Results({f"f.{number}.png": b"%d" % number for number in range(1, 5)})
    node = results.node()

    def listed(job: str, frames: str, offset: int) -> dict[str, Any]:
        answer = results.list(job, frames, offset)
        away = (["n7"], ["n7"], ["n8", "n9"], None)[offset : offset + 2]
        for output, names in zip(answer["outputs"], away, strict=True):
            if names is not None:
                output |= {"here": False, "nodes": [{"id": name, "name": name, "alive": False} for name in names]}
        return answer

    node.answers["result.list"] = listed
    done = run(node, "job", "download", JOB, "-o", str(tmp_path))
    assert done.exit_code == 10
    lines = done.stderr.splitlines()
    retry = f"farmctl job retry {JOB} --frames"
    assert f"frames 1-2: only copy on n7, which is off; switch n7 on, or render it again: {retry} 1-2" in lines
    assert (
        f"frame 3: copies only on n8 and n9, which are off; switch n8 or n9 on, or render it again: {retry} 3" in lines
    )
    assert "error: frames 1-3 could not be fetched" in lines


def test_a_terminal_gets_a_summary_and_quiet_gets_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farmctl.commands.download.is_terminal", lambda stream: True)
    words = ("job", "download", JOB, "-o", str(tmp_path))
    node = Results(FILES).node()
    assert run(node, *words).stdout == f"3 files in {tmp_path}, 2.9M copied\n"
    assert run(node, *words, "-q").stdout.splitlines() == [str(tmp_path / name) for name in FILES]


def test_only_the_frames_that_were_asked_for_are_listed(tmp_path: Path) -> None:
    node = Results(FILES).node()
    done = run(node, "job", "download", JOB, "--frames", "2-9", "-o", str(tmp_path))
    assert node.asked("result.list")[0]["frames"] == "2-3"
    assert done.exit_code == 10
    assert "not finished yet: 4-9" in done.stderr


@pytest.mark.parametrize("words", [("--frames", "50"), ()])
def test_nothing_finished_is_an_error(words: tuple[str, ...], tmp_path: Path) -> None:
    node = Results(FILES).node(completed_frames="" if not words else "1-3")
    assert run(node, "job", "download", JOB, "-o", str(tmp_path), *words).exit_code == 1


def test_job_that_promises_no_files_is_1_and_said_to_have_none(tmp_path: Path) -> None:
    node = Results(FILES).node(leaves_outputs=False, completed_frames="1-3")
    done = run(node, "job", "download", JOB, "-o", str(tmp_path / "out"))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "it promises no files" in done.stderr
    assert not (tmp_path / "out").exists()
    shown = run(node, "job", "show", JOB).stdout
    assert "it promises no files" in shown
    assert "on one machine only" not in shown


def test_the_folder_of_the_job_is_taken_only_where_it_exists(tmp_path: Path) -> None:
    assert run(Results(FILES).node(output_dir=str(tmp_path)), "job", "download", JOB).exit_code == 0
    assert (tmp_path / "f.0001.png").exists()
    done = run(Results(FILES).node(output_dir=str(tmp_path / "other")), "job", "download", JOB)
    assert done.exit_code == 2
    assert not (tmp_path / "other").exists()


def test_waiting_brings_results_that_no_node_delivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    node = Results(FILES).node()
    out = tmp_path / "out"
    views = [
        job_view(deliver="client", completed_frames="1"),
        job_view(deliver="client", state="completed", completed_frames="1-3"),
    ]
    node.answers |= {
        "job.submit": {"job": JOB, "stored": "farm", "nodes": [], "deliver": "client"},
        "job.watch": iter([{"version": number, "job": view} for number, view in enumerate(views, 1)]),
    }
    done = run(node, "submit", "--command", "true", "--output", str(out), "--wait")
    assert done.exit_code == 0, done.stderr
    assert {name: (out / name).read_bytes() for name in FILES} == FILES
