"""`scripts/reference`: writes docs/reference, or says which page is stale."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from scripts.reference_pages import commands, keys, settings, tables, webdoor

FOLDER: Final = Path(__file__).parents[2] / "docs" / "reference"
NOTE: Final = "<!-- Made by scripts/reference from the program's own tables. Do not edit. -->"


def pages() -> dict[str, str]:
    """Draw all pages, by file name."""
    drawn = tables.pages() | commands.pages() | settings.pages() | webdoor.pages() | keys.pages()
    index = ["# Reference", "", "Drawn from the program's own tables.", ""]
    index += [f"- [{text.splitlines()[0].removeprefix('# ')}]({name})" for name, text in drawn.items()]
    drawn["README.md"] = "\n".join(index)
    return {name: f"{NOTE}\n{text.rstrip()}\n" for name, text in drawn.items()}


def stale(folder: Path = FOLDER) -> list[str]:
    """Name pages that differ from the program, or that nothing makes any more."""
    drawn = pages()
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    return sorted(name for name in drawn.keys() | there.keys() if drawn.get(name) != there.get(name))


def main() -> int:
    """Write the pages; with `--check` only compare, and exit 1 if one is stale."""
    if "--check" in sys.argv[1:]:
        names = stale()
        for name in names:
            print(f"stale: docs/reference/{name}")
        return 1 if names else 0
    drawn = pages()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.md"):
        if path.name not in drawn:
            path.unlink()
    for name, text in drawn.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(drawn)} pages in docs/reference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
