"""What importing a package really loads: a fresh interpreter, and a look at sys.modules.

The graph that import-linter draws ends at the first module that is not ours, and does not see
`importlib.import_module`. This does; it cannot see a module that Python itself has loaded before
(`os`, `time`), which is what `purity.py` is for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.arch.purity import CALM_STDLIB

ROOT = Path(__file__).parents[2]
PROBE = """
import importlib, json, sys
before, names = json.loads(sys.argv[1])
for name in before:
    importlib.import_module(name)
had = set(sys.modules)
for name in names:
    importlib.import_module(name)
json.dump(sorted(set(sys.modules) - had), sys.stdout)
"""
# The command line answers --help before any of these could even be loaded.
HEAVY_FOR_HELP = ("zmq", "pydantic", "textual", "asyncio", "sqlite3", "msgpack", "farmd")
# View models are tested, and used by scripts, where there is no terminal.
HEADLESS_VIEW_MODELS = (
    *("model", "filters", "columns", "marks", "keymap", "looks", "tables", "grid", "tasks", "logtext", "overview"),
    *("standing", "orders", "commands", "console", "words", "halfblocks", "source", "live", "settings"),
)

# What `farmd run` imports, and what only some daemons need, or all of them seldom: it costs all of them memory.
DAEMON = ("farmd.cli", "farmd.daemon.settings", "farmd.daemon.webdoor", "farmd.daemon.membership", "farmd.daemon.life")
SELDOM = (
    *("nacl", "cryptography", "PIL", "OpenEXR", "zeroconf", "pydantic", "farmd.web", "farmd.board", "farmd.scenes"),
    *("http", "email", "urllib.request", "tempfile", "gzip", "sysconfig", "importlib.metadata", "unittest", "decimal"),
    *("farmd.daemon.signing", "farmd.daemon.checking", "protocol.client", "farmd.adapters.notify.request"),
    *("farmd.adapters.thumbnails.drawing", "farmd.adapters.thumbnails.exr"),
)
# These two connect; all else in protocol is what they carry.
CLIENTS = ("protocol.client", "protocol.following")


def loaded_by(*names: str, before: tuple[str, ...] = (), root: Path = ROOT) -> list[str]:
    """Return the modules that importing `names` adds to a process that has `before`."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps([before, names])],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )
    assert done.returncode == 0, done.stderr
    modules: list[str] = json.loads(done.stdout)
    return modules


def among(modules: list[str], packages: tuple[str, ...]) -> list[str]:
    """Return those modules that belong to one of the packages."""
    return [
        module
        for module in modules
        if module.startswith(tuple(f"{package}." for package in packages)) or module in packages
    ]


def modules_of(*folder: str) -> list[str]:
    """Name every module below a folder."""
    found = sorted(ROOT.joinpath(*folder).rglob("*.py"))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in found]


def test_core_loads_nothing_but_itself_and_the_protocol() -> None:
    # msgpack and xxhash, and what they need, are the protocol's; the calm ones bring calm ones.
    added = loaded_by(*modules_of("farmd", "core"), before=(*sorted(CALM_STDLIB), "msgpack", "xxhash"))
    assert among(added, ("farmd.core",))
    assert [name for name in added if not among([name], ("farmd.core", "protocol")) and name != "farmd"] == []
    assert among(added, ("protocol.client",)) == []


def test_protocol_loads_no_transport_store_or_screen() -> None:
    messages = [name for name in modules_of("protocol") if not among([name], CLIENTS)]
    added = loaded_by(*messages)
    assert among(added, ("farmd", "farmctl", "tui", "zmq", "asyncio", "sqlite3", "aiosqlite", "textual", "click")) == []


def test_command_line_loads_nothing_heavy_for_its_help() -> None:
    if not (ROOT / "farmctl" / "cli.py").exists():
        pytest.skip("there is no farmctl.cli yet")
    assert among(loaded_by("farmctl.cli"), HEAVY_FOR_HELP) == []


def test_daemon_loads_nothing_that_only_rare_work_needs() -> None:
    added = loaded_by(*DAEMON)
    assert among(added, ("farmd.core", "farmd.adapters.zmq_transport"))
    assert among(added, SELDOM) == []


def test_daemon_loads_no_openssl_before_it_meets_a_file() -> None:
    added = loaded_by(*DAEMON, before=("asyncio",))  # which the daemon imports without ssl; OpenSSL is 3 MiB
    assert among(added, ("farmd.core", "farmd.adapters.blobs"))
    assert among(added, ("hashlib", "_hashlib", "hmac", "secrets")) == []


def test_view_models_load_no_textual() -> None:
    headless = [f"tui.{name}" for name in HEADLESS_VIEW_MODELS]
    assert among(loaded_by(*headless), ("textual", "rich", "farmd", "farmctl")) == []


def test_a_module_that_loads_more_is_seen(tmp_path: Path) -> None:
    package = tmp_path / "impure"
    package.mkdir()
    (package / "__init__.py").write_text("import importlib\nimportlib.import_module('asyn' + 'cio')\n")
    added = loaded_by("impure", before=("json",), root=tmp_path)
    assert "impure" in added
    assert "asyncio" in among(added, ("asyncio",))
