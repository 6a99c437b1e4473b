"""What farmctl prints in a terminal, of the farm that the dashboard shows."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from farmctl.cli import cli
from farmctl.context import Session
from scripts.readme_pictures.drawing import drawn
from tests.farmctl.fakes import Clock, FakeNode
from tests.tui.recorded import JOBS, NODES, NOW_MS

_WIDTH: Final = 118
_COMMANDS: Final = (("job", "list"), ("why", "fx_smoke_wide"))


class _Terminal(io.StringIO):
    """What farmctl takes for a terminal."""

    def isatty(self) -> bool:
        return True


def pictures() -> dict[str, bytes]:
    """Draw a terminal with a few commands and their answers, by file name."""
    console = Console(width=_WIDTH, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for number, words in enumerate(_COMMANDS):
        if number:
            console.print()
        console.print(Text.assemble(("$ ", "green"), ("farmctl " + " ".join(words), "bold")))
        console.print(Text.from_ansi(_printed(words)), no_wrap=True, end="")
    return {"farmctl.svg": drawn(console.export_svg(title="anna@ws01"))}


def _printed(words: tuple[str, ...]) -> str:
    for name in [name for name in os.environ if name.startswith("FARM_")]:
        del os.environ[name]
    os.environ |= {"COLUMNS": str(_WIDTH), "TERM": "xterm-256color", "XDG_CONFIG_HOME": os.devnull}
    node, clock = FakeNode(_answers()), Clock()
    session = Session(connect=lambda *_: node, now_ms=lambda: NOW_MS, clock=clock, pause=clock.wait)
    terminal = _Terminal()
    try:
        with redirect_stdout(terminal):
            cli.main(list(words), obj=session)
    except SystemExit as end:
        if end.code:
            raise
    return terminal.getvalue()


def _answers() -> dict[str, Any]:
    waiting = next(job for job in JOBS if job["name"] == "fx_smoke_wide")
    nearest = [
        {"node": node["id"], "node_name": node["name"], "text": f"{node['name']}: ram 64G, needs 96G"}
        for node in NODES
        if node["name"] in ("ws01", "ws02")
    ]
    reason = waiting["reason"] | {"count": 120, "frames": "1-120", "nearest": nearest}
    return {
        "job.list": {"schema": "farm.jobs.v1", "jobs": JOBS, "total": len(JOBS)},
        "why": {"schema": "farm.why.v1", "job": waiting["id"], "state": "queued", "reasons": [reason]},
    }
