"""A task of Renderbus goes through a real farm and comes back as it was, from a machine that did not submit it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from tests.e2e.farm import Farm, until
from tests.scenes.renderbus.tasks import blender_task, upload_of

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = {"D/show/fire.xml": b"<scene/>", "D/tex/wood.png": b"wood"}


def test_a_task_is_rendered_and_exported_as_it_was(farm: Farm, tmp_path: Path) -> None:
    a, b = farm.start("a", "b")
    task = blender_task("D:/show/fire.xml", frames="1-3[1]", pre_frames="100", stop_after_test="1")
    documents: dict[str, Any] = {
        "task": task,
        "upload": upload_of("D:/show/fire.xml", "D:/tex/wood.png", md5=hashlib.md5(b"<scene/>").hexdigest()),
        "asset": {"asset": ["D:/tex/wood.png  (mtime 2020-01-01 00:00:00) size 4"], "asset_num": "1"},
        "tips": {"10012": ["D:/tex/lost.png"]},
    }
    for place, data in CONTENT.items():
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_bytes(data)
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    command = ("--command", "cp {scene} {output}", "--output-name", "f.{frame:04d}.xml")
    job = a.submit(str(tmp_path / "task.json"), *command)
    until(lambda: b.state(job) == "awaiting_approval", "a person is asked after the test frame")
    digits = b.job(job)["task_id"]
    assert b.ctl("job", "approve", digits).returncode == 0
    until(lambda: b.state(job) == "completed", "the rest is rendered")
    back = tmp_path / "back"
    until(lambda: b.ctl("job", "export", digits, "-o", str(back)).returncode == 0, "b has the list of files")
    found = {name: json.loads((back / f"{name}.json").read_bytes()) for name in documents}
    assert found["task"]["additional_info"].pop("farmd") == {
        "exact": {"renderer": [["Blender", "2007"], "command"], "version": [["3.4"], ""]},
        "more": {"command": command[1], "output_name": command[3]},
    }
    assert found == documents
