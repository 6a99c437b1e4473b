"""Asks OpenUSD what a layer says, in a process of its own: a crate is a format that only OpenUSD reads.

It is large (extra `usd`), and a damaged crate can end the process that reads it; time, memory and what it prints are
limited. Called by `usd`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from farmd.scenes.usd_events import Asset, Opened, Setting
from protocol.errors import MissingFeature, UserError
from protocol.extras import how_to_install

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from farmd.scenes.usd_events import Event

_SCRIPT: Final = Path(__file__).with_name("in_usd.py")
_LIMIT_S: Final = 300.0
_CANNOT_OPEN: Final = 3
_LONGEST: Final = 1 << 20
_KINDS: Final = {"opened": Opened, "asset": Asset, "setting": Setting}


def has_usd(program: str = sys.executable) -> bool:
    """Tell whether OpenUSD is there for a Python; for another one than ours, it is believed."""
    return program != sys.executable or find_spec("pxr") is not None


def ask_usd(scene: Path, *, program: str = sys.executable, limit_s: float = _LIMIT_S) -> list[Event]:
    """Let OpenUSD open a layer and tell what it says.

    Args:
        scene: The file.
        program: A Python that has OpenUSD.
        limit_s: Seconds until it is ended.

    Raises:
        MissingFeature: OpenUSD is not installed.
        UserError: It cannot open the layer.
    """
    if not has_usd(program):
        raise MissingFeature(
            f"{scene.name} cannot be read",
            "it is a USD crate, and OpenUSD is not installed here",
            f"{how_to_install('usd')}, or save the layer as .usda",
        )
    with tempfile.TemporaryFile() as said:
        argv = [program, "-P", str(_SCRIPT), str(scene)]
        try:
            quiet = subprocess.DEVNULL
            ended = subprocess.run(argv, stdin=quiet, stdout=said, stderr=quiet, timeout=limit_s, check=False)
        except subprocess.TimeoutExpired:
            raise _not_read(scene, f"OpenUSD did not end within {limit_s:g} s") from None
        except OSError as error:
            raise _not_read(scene, f"{program} cannot be started: {error.strerror}") from error
        said.seek(0)
        events = list(_events(said))
    if (code := ended.returncode) != 0:
        why = "OpenUSD cannot open it" if code == _CANNOT_OPEN else f"the process that read it ended with {code}"
        raise _not_read(scene, why)
    return events


def _events(said: BinaryIO) -> Iterator[Event]:
    while line := said.readline(_LONGEST):
        with suppress(ValueError):
            words: list[Any] = json.loads(line)
            if (kind := _KINDS.get(words[0])) is not None:
                yield kind(*words[1:])


def _not_read(scene: Path, why: str) -> UserError:
    return UserError(f"{scene.name} cannot be read as USD", why, "check the file, or save it again")
