"""`scripts/pictures`: draws the pictures of the README."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

from scripts.readme_pictures import board, commands, dashboard

FOLDER: Final = Path(__file__).parents[2] / "docs" / "pictures"


def main() -> int:
    """Write the pictures into docs/pictures, or the folder that is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TZ"] = "UTC"
    time.tzset()
    os.environ.pop("NO_COLOR", None)
    for drawn in (dashboard.pictures(), commands.pictures(), board.pictures()):
        for name, content in drawn.items():
            (folder / name).write_bytes(content)
            print(f"{folder / name}: {len(content) // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
