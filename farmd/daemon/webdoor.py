"""Whether this daemon has a child that serves HTTP and the board, and with which options it is started."""

from __future__ import annotations

from contextlib import nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from farmd.adapters.webchild import WebChild
from protocol.errors import MissingFeature
from protocol.extras import how_to_install

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from farmd.daemon.settings import RunSettings
    from protocol.errors import UserError


PACKAGES: Final = ("starlette", "uvicorn")
"""Without these nothing is served; they come with an extra."""


def door_fault(settings: RunSettings) -> UserError | None:
    """Say why HTTP or the board, which somebody asks for, cannot be served here; None if they can, or nobody asks."""
    if not settings.web and not settings.board:
        return None
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if not missing:
        return None
    why = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
    return MissingFeature("HTTP is not served, and the node runs without it", why, how_to_install("web"))


def web_child(settings: RunSettings, on_fault: Callable[[str], None]) -> AbstractAsyncContextManager[Any]:
    """Return the child as a context: it runs inside of it; nothing does where neither is asked for.

    Args:
        settings: Say where HTTP and the board are served.
        on_fault: Told why they are not, and "" if nothing stands against it; never where nobody asks for them.
    """
    if not settings.web and not settings.board:
        return nullcontext()
    fault = door_fault(settings)
    on_fault("" if fault is None else f"{fault.why}: {fault.hint}")
    if fault is not None:
        return nullcontext()
    words = ("--data-dir", str(settings.data_dir), "--listen", settings.web, "--board", settings.board)
    return WebChild(words, on_fault)
