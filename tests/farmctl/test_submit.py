"""Submission: what is refused before anything is sent, what is sent, and what is told."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import xxhash

from farmd.core.plan import Plan
from farmd.ingest.manifest import decode_manifest
from farmd.scenes import readers
from protocol.errors import Unreachable, UserError
from protocol.ids import BlobAddress, parse_blob_address
from protocol.jobspec import GateMode, JobSpec, spec_from_bytes
from tests.farmctl.fakes import JOB, OTHER, FakeNode, farm, job_view, run
from tests.scenes.reading import FakeReader

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Store:
    """The blob side of a node: takes chunks, verifies, tells how far it is."""

    blobs: dict[str, bytearray] = field(default_factory=dict)
    chunks: int = 0

    def missing(self, blobs: list[str]) -> dict[str, Any]:
        lacking = [(name, len(self.blobs.get(name, b""))) for name in blobs if not self.complete(name)]
        return {"missing": [{"blob": name, "have_bytes": have} for name, have in lacking]}

    def put(self, blob: str, offset: int, data: bytes) -> dict[str, Any]:
        self.chunks += 1
        assert len(data) <= 1 << 20
        held = self.blobs.setdefault(blob, bytearray())
        assert offset == len(held)
        held += data
        return {"have_bytes": len(held), "complete": self.complete(blob)}

    def put_small(self, blobs: list[str], data: bytes) -> dict[str, Any]:
        assert len(data) <= 3 << 20
        assert len(blobs) <= 4_000
        changed = []
        for blob in blobs:
            self.chunks += 1
            size = parse_blob_address(blob).size
            content, data = data[:size], data[size:]
            self.blobs[blob] = bytearray(content)
            changed += [] if self.complete(blob) else [blob]
        assert not data
        return {"changed": changed}

    @property
    def answers(self) -> dict[str, Any]:
        return {"blob.missing": self.missing, "blob.put": self.put, "blob.put_small": self.put_small}

    def complete(self, name: str) -> bool:
        return name in self.blobs and address_of(bytes(self.blobs[name])) == parse_blob_address(name)


def address_of(data: bytes) -> BlobAddress:
    return BlobAddress(xxhash.xxh64_intdigest(data), len(data), hashlib.md5(data).digest())


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def node(store: Store) -> FakeNode:
    answer = {"job": JOB, "stored": "farm", "nodes": ["ws07", "n02"], "deliver": "node"}
    return FakeNode(farm() | store.answers | {"job.submit": answer})


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    """Read .blend files without Blender; they are bytes of a header here."""
    reader = FakeReader("blender")
    own = readers.reader_of
    monkeypatch.setattr(readers, "reader_of", lambda path: reader if ".blend" in path.name.lower() else own(path))
    return reader


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "project" / "fire_v3.blend"
    path.parent.mkdir()
    path.write_bytes(b"BLENDER-v405" + b"\0" * 100)
    return path


def sent(node: FakeNode) -> JobSpec:
    (args,) = node.asked("job.submit")
    return spec_from_bytes(args["spec"])


def test_quiet_prints_the_id_alone(node: FakeNode, scene: Path) -> None:
    result = run(node, "submit", str(scene), "--frames", "1-100", "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{JOB}\n", "")


def test_the_job_carries_everything_that_was_asked(node: FakeNode, scene: Path, tmp_path: Path) -> None:
    words = (
        "--frames 1-100x2 --chunk 4 --ram 8G --gpus 1 --vram 12G --cores 6 --renderer blender@4.5 --gate hold --test-frames first,last"
        " --priority 80 --output out --output-name f.{frame:04d}.png --after wide_ünïcode --name shot --param samples=64"
        " --param view=a=b --retries 1 --frame-timeout 90m --ack leader"
    )
    result = run(node, "submit", str(scene), *words.split(), "--map", f"Y:/show={tmp_path}", "--map", r"\\filer\tex=.")
    assert result.exit_code == 0, result.stderr
    spec = sent(node)
    assert (spec.name, spec.renderer, spec.frames, spec.chunk, spec.priority) == ("shot", "blender", "1-99x2", 4, 80)
    needs = spec.requirements
    assert (needs.ram_bytes, needs.vram_bytes, needs.gpus, needs.cores) == (8 << 30, 12 << 30, 1, 6)
    assert needs.renderer_version == "4.5"
    assert (spec.gate.mode, spec.gate.test_frames) == (GateMode.HOLD, (1, 99))
    assert (spec.limits.retries, spec.limits.frame_timeout_s) == (1, 5400)
    assert spec.params == {"samples": "64", "view": "a=b"}
    assert spec.after == (OTHER,)
    assert spec.path_rules == (("Y:/show", str(tmp_path)), (r"\\filer\tex", str(tmp_path)))
    assert spec.output_dir == str(tmp_path / "out")
    assert (tmp_path / "out").is_dir()
    assert (spec.submit_node, spec.submitted_at_ms) == ("0" * 16, 0)
    assert (node.asked("job.submit")[0]["ack"], node.asked("job.submit")[0]["deliver"]) == ("leader", True)


def test_files_reach_the_node_and_the_manifest_names_them(node: FakeNode, store: Store, scene: Path) -> None:
    textures = scene.parent / "tex"
    textures.mkdir()
    (textures / "wood.png").write_bytes(os.urandom((2 << 20) + 5))
    (textures / "empty.txt").touch()
    assert run(node, "submit", str(scene), "--frames", "1", "--input", str(textures)).exit_code == 0
    spec = sent(node)
    assert spec.manifest is not None
    manifest = decode_manifest(bytes(store.blobs[str(spec.manifest)]))
    assert (manifest.scene, spec.scene) == ("fire_v3.blend", "fire_v3.blend")
    assert [entry.path for entry in manifest.entries] == ["fire_v3.blend", "tex/empty.txt", "tex/wood.png"]
    assert all(store.complete(str(address)) for address in manifest.blobs)
    assert spec.scene_path == str(scene)


def test_what_the_node_has_is_not_sent_again_and_half_a_blob_is_continued(
    node: FakeNode, store: Store, scene: Path
) -> None:
    big = scene.parent / "big.bin"
    big.write_bytes(os.urandom(3 << 20))
    words = ("submit", str(scene), "--frames", "1", "--input", str(big), "--json")
    store.blobs[str(address_of(big.read_bytes()))] = bytearray(big.read_bytes()[: 2 << 20])
    first = json.loads(run(node, *words).stdout)
    assert first["total_bytes"] == (3 << 20) + 112
    assert first["sent_bytes"] == (1 << 20) + 112
    chunks = store.chunks
    assert json.loads(run(node, *words).stdout)["sent_bytes"] == 0
    assert store.chunks == chunks


def test_a_node_that_holds_less_than_it_said_is_sent_the_rest(node: FakeNode, store: Store, scene: Path) -> None:
    scene.write_bytes(b"BLENDER" + os.urandom(3 << 20))
    name = str(address_of(scene.read_bytes()))

    def missing(blobs: list[str]) -> dict[str, Any]:
        return {"missing": [{"blob": blob, "have_bytes": (2 << 20) * (blob == name)} for blob in blobs]}

    def put(blob: str, offset: int, data: bytes) -> dict[str, Any]:
        held = len(store.blobs.get(blob, b""))
        return store.put(blob, offset, data) if held == offset else {"have_bytes": held, "complete": False}

    node.answers |= {"blob.missing": missing, "blob.put": put}
    result = run(node, "submit", str(scene), "--frames", "1")
    assert result.exit_code == 0, result.stderr
    assert store.complete(name)


def test_no_node_is_found_out_before_anything_is_hashed(node: FakeNode, scene: Path, tmp_path: Path) -> None:
    node.answers["farm.status"] = Unreachable("no answer")
    assert run(node, "submit", str(scene), "--frames", "1").exit_code == 7
    assert not (tmp_path / "cache").exists()


def test_a_large_file_that_changes_while_it_is_sent_is_refused(node: FakeNode, scene: Path) -> None:
    scene.write_bytes(b"BLENDER" + bytes(2 << 20))
    node.answers["blob.put"] = lambda blob, offset, data: {"have_bytes": offset, "complete": False}
    result = run(node, "submit", str(scene), "--frames", "1")
    assert result.exit_code == 1
    assert f"{scene} could not be sent" in result.stderr
    assert "changed while it was sent" in result.stderr
    assert node.asked("job.submit") == []


def rewritten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


def with_a_byte_more(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"+")


def made_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [rewritten, with_a_byte_more, Path.unlink, made_a_pipe])
def test_small_file_that_changes_between_hashing_and_sending_is_named(
    node: FakeNode, store: Store, scene: Path, change: Callable[[Path], None]
) -> None:
    texture = scene.parent / "wood.png"
    texture.write_bytes(b"wood")

    def missing(blobs: list[str]) -> dict[str, Any]:
        change(texture)
        return store.missing(blobs)

    node.answers["blob.missing"] = missing
    result = run(node, "submit", str(scene), "--frames", "1", "--input", str(texture))
    assert result.exit_code == 1
    assert str(texture) in result.stderr
    assert node.asked("job.submit") == []


def test_small_files_go_together_and_large_ones_by_themselves(node: FakeNode, store: Store, scene: Path) -> None:
    textures = scene.parent / "tex"
    textures.mkdir()
    for number in range(500):
        (textures / f"{number}.png").write_bytes(os.urandom(10_000))
    (textures / "large.exr").write_bytes(os.urandom((1 << 20) + 1))
    assert run(node, "submit", str(scene), "--frames", "1", "--input", str(textures)).exit_code == 0
    assert len(node.asked("blob.put_small")) == 3  # 5 MB in two messages, and the list of files
    assert [args["offset"] for args in node.asked("blob.put")] == [0, 1 << 20]
    assert all(map(store.complete, store.blobs))


def test_submission_that_is_repeated_after_a_break_sends_only_what_lacks(
    node: FakeNode, store: Store, scene: Path
) -> None:
    textures = scene.parent / "tex"
    textures.mkdir()
    for number in range(400):
        (textures / f"{number}.png").write_bytes(os.urandom(10_000))

    def break_down(blobs: list[str], data: bytes) -> dict[str, Any]:
        node.answers["blob.put_small"] = Unreachable("gone")
        return store.put_small(blobs, data)

    node.answers["blob.put_small"] = break_down
    words = ("submit", str(scene), "--frames", "1", "--input", str(textures), "--json")
    assert run(node, *words).exit_code == 7
    held = len(store.blobs)
    assert 0 < held < 401
    node.answers |= store.answers
    node.calls.clear()
    result = run(node, *words)
    assert json.loads(result.stdout)["sent_bytes"] == (401 - held) * 10_000
    assert sum(len(args["blobs"]) for args in node.asked("blob.put_small")) == 401 - held + 1


def test_files_on_their_way_are_shown(node: FakeNode, scene: Path) -> None:
    (scene.parent / "wood.png").write_bytes(os.urandom(1_000_000))
    words = ("submit", str(scene), "--frames", "1", "--input", str(scene.parent), "--progress", "plain")
    assert "sending" in run(node, *words).stderr


@pytest.mark.parametrize(
    ("name", "content", "words", "code", "says"),
    [
        ("a.blend", None, "--frames 1", 5, "no scene"),
        ("a.blend", b"", "--frames 1", 1, "is empty"),
        ("a.blend", b"PK\3\4 not a scene", "--frames 1", 1, "is not a Blender file"),
        ("a.xml", b"BLENDER-v405", "", 1, "is not an XML file"),
        ("a.pov", b"\x7fELF\0\0", "", 1, "is not a POV-Ray scene"),
        ("a.blend", b"BLENDER-v405", "--no-analyse", 2, "which frames?"),
        ("a.blend", b"BLENDER-v405", "--frames 1-10:2", 2, "cannot read the frames"),
        ("a.blend", b"BLENDER-v405", "--frames 10-1", 2, "runs backwards"),
        ("a.blend", b"BLENDER-v405", "--frames 1 --ram 8", 2, "a size without a unit"),
        ("a.blend", b"BLENDER-v405", "--frames 1 --frame-timeout soon", 2, "not a duration"),
        ("a.blend", b"BLENDER-v405", "--frames 1 --chunk 0", 2, "--chunk"),
        ("a.blend", b"BLENDER-v405", "--frames 1 --priority 101", 2, "--priority"),
        ("a.blend", b"BLENDER-v405", "--frames 1 --param samples", 2, "cannot read the parameter"),
        ("a.blend", b"BLENDER-v405", "--frames 1 --test-frames every:x", 2, "test frames"),
        ("a.blend", b"BLENDER-v405", "--frames 1-9 --output-name f.png", 2, "would be written to"),
        ("a.blend", b"BLENDER-v405", "--frames 1 --output-name ../f.png", 2, "output_name"),
        ("a.blend", b"BLENDER-v405", "--frames 1 --input nowhere", 5, "no file or folder"),
        ("a.blend", b"BLENDER-v405", "--frames 1 --output a.blend/x", 1, "results cannot be written"),
        ("a.blend", b"BLENDER-v405", "--frames 1 --after nothing", 5, "no job"),
        ("a.blend", b"BLENDER-v405", "--frames 1 --renderer Blender!", 2, "renderer"),
        ("a.blend", b"BLENDER-v405", "--frames 1 --renderer blender --command x", 2, "exclude one another"),
        ("a.ma", b"//Maya", "--frames 1", 2, "cannot tell what renders"),
        ("a.png", b"x", "--command {scnee}", 2, "did you mean {scene}"),
    ],
)
def test_a_wrong_submission_is_refused_before_anything_is_sent(
    node: FakeNode, name: str, content: bytes | None, words: str, code: int, says: str
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    result = run(node, "submit", name, *words.split())
    assert (result.exit_code, result.stdout) == (code, ""), result.stderr
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 3
    assert {op for op, _ in node.calls} <= {"job.list"}


def test_a_folder_is_no_scene(node: FakeNode, tmp_path: Path) -> None:
    result = run(node, "submit", str(tmp_path), "--frames", "1", "--renderer", "blender")
    assert result.exit_code == 1
    assert "is a folder" in result.stderr


def test_nothing_to_render_is_2(node: FakeNode) -> None:
    assert run(node, "submit").exit_code == 2


@pytest.mark.parametrize("content", [b"BLENDER-v405", gzip.compress(b"BLENDER", mtime=0), b"\x28\xb5\x2f\xfd rest"])
def test_blender_files_of_all_three_kinds_are_taken(node: FakeNode, content: bytes) -> None:
    Path("a.blend").write_bytes(content)
    assert run(node, "submit", "a.blend", "--frames", "1").exit_code == 0


@pytest.mark.parametrize(
    ("name", "content", "renderer", "frames"),
    [
        ("a.xml", b"\xef\xbb\xbf\n<scene/>", "mitsuba", "1"),
        ("a.pov", b"camera {}", "povray", "1"),
        ("A.BLEND", b"BLENDER", "blender", "7"),
    ],
)
def test_the_ending_names_the_renderer(node: FakeNode, name: str, content: bytes, renderer: str, frames: str) -> None:
    Path(name).write_bytes(content)
    words = ("--frames", frames) if renderer == "blender" else ()
    assert run(node, "submit", name, *words).exit_code == 0
    assert (sent(node).renderer, sent(node).frames) == (renderer, frames)


@pytest.mark.parametrize(
    ("words", "mode", "tests"),
    [
        ("--frames 1-3", GateMode.OFF, ()),
        ("--frames 1-4", GateMode.AUTO, (1, 2, 4)),
        ("--frames 1-3 --gate auto", GateMode.AUTO, (1, 2, 3)),
        ("--frames 1-3 --test-frames 2", GateMode.AUTO, (2,)),
        ("--frames 1-100 --gate off", GateMode.OFF, ()),
        ("--frames 1-100 --gate hold", GateMode.HOLD, (1, 50, 100)),
        ("--frames 1-3 --test-frames 100", GateMode.AUTO, (100,)),
    ],
)
def test_test_frames_go_first_unless_they_would_be_all(
    node: FakeNode, scene: Path, words: str, mode: GateMode, tests: tuple[int, ...]
) -> None:
    assert run(node, "submit", str(scene), *words.split()).exit_code == 0
    assert (sent(node).gate.mode, sent(node).gate.test_frames) == (mode, tests)


def test_any_command_renders_a_scene(node: FakeNode) -> None:
    Path("in.png").write_bytes(b"png")
    words = (
        "--command",
        "cp {scene} {output}",
        "in.png",
        "--frames",
        "1-40",
        "--output",
        "o",
        "--output-name",
        "f.{frame:04d}.png",
    )
    result = run(node, "submit", *words)
    assert result.exit_code == 0, result.stderr
    spec = sent(node)
    assert (spec.renderer, spec.command, spec.scene, spec.frames) == (
        "command",
        "cp {scene} {output}",
        "in.png",
        "1-40",
    )
    assert spec.gate.mode is GateMode.AUTO


def test_a_command_needs_no_scene_and_then_no_file_is_sent(node: FakeNode) -> None:
    result = run(node, "submit", "--command", "sleep {frame}", "--frames", "1-2", "-q")
    assert (result.exit_code, result.stdout) == (0, f"{JOB}\n"), result.stderr
    assert (sent(node).scene, sent(node).manifest, sent(node).name) == (None, None, "sleep")
    assert node.asked("blob.missing") == []


def test_a_command_without_scene_may_have_files(node: FakeNode, store: Store, scene: Path) -> None:
    assert run(node, "submit", "--command", "ls {scene}", "--input", str(scene.parent)).exit_code == 0
    spec = sent(node)
    assert spec.scene is None
    assert spec.manifest is not None
    assert len(decode_manifest(bytes(store.blobs[str(spec.manifest)])).entries) == 1


def test_a_dry_run_checks_everything_and_sends_nothing(node: FakeNode, scene: Path, tmp_path: Path) -> None:
    result = run(node, "submit", str(scene), "--frames", "1-100", "--output", "new/out", "-n", "--json")
    assert result.exit_code == 0
    assert node.calls == []
    assert not (tmp_path / "new").exists()
    document = json.loads(result.stdout)
    assert (document["total"], document["tasks"], document["dry_run"]) == (100, 100, True)
    assert run(node, "submit", str(scene), "-n", "--no-analyse").exit_code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--frames 1-4 --chunk 2", "4 frames, 4 tasks"),
        ("--frames 1-100 --chunk 10", "100 frames, 13 tasks"),
        ("--frames 1-100 --chunk 10 --gate off", "100 frames, 10 tasks"),
        ("--frames 1-10 --chunk 5 --test-frames 0,5", "11 frames, 4 tasks"),
        ("--frames 1-3", "3 frames, 3 tasks"),
    ],
)
def test_tasks_are_counted_as_the_node_plans_them(node: FakeNode, scene: Path, words: str, said: str) -> None:
    assert said in run(node, "submit", str(scene), *words.split()).stdout
    spec = sent(node)
    plan = Plan(spec)
    assert said == f"{plan.frame_count} frames, {plan.task_count} tasks"


def test_what_had_to_be_sent_is_said_of_the_files(node: FakeNode, scene: Path) -> None:
    assert "1 (112B; all of it had to be sent)" in run(node, "submit", str(scene), "--frames", "1").stdout
    assert "1 (112B; none of it had to be sent)" in run(node, "submit", str(scene), "--frames", "1").stdout


def test_stored_here_only_is_told_even_with_quiet(node: FakeNode, scene: Path) -> None:
    node.answers["job.submit"] |= {"stored": "here"}
    result = run(node, "submit", str(scene), "--frames", "1", "-q")
    assert (result.exit_code, result.stdout) == (0, f"{JOB}\n")
    assert "stored here only" in result.stderr
    node.answers["job.submit"] |= {"alone": True}
    assert run(node, "submit", str(scene), "--frames", "1", "-q").stderr == ""


@pytest.mark.parametrize(
    ("words", "existing", "fate"),
    [
        ((), "rename", "moved aside"),
        (("--existing", "keep"), "keep", "are not written"),
        (("--existing", "replace"), "replace", "are replaced"),
        (("--existing", "fail"), "fail", "as a failure"),
    ],
)
def test_a_job_that_writes_the_same_files_is_named_with_what_becomes_of_them(
    node: FakeNode, scene: Path, tmp_path: Path, words: tuple[str, ...], existing: str, fate: str
) -> None:
    node.answers["job.submit"] |= {"same_files": [{"job": OTHER, "name": "shot_\u001b[31m", "owner": "grace"}]}
    done = run(node, "submit", str(scene), "--frames", "1", "--output", str(tmp_path / "out"), *words)
    assert done.exit_code == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if OTHER in line]
    assert "writes the same files" in line
    assert fate in line
    assert "\u001b" not in line
    assert spec_from_bytes(node.asked("job.submit")[0]["spec"]).existing.value == existing


def test_a_refusal_of_the_node_is_its_code(node: FakeNode, scene: Path) -> None:
    node.answers["job.submit"] = UserError("the quota is used up", "100G", "delete jobs", code=6)
    assert run(node, "submit", str(scene), "--frames", "1").exit_code == 6


@pytest.mark.parametrize(("end", "code"), [("completed", 0), ("failed", 3), ("cancelled", 4), ("rejected", 4)])
def test_wait_prints_the_id_at_once_and_ends_as_the_job_does(node: FakeNode, scene: Path, end: str, code: int) -> None:
    node.answers["job.watch"] = {"version": 1, "job": job_view(state=end, delivered=45)}
    result = run(node, "submit", str(scene), "--frames", "1", "--wait", "-q")
    assert (result.exit_code, result.stdout) == (code, f"{JOB}\n")
