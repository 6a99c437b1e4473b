"""What `-o json` prints is what the schemas promise, for every command that reads; and it can be piped."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest

from farmctl.cli import TREE
from farmctl.lazy import Branch
from protocol.schemas import SCHEMAS
from tests.farmctl.fakes import JOB, FakeNode, farm, run

ROOT = Path(__file__).parents[2]
READING = {
    "status": (),
    "why": (JOB,),
    "events": (),
    "doctor": (),
    "schema": (),
    "job list": (),
    "job show": (JOB,),
    "task list": (JOB,),
    "task show": (JOB, "3"),
    "node list": (),
    "node show": ("ws07",),
    "asset list": (JOB,),
    "asset show": (JOB,),
    "path list": (),
    "path test": (r"Y:\\show\\a.png",),
    "farm status": (),
    "farm doctor": (),
    "config show": (),
    "config validate": (),
}
NOUNS_ELSEWHERE = ("user", "board", "hook")
"""Nouns whose documents are held against their schemas in a file of their own, tests/farmctl/test_NOUN*.py."""
READING_VERBS = {"list", "show", "status", "doctor", "test", "validate"}


def printed(words: str, *more: str) -> str:
    return run(FakeNode(farm()), *words.split(), *READING[words], *more).stdout


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_valid_and_says_its_name(name: str) -> None:
    jsonschema_rs.meta.validate(SCHEMAS[name])
    assert SCHEMAS[name]["title"] == name
    assert SCHEMAS[name]["properties"]["schema"]["const"] == name


@pytest.mark.parametrize("words", READING)
def test_json_of_every_reading_command_is_as_its_schema_says(words: str) -> None:
    document = json.loads(printed(words, "-o", "json"))
    jsonschema_rs.validate(SCHEMAS[document["schema"]], document)


def test_a_row_that_names_a_schema_keeps_it() -> None:
    for words in ("job list", "node list", "task list", "path list"):
        rows = [json.loads(line) for line in printed(words, "-o", "jsonl").splitlines()]
        assert rows
        for row in rows:
            if "schema" in row:
                jsonschema_rs.validate(SCHEMAS[row["schema"]], row)


def test_a_document_that_breaks_its_promise_is_found() -> None:
    document = json.loads(printed("job show", "-o", "json"))
    for changes in ({"state": "soon"}, {"total": "many"}, {"reason": {"code": "x"}}):
        assert not jsonschema_rs.is_valid(SCHEMAS["farm.job.v1"], document | changes), changes
    del document["completed_frames"]
    assert not jsonschema_rs.is_valid(SCHEMAS["farm.job.v1"], document)


def test_no_reading_command_is_left_out() -> None:
    verbs = {
        f"{noun} {verb}"
        for noun, branch in TREE.items()
        if isinstance(branch, Branch)
        for verb in branch.leaves
        if verb in READING_VERBS
    }
    missing = {name for name in verbs - READING.keys() if name.split()[0] not in NOUNS_ELSEWHERE}
    assert missing == set()


@pytest.mark.parametrize("noun", [noun for noun in NOUNS_ELSEWHERE if noun in TREE])
def test_other_nouns_hold_their_documents_against_the_schemas_too(noun: str) -> None:
    assert any("SCHEMAS[" in path.read_text() for path in Path(__file__).parent.glob(f"test_{noun}*.py"))


@pytest.mark.parametrize("words", READING)
@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_output_can_be_piped_into_jq(words: str, form: str) -> None:
    jq = [shutil.which("jq") or "", "."] if shutil.which("jq") else [sys.executable, "-m", "json.tool", "--json-lines"]
    text = printed(words, "-o", form)
    if form == "json":
        text = json.dumps(json.loads(text))
    done = subprocess.run(jq, input=text, capture_output=True, text=True, check=False, timeout=15)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_schema_that_the_command_line_names_is_published() -> None:
    names = {
        name
        for path in (ROOT / "farmctl").rglob("*.py")
        for name in re.findall(r"farm\.[a-z-]+\.v\d+", path.read_text())
    }
    assert names - SCHEMAS.keys() == set()


@pytest.mark.parametrize("name", ["farm.job.v1", "job", "path-test"])
def test_a_schema_is_printed_by_its_name(name: str) -> None:
    assert json.loads(run(FakeNode(), "schema", name).stdout)["$schema"].endswith("2020-12/schema")


def test_a_schema_that_is_not_there_is_5_with_the_nearest() -> None:
    result = run(FakeNode(), "schema", "farm.jbos.v1")
    assert result.exit_code == 5
    assert "did you mean farm.jobs.v1?" in result.stderr
