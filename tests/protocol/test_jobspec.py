"""The job specification: valid when it exists, equal after the wire, strict to peers, helpful to people."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import PeerError, UsageError
from protocol.existing import ExistingFile
from protocol.ids import BlobAddress, JobId, NodeId, unpack_job
from protocol.jobform import spec_from_user, spec_json_schema
from protocol.jobspec import (
    MAX_MANIFEST_BYTES,
    MAX_SPEC_BYTES,
    DeliverBy,
    GateMode,
    GateSpec,
    JobSpec,
    Limits,
    PartitionPolicy,
    Requirements,
    spec_from_bytes,
    spec_to_bytes,
)
from protocol.templates import render_template

NODE = NodeId("00112233445566aa")
JOB = unpack_job(bytes(range(10)))
PLAIN = JobSpec("shot 10", "anna", 1_700_000_000_000, NODE, "blender", scene="C/shots/shot10.blend")
GIVEN = {
    "name": "shot 10",
    "owner": "anna",
    "submitted_at_ms": 1_700_000_000_000,
    "submit_node": NODE,
    "renderer": "blender",
    "scene": "C/shots/shot10.blend",
}
FULL = replace(
    PLAIN,
    scene_path=r"C:\shots\shot10.blend",
    manifest=BlobAddress(2**64 - 1, 5, bytes(16)),
    frames="-5--1,1-9x2",
    chunk=4,
    command="run {scene} -f {frame:04d} -o {output} {quality}",
    output_name="beauty/{quality}.{frame:04d}.exr",
    output_dir="/home/anna/renders",
    params={"quality": "high"},
    requirements=Requirements(8 << 30, 4, 1, 6 << 30, "3.4"),
    gate=GateSpec(GateMode.HOLD, (1, 100)),
    priority=80,
    limits=Limits(5, 600, 0, 60),
    after=(JOB,),
    on_partition=PartitionPolicy.HOLD_IN_MINORITY,
    deliver=DeliverBy.NODE,
    existing=ExistingFile.KEEP,
    label="comp",
    project="moon",
    path_rules=(("Y:/show", "/mnt/show"), (r"\\filer\tex", "D:/tex")),
    foreign=b"\x00kept",
    submitted_by="ben@ws07",
    labels={"shot": "s010"},
)

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
SPECS = st.builds(
    JobSpec,
    name=TEXTS.map(lambda text: text + "n"),
    owner=TEXTS.map(lambda text: "o" + text),
    submitted_at_ms=st.integers(0, 2**48 - 1),
    submit_node=st.just(NODE),
    renderer=st.sampled_from(["blender", "povray", "my-own_1.2"]),
    scene=st.sampled_from([None, "a.blend", "C/x y/ü.pov"]),
    scene_path=TEXTS,
    manifest=st.none()
    | st.builds(
        BlobAddress, st.integers(0, 2**64 - 1), st.integers(0, MAX_MANIFEST_BYTES), st.binary(min_size=16, max_size=16)
    ),
    frames=st.sampled_from(["", "1", "1-100000x2", "-5--1,7"]),
    chunk=st.integers(1, 1_000_000),
    command=st.sampled_from([None, "x {frame:04d} {{}}"]),
    params=st.dictionaries(st.from_regex(r"p[a-z_]{0,4}", fullmatch=True), TEXTS, max_size=3),
    requirements=st.builds(Requirements, ram_bytes=st.integers(0, 1 << 50), gpus=st.integers(0, 64)),
    gate=st.builds(
        GateSpec,
        st.sampled_from(GateMode),
        st.lists(st.integers(), max_size=4, unique=True).map(lambda frames: tuple({frame % 1000 for frame in frames})),
    ),
    priority=st.integers(0, 100),
    limits=st.builds(Limits, retries=st.integers(0, 100)),
    after=st.sampled_from([(), (JOB,)]),
    on_partition=st.sampled_from(PartitionPolicy),
    deliver=st.sampled_from(DeliverBy),
    existing=st.sampled_from(ExistingFile),
    label=TEXTS,
    path_rules=st.dictionaries(
        TEXTS.map(lambda text: "Y:/" + text), TEXTS.map(lambda text: "/" + text), max_size=3
    ).map(lambda rules: tuple(rules.items())),
)


@given(SPECS)
def test_a_specification_comes_back_equal_from_bytes(spec: JobSpec) -> None:
    packed = spec_to_bytes(spec)
    again = spec_from_bytes(packed)
    assert again == spec
    assert hash(again) == hash(spec)
    assert spec_to_bytes(again) == packed


def test_every_field_survives_the_bytes() -> None:
    defaults = {item.name for item in fields(JobSpec) if getattr(FULL, item.name) == getattr(PLAIN, item.name)}
    assert defaults == {"name", "owner", "submitted_at_ms", "submit_node", "renderer", "scene"}
    again = spec_from_bytes(spec_to_bytes(FULL))
    assert again == FULL
    assert type(again.gate.mode) is GateMode
    assert type(again.manifest) is BlobAddress


def test_defaults_take_no_bytes() -> None:
    assert set(msgpack.unpackb(spec_to_bytes(PLAIN))) == set(GIVEN)
    assert len(spec_to_bytes(PLAIN)) < 150


def test_a_specification_from_before_path_rules_has_none() -> None:
    older = {name: value for name, value in msgpack.unpackb(spec_to_bytes(FULL)).items() if name != "path_rules"}
    assert spec_from_bytes(msgpack.packb(older)) == replace(FULL, path_rules=())


def test_the_order_of_params_does_not_change_the_bytes() -> None:
    one, other = ({"a": "1", "b": "2"}, {"b": "2", "a": "1"})
    assert spec_to_bytes(replace(PLAIN, params=one)) == spec_to_bytes(replace(PLAIN, params=other))


def test_fields_of_a_newer_version_are_left_out() -> None:
    plain = msgpack.unpackb(spec_to_bytes(FULL))
    plain |= {"colour_space": "aces", "requirements": plain["requirements"] | {"tpu": 1}}
    assert spec_from_bytes(msgpack.packb(plain)) == FULL


@pytest.mark.parametrize(
    "change",
    [
        {"name": 5},
        {"name": ""},
        {"name": "x" * 201},
        {"name": b"x"},
        {"submitted_at_ms": -1},
        {"submitted_at_ms": 1.5},
        {"chunk": True},
        {"chunk": 0},
        {"submit_node": "00112233445566AA"},
        {"renderer": "../bin/sh"},
        {"scene": "/etc/passwd"},
        {"scene": "a/../../b"},
        {"scene": ""},
        {"frames": "1-"},
        {"frames": "1-10:2"},
        {"manifest": [1, 2]},
        {"manifest": [1, 2, b"short"]},
        {"manifest": [-1, 2, bytes(16)]},
        {"params": {"a": 1}},
        {"params": {1: "a"}},
        {"params": {"frame": "a"}},
        {"requirements": []},
        {"requirements": {"ram_bytes": "8G"}},
        {"gate": {"mode": "maybe"}},
        {"gate": {"mode": 1}},
        {"gate": {"test_frames": [1, 1]}},
        {"gate": {"test_frames": [2**31]}},
        {"limits": {"retries": -1}},
        {"after": ["nonsense"]},
        {"after": [JOB, JOB]},
        {"path_rules": ["Y:/show"]},
        {"path_rules": [["Y:/show"]]},
        {"path_rules": [["Y:/show", 1]]},
        {"path_rules": [["", "/mnt"]]},
        {"path_rules": [["Y:/show", "mnt/show"]]},
        {"path_rules": [["Y:/show", "/mnt\0"]]},
        {"path_rules": [["Y:/show", "/" + "x" * 4096]]},
        {"path_rules": [["Y:/show", "/a"], ["Y:/show", "/b"]]},
        {"path_rules": [[f"{n}:/", "/a"] for n in range(257)]},
        {"on_partition": None},
        {"command": "{oops}"},
        {"output_name": "../{frame}.png"},
        {"output_dir": "relative/folder"},
        {"owner": None},
    ],
)
def test_a_wrong_field_from_a_peer_is_the_peers_fault(change: dict[str, Any]) -> None:
    with pytest.raises(PeerError):
        spec_from_bytes(msgpack.packb(msgpack.unpackb(spec_to_bytes(PLAIN)) | change))


@pytest.mark.parametrize(
    "data", [b"", b"\x90", b"\xc1", b"\x80", bytes(MAX_SPEC_BYTES + 1), b"\x81\xa1a", b"\x93" * 3000]
)
def test_other_bytes_from_a_peer_are_the_peers_fault(data: bytes) -> None:
    with pytest.raises(PeerError):
        spec_from_bytes(data)


@given(st.data())
def test_mutated_bytes_are_read_or_the_peers_fault(data: st.DataObject) -> None:
    packed = bytearray(spec_to_bytes(FULL))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(packed) - 1))
        packed[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    try:
        spec = spec_from_bytes(bytes(packed))
    except PeerError:
        return
    assert spec_from_bytes(spec_to_bytes(spec)) == spec


def test_too_large_a_job_is_refused_before_it_is_sent() -> None:
    params = {f"p{n}": "漢" * 4096 for n in range(60)}
    with pytest.raises(UsageError, match="too large"):
        spec_to_bytes(replace(PLAIN, params=params))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"scene": r"shots\a.blend"}, "scene"),
        ({"scene_path": "/home/\udcff.blend"}, "scene_path"),
        ({"renderer": "command"}, "command"),
        ({"command": "cp 'open {output}"}, "command"),
        ({"command": " "}, "command"),
        ({"params": {f"p{n}": "" for n in range(65)}}, "params"),
        ({"params": {"not a name": ""}}, "params"),
        ({"output_name": "{name}", "params": {"name": "../../x"}}, "output_name"),
        ({"command": "x" * 8193}, "command"),
        ({"priority": 101}, "priority"),
    ],
)
def test_a_specification_that_is_not_valid_cannot_exist(change: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError) as caught:
        replace(PLAIN, **change)
    assert field in caught.value.what


def test_no_frames_mean_frame_one() -> None:
    assert list(PLAIN.frame_set()) == [1]
    assert list(FULL.frame_set()) == [-5, -4, -3, -2, -1, 1, 3, 5, 7, 9]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{scene} -f {frame}", "a b.blend -f -7"),
        ("{frame:04d}", "-007"),
        ("{end:3}|{end:d}|{end:06}", " 12|12|000012"),
        ("{{frame}} {quality}", "{frame} {frame}"),
        ("{{{end}", "{12"),
        ("", ""),
    ],
)
def test_a_template_is_filled_once(template: str, expected: str) -> None:
    values: dict[str, str | int] = {"scene": "a b.blend", "frame": -7, "end": 12, "quality": "{frame}"}
    assert render_template(template, values) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{frame.__class__}",
        "{frame[0]}",
        "{frame!r}",
        "{frame:>9999999999}",
        "{frame:999d}",
        "{frame:x}",
        "{scene:04d}",
        "{}",
        "{0}",
        "{frme}",
        "{frame",
        "frame}",
        "{ frame }",
        "}{frame}",
        "{__globals__}",
    ],
)
def test_any_other_placeholder_is_refused_with_a_hint(template: str) -> None:
    with pytest.raises(UsageError) as caught:
        render_template(template, {"frame": 1, "scene": "s"})
    assert "column" in caught.value.what
    assert caught.value.hint


@given(st.text(alphabet="{}frame:04d.[]!x ", max_size=20))
def test_a_nasty_template_is_filled_or_refused(template: str) -> None:
    try:
        render_template(template, {"frame": 1})
    except UsageError:
        return


def test_a_person_may_write_words() -> None:
    spec = spec_from_user(
        GIVEN
        | {
            "frames": "1..10, ^5",
            "requirements": {"ram_bytes": "8G"},
            "limits": {"frame_timeout_s": "2h"},
            "gate": {"mode": "hold", "test_frames": "first,100"},
            "manifest": str(BlobAddress(7, 5, bytes(16))),
            "after": [JOB],
        }
    )
    assert spec.frames == "1-4,6-10"
    assert spec.requirements == Requirements(ram_bytes=8 << 30)
    assert spec.limits.frame_timeout_s == 7200
    assert spec.gate == GateSpec(GateMode.HOLD, (1, 100))
    assert spec.manifest == BlobAddress(7, 5, bytes(16))
    assert spec.after == (JobId(JOB),)
    assert spec_from_bytes(spec_to_bytes(spec)) == spec


def test_test_frames_default_to_first_middle_last_unless_the_gate_is_off() -> None:
    assert spec_from_user(GIVEN | {"frames": "1-10"}).gate == GateSpec(GateMode.AUTO, (1, 5, 10))
    assert spec_from_user(GIVEN | {"gate": {"mode": "off"}}).gate == GateSpec(GateMode.OFF)
    assert spec_from_user(GIVEN | {"gate": {"test_frames": []}}).gate == GateSpec(GateMode.AUTO)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"priorty": 5}, "priority"),
        ({"ram_bytes": 5}, "requirements.ram_bytes"),
        ({"requirements": {"ram": 5}}, "requirements.ram_bytes"),
        ({"qqq": 5}, "chunk"),
        ({"chunk": "many"}, "chunk"),
        ({"limits": {"retries": []}}, "limits.retries"),
        ({"limits": 5}, "limits"),
        ({"gate": "off"}, "gate"),
        ({"gate": {"mode": "of"}}, "gate.mode"),
        ({"frames": 5}, "frames"),
        ({"frames": "1 5"}, "column 3"),
        ({"manifest": "abc"}, "manifest"),
        ({"priority": 200}, "priority"),
        ({"name": None}, "name"),
        ({"requirements": {"ram_bytes": "8"}}, "unit"),
        ({"params": {"a": ["b"]}}, "params.a"),
    ],
)
def test_a_persons_mistake_is_explained(change: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec_from_user(GIVEN | change)
    error = caught.value
    assert words in f"{error.what} {error.why} {error.hint}"
    assert error.why
    assert error.hint
    assert "\n" not in error.what + error.why + error.hint


def test_a_missing_field_is_named() -> None:
    with pytest.raises(UsageError, match="'owner' is missing"):
        spec_from_user({key: value for key, value in GIVEN.items() if key != "owner"})


def test_a_persons_and_a_peers_way_make_the_same_specification() -> None:
    assert spec_from_user(GIVEN | {"gate": {"test_frames": []}}) == PLAIN


def test_the_schema_names_every_field_and_no_other() -> None:
    schema = spec_json_schema()
    assert set(schema["properties"]) == {item.name for item in fields(JobSpec)}
    assert schema["required"] == list(GIVEN)[:5]
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Requirements"]["properties"]["ram_bytes"]["type"] == ["integer", "string"]


def test_reading_bytes_does_not_import_pydantic() -> None:
    code = (
        "import sys; from protocol.jobspec import spec_from_bytes; "
        f"spec_from_bytes({spec_to_bytes(FULL)!r}); assert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=15)


@pytest.mark.parametrize("module", ["frames", "states", "reasons", "human", "exitcodes"])
def test_light_modules_import_only_the_standard_library(module: str) -> None:
    code = (
        f"import sys; import protocol.{module}; "
        "heavy = {'pydantic', 'msgpack', 'xxhash', 'zmq', 'asyncio'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=15)
