"""The board with its demonstration half-way, in a real browser, light and dark."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

from farmd.board import ops
from farmd.board.demo import TICK_S, Demo
from farmd.board.model import BoardModel, Program
from farmd.board.server import Board
from farmd.board.serving import Serving, bind, url_of
from farmd.board.taskboard import TaskBoard
from farmd.board.words import about, number, text_of
from tests.board.browser import Browser
from tests.tui.recorded import NOW_MS

_SIZE: Final = (1200, 780)
_STEPS: Final = 480
_COLOURS: Final = 128
_STOPPED: Final = f"""
const Running = Date;
globalThis.Date = class extends Running {{
  constructor(...given) {{ super(...(given.length ? given : [{NOW_MS}])); }}
  static now() {{ return {NOW_MS}; }}
}};
"""
"""Stops the clock of the page."""


class _Timed(TaskBoard):
    """A task board whose clock is moved by hand, before a model of its own."""

    def __init__(self, model: BoardModel, at_ms: float) -> None:
        self.at_ms = at_ms
        self._model = model

    def add_task(
        self, task_id: object, name: object = "", total: object = 0, metadata: object = None, *, group: object = ""
    ) -> None:
        self._say(task_id, ops.added(text_of(name), number(total), about(metadata), text_of(group)))

    def start_task(self, task_id: object) -> None:
        self._say(task_id, ops.started(int(self.at_ms)))

    def update_task(self, task_id: object, progress: object) -> None:
        self._say(task_id, ops.updated(number(progress), int(self.at_ms)))

    def complete_task(self, task_id: object) -> None:
        self._say(task_id, ops.completed(int(self.at_ms)))

    def fail_task(self, task_id: object, error: object = "") -> None:
        self._say(task_id, ops.failed(text_of(error), int(self.at_ms)))

    def _say(self, task_id: object, op: ops.Op) -> None:
        self._model.apply(Program("demo", "demo"), {str(task_id): op})


def pictures() -> dict[str, bytes]:
    """Draw the board, by file name."""
    serving = Serving(Board(_half_way()), bind("127.0.0.1", 0))
    try:
        with Browser() as page:
            page.call("Emulation.setTimezoneOverride", timezoneId="UTC")
            page.call("Emulation.setLocaleOverride", locale="en-GB")
            page.call("Page.addScriptToEvaluateOnNewDocument", source=_STOPPED)
            url = f"{url_of('127.0.0.1', serving.port)}?sort=running"
            return {f"board-{scheme}.png": _picture(page, url, scheme) for scheme in ("light", "dark")}
    finally:
        serving.stop()


def _half_way() -> BoardModel:
    model = BoardModel()
    board = _Timed(model, NOW_MS - _STEPS * TICK_S * 1000)
    demo = Demo(board)
    for _ in range(_STEPS):
        demo.step()
        board.at_ms += TICK_S * 1000
    return model


def _picture(page: Browser, url: str, scheme: str) -> bytes:
    page.look(*_SIZE, scheme)
    still = {"name": "prefers-reduced-motion", "value": "reduce"}
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}, still])
    page.open(url)
    page.wait_for("document.querySelector('#light').dataset.state === 'connected'")
    page.wait_for("document.querySelectorAll('.task').length > 5")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "board.png"
        page.picture(file)
        return _small(file)


def _small(file: Path) -> bytes:
    """Keep few colours: flat areas and texts need no more, and the picture takes a third."""
    packed = io.BytesIO()
    with Image.open(file) as image:
        image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    return packed.getvalue()
