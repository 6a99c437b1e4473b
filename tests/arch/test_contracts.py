"""The contracts of .importlinter hold on an empty house, and each breaks when it should.

A contract with a misspelt module is kept for ever; so each is fed a small tree that breaks it.
"""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / ".importlinter"
SKELETON = ("protocol", "farmd", "farmd/core", "farmd/adapters", "farmd/renderers", "farmd/web", "farmctl", "tui")

# A contract names these, and the linter wants whatever is named to be there.
NAMED = ("farmd/daemon.py", "farmd/driver.py", "farmd/ports.py")

# contract -> files that break it (path -> source)
BREAKERS: dict[str, list[dict[str, str]]] = {
    "protocol-is-the-ground": [
        {"protocol/records.py": "import farmd.core"},
        {"protocol/client.py": "import tui"},
    ],
    "protocol-is-light": [
        {"protocol/messages.py": "import zmq"},
        {"protocol/clock.py": "def f():\n    import sqlite3"},
    ],
    "core-is-pure": [
        {"farmd/core/jobs.py": "import time"},
        {"farmd/core/jobs.py": "from os import path"},
        {"farmd/core/jobs.py": "import protocol.client", "protocol/client.py": "import zmq"},
    ],
    "layers": [
        {"farmd/core/jobs.py": "import farmd.ports", "farmd/ports.py": ""},
        {"farmd/scenes/__init__.py": "", "farmd/scenes/blend.py": "import farmd.core"},
        {"farmd/ingest/__init__.py": "", "farmd/ingest/hashing.py": "import farmd.daemon", "farmd/daemon.py": ""},
        {"farmd/board/__init__.py": "import farmd.core"},
        {"farmd/driver.py": "import farmd.adapters"},
        {"farmd/renderers/blender.py": "import farmd.driver", "farmd/driver.py": ""},
        {"farmd/unplaced.py": ""},
    ],
    "adapters-are-strangers": [
        {"farmd/adapters/store.py": "import farmd.adapters.clock", "farmd/adapters/clock.py": ""},
    ],
    "renderers-are-strangers": [
        {"farmd/renderers/blender.py": "import farmd.renderers.povray", "farmd/renderers/povray.py": ""},
    ],
    "core-has-one-door": [
        {"farmd/adapters/store.py": "import farmd.core.jobs", "farmd/core/jobs.py": ""},
        {"farmd/driver.py": "import farmd.core.jobs", "farmd/core/jobs.py": ""},
    ],
    "one-composition-root": [
        {"farmd/cli.py": "import farmd.adapters.store", "farmd/adapters/store.py": ""},
    ],
    "farmd-is-not-its-clients": [
        {"farmd/cli.py": "import farmctl"},
    ],
    "web-is-a-client": [
        {"farmd/web/jobs.py": "import farmd.core.jobs", "farmd/core/jobs.py": ""},
        {"farmd/web/files.py": "import farmd.adapters.blobs", "farmd/adapters/blobs.py": ""},
    ],
    "farmctl-is-a-client": [
        {"farmctl/submit.py": "import farmd.core"},
        {"farmctl/submit.py": "from farmd.config import load", "farmd/config.py": "load = 1"},
        {"farmctl/submit.py": "import tui"},
    ],
    "tui-is-a-client": [
        {"tui/feed.py": "import farmd.core"},
        {"tui/feed.py": "import farmctl"},
    ],
}

# What the house allows, all at once.
ALLOWED = {
    "protocol/client.py": "import zmq",
    "protocol/records.py": "import xxhash, msgpack",
    "farmd/cli.py": "import farmd.daemon, farmd.config",
    "farmd/config.py": "import tomllib",
    "farmd/daemon.py": "import farmd.driver, farmd.adapters.store, farmd.core.node, farmd.core.jobs, farmd.renderers.blender",
    "farmd/driver.py": "import farmd.ports, farmd.core.node, farmd.core.events, farmd.core.effects, asyncio",
    "farmd/ports.py": "import farmd.core.effects",
    "farmd/core/node.py": "import farmd.core.jobs, farmd.core.events, protocol.records",
    "farmd/core/jobs.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from random import Random",
    "farmd/core/events.py": "",
    "farmd/core/effects.py": "",
    "farmd/adapters/store.py": "import sqlite3, farmd.ports, farmd.core.events",
    "farmd/adapters/http.py": "import farmd.scenes.blend, farmd.ingest.manifest",
    "farmd/renderers/blender.py": "import farmd.core.effects, farmd.ports",
    "farmd/scenes/__init__.py": "",
    "farmd/scenes/blend.py": "import protocol.records",
    "farmd/ingest/__init__.py": "",
    "farmd/ingest/manifest.py": "import protocol.records",
    "farmd/board/__init__.py": "import protocol.client",
    "farmd/web/app.py": "import farmd.board, farmd.scenes.blend, farmd.ingest.manifest, protocol.client",
    "farmctl/commands/__init__.py": "",
    "farmctl/commands/job.py": "import protocol.client, farmd.scenes.blend, farmd.ingest",
    "tui/feed.py": "import protocol.client",
}


def lint(tree: Path, files: dict[str, str], *contracts: str) -> subprocess.CompletedProcess[str]:
    """Write a small house and run the contracts over it."""
    for package in SKELETON:
        (tree / package).mkdir(parents=True)
        (tree / package / "__init__.py").touch()
    for name in NAMED:
        (tree / name).touch()
    for name, source in files.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(source + "\n")
    shutil.copy(CONFIG, tree)
    chosen = [word for contract in contracts for word in ("--contract", contract)]
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache", *chosen],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )


def test_every_contract_has_a_tree_that_breaks_it() -> None:
    config = configparser.ConfigParser()
    config.read(CONFIG)
    contracts = {name.rpartition(":")[2] for name in config.sections() if ":contract:" in name}
    assert contracts == set(BREAKERS)


@pytest.mark.parametrize(
    ("contract", "files"),
    [(contract, files) for contract, trees in BREAKERS.items() for files in trees],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_contract_breaks(tmp_path: Path, contract: str, files: dict[str, str]) -> None:
    done = lint(tmp_path, files, contract)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "0 kept, 1 broken" in done.stdout, done.stdout


def test_an_empty_house_keeps_all_contracts(tmp_path: Path) -> None:
    done = lint(tmp_path, {})
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_that_is_allowed_is_kept(tmp_path: Path) -> None:
    done = lint(tmp_path, ALLOWED)
    assert done.returncode == 0, done.stdout + done.stderr
