"""Whether this daemon has a child that serves HTTP and the board, and with which options it is started."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from farmd.adapters.webchild import WebChild

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from farmd.daemon.settings import RunSettings


def web_child(settings: RunSettings) -> AbstractAsyncContextManager[Any]:
    """Return the child as a context: it runs inside of it; nothing does where neither is asked for."""
    if not settings.web and not settings.board:
        return nullcontext()
    words = ("--data-dir", str(settings.data_dir), "--listen", settings.web, "--board", settings.board)
    return WebChild(words)
