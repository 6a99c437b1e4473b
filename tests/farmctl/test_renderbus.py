"""A task of Renderbus in the place of a scene, and a job as such a task."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from farmd.ingest.manifest import decode_manifest
from farmd.scenes import readers
from farmd.scenes.renderbus.plain import print_document
from protocol.errors import NotFound
from protocol.jobspec import GateMode, JobSpec, spec_from_bytes
from tests.farmctl.fakes import JOB, FakeNode, farm, job_view, run
from tests.farmctl.test_submit import Store
from tests.scenes.reading import FakeReader
from tests.scenes.renderbus.tasks import Document, blender_task, maya_task, upload_of

if TYPE_CHECKING:
    from pathlib import Path

SCENE = b"BLENDER-v405" + b"\0" * 100


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def node(store: Store) -> FakeNode:
    answer = {"job": JOB, "stored": "farm", "nodes": ["ws07", "n02"], "deliver": "node"}

    def get(blob: str, offset: int, limit: int) -> dict[str, Any]:
        if blob not in store.blobs:
            raise NotFound("these bytes are not on this node", blob, "")
        data = bytes(store.blobs[blob])
        return {"data": data[offset : offset + min(limit, 100)], "size": len(data)}

    found = FakeNode(farm() | store.answers | {"blob.get": get, "job.submit": answer})
    found.answers["job.spec"] = lambda job: {"job": job, "spec": found.asked("job.submit")[-1]["spec"]}
    return found


@pytest.fixture(autouse=True)
def _scenes_are_read_without_their_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "reader_of", lambda path: FakeReader("blender"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def sent(node: FakeNode) -> JobSpec:
    return spec_from_bytes(node.asked("job.submit")[-1]["spec"])


def folder_of(folder: Path, **info: Any) -> dict[str, Document]:
    """Lay a task with a scene and a texture down, in the tree of the service."""
    for place, data in {"D/show/fire.blend": SCENE, "D/tex/wood.png": b"wood"}.items():
        (folder / place).parent.mkdir(parents=True)
        (folder / place).write_bytes(data)
    documents = {
        "task": blender_task("D:/show/fire.blend", **info),
        "upload": upload_of("D:/show/fire.blend", "D:/tex/wood.png", md5=hashlib.md5(SCENE).hexdigest()),
        "asset": {"asset": ["D:/tex/wood.png  (mtime 2020-01-01 00:00:00) size 4"], "asset_num": "1"},
        "tips": {"10012": ["D:/tex/lost.png"]},
    }
    for name, document in documents.items():
        (folder / f"{name}.json").write_bytes(print_document(document))
    return documents


def test_a_task_becomes_the_job_that_it_asks_for(node: FakeNode, store: Store, tmp_path: Path) -> None:
    folder_of(
        tmp_path, pre_frames="101", stop_after_test="1", frames_per_task="3", priority="9", ram="16",
        graphics_cards_num="1", gpu_render="1", time_out="7200", job_stop_time="90000",
    )  # fmt: skip
    result = run(node, "submit", "task.json", "--output", "out", "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{JOB}\n", "")
    spec = sent(node)
    assert (spec.name, spec.renderer, spec.project) == ("fire", "blender", "dragon")
    assert (spec.frames, spec.chunk, spec.priority) == ("1-100", 3, 90)
    assert (spec.gate.mode, spec.gate.test_frames) == (GateMode.HOLD, (1, 100))
    needs, limits = spec.requirements, spec.limits
    assert (needs.ram_bytes, needs.gpus, needs.renderer_version) == (16_000_000_000, 1, "3.4")
    assert (limits.frame_timeout_s, limits.job_timeout_s) == (7200, 90_000)
    assert spec.path_rules == (("D:/", f"{tmp_path}/D/"),)
    assert spec.output_dir == str(tmp_path / "out")
    assert spec.manifest is not None
    manifest = decode_manifest(bytes(store.blobs[str(spec.manifest)]))
    assert (manifest.scene, [entry.path for entry in manifest.entries]) == (
        "show/fire.blend",
        ["show/fire.blend", "tex/wood.png"],
    )


def test_the_command_line_wins_over_the_task(node: FakeNode, tmp_path: Path) -> None:
    folder_of(tmp_path, pre_frames="101", priority="9", frames_per_task="3", ram="16")
    words = (
        "--frames 1..9 --dialect blender --chunk 1 --ram 8G --name mine --renderer mitsuba --gate hold --priority 50"
    )
    (tmp_path / "D/show/fire.blend").write_bytes(b"<scene/>")
    assert run(node, "submit", "task.json", *words.split()).exit_code == 0
    spec = sent(node)
    assert (spec.name, spec.renderer, spec.requirements.renderer_version) == ("mine", "mitsuba", "")
    assert (spec.frames, spec.chunk, spec.priority, spec.requirements.ram_bytes) == ("1-9", 1, 50, 8 << 30)
    assert (spec.gate.mode, spec.gate.test_frames) == (GateMode.HOLD, (1, 9))
    assert spec.project == "dragon"


def test_test_frames_of_the_command_line_keep_what_the_task_does_after_them(node: FakeNode, tmp_path: Path) -> None:
    folder_of(tmp_path, pre_frames="100", stop_after_test="1")
    assert run(node, "submit", "task.json", "--test-frames", "7,8").exit_code == 0
    assert (sent(node).gate.mode, sent(node).gate.test_frames) == (GateMode.HOLD, (7, 8))


def test_what_cannot_be_had_is_told_and_a_dry_run_sends_nothing(node: FakeNode, tmp_path: Path) -> None:
    folder_of(tmp_path, os_name="1", ram="64", pre_frames="000:200")
    result = run(node, "submit", "task.json", "--dry-run")
    assert result.exit_code == 0, result.stderr
    first, *told = result.stderr.splitlines()
    assert first == (
        "task.json is a task of Renderbus: blender 3.4, 100 frames, 2 files, 59.6G of memory, priority 50,"
        " 12h a frame, project dragon"
    )
    assert "  it asks for Windows, and machines of this farm run Linux" in told
    assert "  1 test frame is outside the range and renders too: 200" in told
    assert "  1 file missing when the scene was analysed: D:/tex/lost.png" in told
    assert "auto, test frame 200" in result.stdout
    assert "1-100 (101 frames, 101 tasks)" in result.stdout
    assert node.asked("job.submit") == []


def test_a_scene_that_was_saved_since_is_told(node: FakeNode, tmp_path: Path) -> None:
    folder_of(tmp_path)
    (tmp_path / "D/show/fire.blend").write_bytes(SCENE + b"more")
    result = run(node, "submit", "task.json", "--dry-run")
    assert "the scene was changed after the task was made" in result.stderr
    document = json.loads(run(node, "submit", "task.json", "--dry-run", "--json").stdout)
    assert [remark["code"] for remark in document["remarks"]] == ["missing", "scene_changed"]


@pytest.mark.parametrize(
    ("info", "why"),
    [({"tiles": "4"}, "each frame is split into 4 tiles"), ({"is_distribute_render": "1"}, "is_distribute_render: ")],
)
def test_what_cannot_be_imported_is_refused_in_three_lines(
    info: dict[str, Any], why: str, node: FakeNode, tmp_path: Path
) -> None:
    folder_of(tmp_path, **info)
    result = run(node, "submit", "task.json")
    assert result.exit_code == 2
    assert [line[:8] for line in result.stderr.splitlines()] == ["error: t", "  why: " + why[0], "  try: s"]
    assert why in result.stderr
    assert node.calls == []


def test_an_unknown_program_is_refused_unless_the_command_line_says_what_renders(
    node: FakeNode, tmp_path: Path
) -> None:
    documents = folder_of(tmp_path)
    documents["task"]["software_config"]["cg_name"] = "Photoshop"
    (tmp_path / "task.json").write_bytes(print_document(documents["task"]))
    assert "nothing is known of the program 'Photoshop'" in run(node, "submit", "task.json").stderr
    assert run(node, "submit", "task.json", "--command", "cp {scene} {output}").exit_code == 0
    assert (sent(node).renderer, sent(node).requirements.renderer_version) == ("command", "")


def test_an_older_tasks_own_renderer_is_asked_of_the_node(node: FakeNode, tmp_path: Path) -> None:
    (tmp_path / "fire.ma").write_bytes(b"//Maya ASCII 2022 scene\n")
    (tmp_path / "task.json").write_bytes(print_document(maya_task()))
    result = run(node, "submit", "task.json")
    assert "there is no upload.json beside it: only the scene is sent" in result.stderr
    assert (sent(node).renderer, sent(node).requirements.renderer_version) == ("maya", "2022")


def test_the_files_come_back_as_they_were(node: FakeNode, tmp_path: Path) -> None:
    documents = folder_of(tmp_path, pre_frames="111")
    assert run(node, "submit", "task.json").exit_code == 0
    node.answers["job.show"] = job_view(priority=50)
    result = run(node, "job", "export", JOB, "-o", "back")
    assert result.exit_code == 0, result.stderr
    paths = [tmp_path / "back" / f"{name}.json" for name in ("task", "upload", "asset", "tips")]
    assert result.stdout.splitlines() == list(map(str, paths))
    assert {path.stem: json.loads(path.read_bytes()) for path in paths} == documents
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == sorted(path.name for path in paths)


def test_a_priority_that_was_changed_since_is_exported(node: FakeNode, tmp_path: Path) -> None:
    folder_of(tmp_path)
    run(node, "submit", "task.json")
    node.answers["job.show"] = job_view(priority=70)
    assert run(node, "job", "export", JOB, "-o", "back").exit_code == 0
    assert json.loads((tmp_path / "back/task.json").read_bytes())["task_info"]["priority"] == "7"


def test_an_exported_job_is_submitted_again_as_the_same(node: FakeNode, tmp_path: Path) -> None:
    folder_of(tmp_path)
    scene = tmp_path / "D/show/fire.blend"
    words = "--frames 1-9 --ram 8G --cores 3 --retries 0 --gate auto --test-frames 9,1 --output out --name hero --existing fail"
    assert run(node, "submit", str(scene), "--input", "D/tex", "--param", "samples=9", *words.split()).exit_code == 0
    first = sent(node)
    node.answers["job.show"] = job_view(priority=first.priority)
    assert run(node, "job", "export", JOB, "-o", "back", "--format", "renderbus").exit_code == 0
    task = json.loads((tmp_path / "back/task.json").read_bytes())
    assert task["task_info"]["task_id"] == job_view()["task_id"]
    assert task["task_info"]["pre_frames"] == "001:1"
    result = run(node, "submit", "back/task.json")
    assert result.exit_code == 0, result.stderr
    assert sent(node) == first


def test_nothing_is_replaced_silently(node: FakeNode, tmp_path: Path) -> None:
    folder_of(tmp_path)
    run(node, "submit", "task.json")
    node.answers["job.show"] = job_view(priority=50)
    words = ("job", "export", JOB, "-o", "back")
    assert run(node, *words).exit_code == 0
    assert run(node, *words).exit_code == 0
    edited = tmp_path / "back/tips.json"
    edited.write_text("{}")
    result = run(node, *words)
    assert result.exit_code == 1
    assert "error: tips.json would be replaced" in result.stderr
    assert edited.read_text() == "{}"
    assert run(node, *words, "--force").exit_code == 0
    assert "10012" in edited.read_text()


def test_a_node_without_the_list_of_files_says_which_machine_to_ask(
    node: FakeNode, store: Store, tmp_path: Path
) -> None:
    folder_of(tmp_path)
    run(node, "submit", "task.json")
    store.blobs.clear()
    result = run(node, "job", "export", JOB, "-o", "back")
    assert result.exit_code == 5
    assert "--node" in result.stderr


def test_another_json_file_is_no_task(node: FakeNode, tmp_path: Path) -> None:
    (tmp_path / "scene.json").write_text("{}")
    assert "cannot tell what renders scene.json" in run(node, "submit", "scene.json").stderr
