"""The door knows nothing of the daemon, and a daemon that serves no HTTP pays nothing for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def loaded_by(*modules: str) -> list[str]:
    script = f"import importlib, json, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
    script += "print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20
    )
    names: list[str] = json.loads(done.stdout)
    return names


def below(names: list[str], *packages: str) -> list[str]:
    return [name for name in names if any(name == package or name.startswith(f"{package}.") for package in packages)]


def test_the_door_loads_nothing_of_the_daemon() -> None:
    modules = [
        f"farmd.web.{path.stem}" for path in sorted((ROOT / "farmd/web").glob("*.py")) if path.stem != "__init__"
    ]
    names = loaded_by(*modules)
    assert len(below(names, "farmd.web")) > len(modules)
    assert (
        below(names, "farmd.core", "farmd.adapters", "farmd.daemon", "farmd.driver", "farmd.renderers", "farmctl") == []
    )


def test_a_daemon_that_serves_no_http_loads_no_server() -> None:
    names = loaded_by("farmd.cli", "farmd.daemon.life", "farmd.daemon.settings")
    assert below(names, "farmd.web", "farmd.board", "starlette", "uvicorn", "pydantic") == []
