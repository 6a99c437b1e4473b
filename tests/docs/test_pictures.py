"""The pictures of the README are there, say in words what they show, and can be drawn anew."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "pictures"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PICTURE = re.compile(r'!\[([^\]]*)\]\(([^)]+)\)|<img alt="([^"]*)"\s+src="([^"]+)">')
OTHER_SCHEME = re.compile(r'srcset="([^"]+)"')
PHOTOGRAPHED = {"demo.png"}
"""What scripts/demo rendered; the others are drawn."""


def shown() -> dict[str, str]:
    """Return the words of each picture of the README, by its path."""
    return {src or other: alt or words for alt, src, words, other in PICTURE.findall(README)}


def test_each_picture_is_there_is_used_and_says_what_it_shows() -> None:
    paths = {*shown(), *OTHER_SCHEME.findall(README)}
    assert {ROOT / path for path in paths} == set(FOLDER.iterdir())
    assert all(len(words) > 40 for words in shown().values()), shown()


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.svg")), ids=lambda file: file.name)
def test_drawing_asks_nobody_for_anything(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    ET.fromstring(text)
    assert "<script" not in text
    assert set(re.findall(r"https?://[\w./]+", text)) <= {"http://www.w3.org/2000/svg", "https://www.textualize.io"}
    assert "url(http" not in text
    assert len(text) < 200_000


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(120)
def test_pictures_are_drawn_by_one_command(tmp_path: Path) -> None:
    words = [sys.executable, "-P", "-m", "scripts.readme_pictures", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {file.name for file in tmp_path.iterdir()} == {file.name for file in FOLDER.iterdir()} - PHOTOGRAPHED
    assert all(file.stat().st_size > 5_000 for file in tmp_path.iterdir())
