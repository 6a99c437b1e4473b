"""The reference pages say what the program says today, and everything that the docs link to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.reference_pages.__main__ import FOLDER, pages, stale

ROOT = Path(__file__).parents[2]
WRITTEN = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "systemd/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
PICTURE_LIMIT_BYTES = 200_000


def test_reference_pages_are_as_the_program_draws_them() -> None:
    assert stale() == [], "run scripts/reference"


def test_page_that_was_edited_by_hand_is_stale(tmp_path: Path) -> None:
    for name, text in pages().items():
        (tmp_path / name).write_text(text)
    assert stale(tmp_path) == []
    (tmp_path / "states.md").write_text("edited")
    (tmp_path / "old.md").write_text("nothing makes this")
    (tmp_path / "farmd.md").unlink()
    assert stale(tmp_path) == ["farmd.md", "old.md", "states.md"]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target.replace("\n", "") for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_decisions_are_numbered_without_gaps_and_have_their_parts() -> None:
    decisions = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        heads = re.findall(r"^## (.*)$", path.read_text(), re.MULTILINE)
        assert heads == ["Context", "Decision", "Consequences"], path.name


def test_invariants_point_at_checks_that_exist() -> None:
    text = (ROOT / "docs/explanation/invariants.md").read_text()
    for path, names in re.findall(r"`(tests/[a-z_/]+\.py)`(?: \(([^)]*)\))?", text):
        source = (ROOT / path).read_text()
        assert [name for name in re.findall(r"`(\w+)`", names) if f"def {name}(" not in source] == [], path


def test_pictures_are_small() -> None:
    large = [path.name for path in (ROOT / "docs").rglob("*.png") if path.stat().st_size >= PICTURE_LIMIT_BYTES]
    assert large == []


def test_reference_lies_where_the_generator_writes() -> None:
    assert FOLDER == ROOT / "docs/reference"
