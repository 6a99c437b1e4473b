"""What a person or a machine starts first: the scripts parse, a moved environment is not trusted, the unit is valid."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENV_SH = ROOT / "scripts" / "lib" / "venv.sh"


def is_shell(path: Path) -> bool:
    """Say whether a file is a shell script, by name or first line."""
    if not path.is_file():
        return False
    return path.suffix == ".sh" or path.read_bytes()[:40].startswith(
        (b"#!/usr/bin/env bash", b"#!/bin/sh", b"#!/bin/bash")
    )


SCRIPTS = [path for folder in (ROOT / "scripts", ROOT / ".ci") for path in sorted(folder.rglob("*")) if is_shell(path)]


def bash(script: str, *, root: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a few lines that use venv.sh as it lies in `root`."""
    return subprocess.run(
        ["bash", "-c", f'set -euo pipefail; source "$1"; {script}', "asker", root / "scripts/lib/venv.sh"],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make a tree with the scripts and an environment that looks complete."""
    root = tmp_path / "new place"
    (root / "scripts/lib").mkdir(parents=True)
    shutil.copy(VENV_SH, root / "scripts/lib")
    binaries = root / ".venv/bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    return root


def usable(root: Path) -> bool:
    """Ask venv.sh about the environment of a tree."""
    return bash('VENV="$ROOT/.venv"; _venv_usable', root=root).returncode == 0


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_script_parses(path: Path) -> None:
    done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["scripts/test", "scripts/check", ".ci/run"])
def test_script_can_be_started(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)


def test_environment_that_was_made_here_is_used(tree: Path) -> None:
    (tree / ".venv/bin/pip").write_text(f"#!/bin/sh\n'''exec' \"{tree}/.venv/bin/python\" \"$0\" \"$@\"\n' '''\n")
    assert usable(tree)


@pytest.mark.parametrize(
    "start",
    [
        "#!/old place/.venv/bin/python3.11\n",
        "#!/bin/sh\n'''exec' \"/old{tree}/.venv/bin/python\" \"$0\" \"$@\"\n' '''\n",
        "",
    ],
)
def test_environment_that_was_moved_is_made_again(tree: Path, start: str) -> None:
    (tree / ".venv/bin/pip").write_text(start.replace("{tree}", str(tree)))
    assert not usable(tree)


def test_environment_without_its_python_is_made_again(tree: Path) -> None:
    (tree / ".venv/bin/pip").write_text(f"#!{tree}/.venv/bin/python\n")
    (tree / ".venv/bin/python").unlink()
    (tree / ".venv/bin/python").symlink_to("/nowhere/python3.11")
    assert not usable(tree)


def test_a_python_that_is_named_but_too_old_is_passed_over(tree: Path) -> None:
    old = tree / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = bash("_venv_find_python", PYTHON=str(old))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() != str(old)


@pytest.mark.parametrize("code", [0, 1])
def test_what_pip_says_is_shown_only_if_it_fails(tree: Path, code: int) -> None:
    python = tree / ".venv/bin/python"
    python.unlink()
    python.write_text(f"#!/bin/sh\nseq -f 'WARNING: %g' 40 >&2; echo said; exit {code}\n")
    python.chmod(0o755)
    done = bash('VENV="$ROOT/.venv"; VENV_PAUSE_S=0; _venv_install demo', root=tree)
    assert (done.returncode, done.stdout) == (code, "")
    assert ("WARNING: 40" in done.stderr) is bool(code)
    assert "WARNING: 20\n" not in done.stderr
    assert bool(done.stderr) is bool(code)


def test_no_extras_is_an_error_that_says_so() -> None:
    done = bash("ensure_venv")
    assert done.returncode == 1
    assert "extra" in done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_service_unit_is_valid() -> None:
    unit = ROOT / "systemd" / "farmd.service"
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "farmd.service" in line]
    assert (done.returncode, ours) == (0, [])


QUICK, REST = "-m not slow and not e2e", "-m not e2e"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ([], [f"-n 3 --dist loadgroup {QUICK}"]),
        (["-k", "word"], [f"-n 3 --dist loadgroup {QUICK} -k word"]),
        (["tests"], ["-m not slow tests"]),
        (["-m", "e2e"], ["-m e2e"]),
        (
            ["--all", "tests"],
            [
                f"-n 3 --dist loadgroup {REST} tests",
                "--collect-only -q -m e2e tests",
                "-n 3 --dist loadgroup -m e2e tests",
            ],
        ),
    ],
)
def test_jobs_count_where_tests_run_in_parallel_and_a_path_has_its_e2e_tests_run(
    tree: Path, asked: list[str], told: list[str]
) -> None:
    shutil.copy(ROOT / "scripts/test", tree / "scripts")
    (tree / "scripts/lib/venv.sh").write_text(f"ROOT='{tree}' VENV='{tree}/.venv'\nensure_venv() {{ :; }}\n")
    (tree / "tests").mkdir()
    python = tree / ".venv/bin/python"
    python.unlink()
    python.write_text(f"#!/bin/sh\nshift 5\nprintf '%s\\n' \"$*\" >>'{tree}/asked'\n")
    python.chmod(0o755)
    environ = {**os.environ, "JOBS": "3"}
    subprocess.run(["bash", tree / "scripts/test", *asked], cwd=tree, env=environ, check=True, timeout=15)
    assert (tree / "asked").read_text().splitlines() == told
