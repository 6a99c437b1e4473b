"""Answers as `with_tracer` does, without a tracer: one sequence, and a few facts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

record = {
    "node": 'images["run"]',
    "attribute": "name",
    "written": "//run_0001.png",
    "role": "texture",
    "spread": "frames",
}
Path(sys.argv[2]).write_text(json.dumps({"facts": {"start": 1, "end": 24}, "files": [record]}), encoding="utf-8")
