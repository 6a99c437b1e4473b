"""The dashboard on a recorded farm: its overview, and the frames of a job."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from protocol.states import FailureClass
from scripts.readme_pictures.drawing import drawn
from tests.tui.conftest import dashboard
from tests.tui.recorded import RecordedSource

_SIZE: Final = (116, 30)
_SCREENS: Final = {
    "dashboard.svg": ((), "render02 does not answer"),
    "dashboard-job.svg": (("2", "enter", "e"), "41 of 240"),
}
"""Keys that lead to each screen, and a text that says that it is there."""


def pictures() -> dict[str, bytes]:
    """Draw the screens, by file name."""
    return {name: asyncio.run(_picture(keys, fact)) for name, (keys, fact) in _SCREENS.items()}


def _tasks(offset: int = 0, **_: Any) -> dict[str, Any]:
    """List the first frames of the job, as the node does."""
    rows = [
        {
            "index": index,
            "frames": str(index + 1),
            "state": "failed" if index in (40, 77) else "done",
            "test": False,
            "node_name": ("ws01", "ws02", "render01")[index % 3],
            "attempts": 3 if index in (40, 77) else 1,
            "seconds": 92.0 + index * 7 % 30,
            "peak_ram_bytes": (30 + index % 5) * (1 << 30) // 10,
            "progress": 1.0,
            "copies": 2,
            "cause": FailureClass.MISSING_ASSET if index in (40, 77) else 0,
            "text": "crowd_041.abc is missing" if index in (40, 77) else "",
        }
        for index in range(offset, 133)
    ]
    return {"tasks": rows, "total": len(rows)}


async def _picture(keys: tuple[str, ...], fact: str) -> bytes:
    async with dashboard(_SIZE, source=RecordedSource(task_list=_tasks)) as session:
        await session.press(*keys)
        await session.shows(fact)
        await session.settle()
        return drawn(session.app.export_screenshot(title="farmctl tui", simplify=True))
