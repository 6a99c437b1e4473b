"""The process that looks at one scene: reads what to do from standard input, writes asset.json to standard output.

Started by `farmd.web.analysis`, never by people. What a scene names outside of the folders that may be told of is
reported as missing, whether it is there or not: the answer must not tell who asks what else is on this machine.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from farmd.scenes.analyse import Wishes, analyse
from farmd.scenes.document import asset_document
from farmd.scenes.readers import read_scene
from farmd.scenes.report import Missing, Why
from protocol.errors import FarmError, NotAllowed, NotFound, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from farmd.scenes.content import Content, Role
    from farmd.scenes.report import Report

_MEMORY_BYTES: Final = 8 << 30
_OUTSIDE: Final = "it is outside of the folders that are looked at here"


def main() -> None:
    """Do what standard input says."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    asked = json.loads(sys.stdin.buffer.read())
    try:
        told: dict[str, Any] = {"document": document_of(asked)}
    except UserError as error:
        told = {"error": {"what": error.what, "why": error.why, "hint": error.hint, "code": error.code}}
    except (FarmError, RecursionError, OSError, ValueError) as error:
        told = {"error": {"what": "the scene cannot be analysed", "why": str(error), "hint": "", "code": 1}}
    sys.stdout.write(json.dumps(_renamed(told, asked["shown"])))


def document_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Analyse a scene.

    Args:
        asked: See `farmd.web.analysis`.

    Raises:
        UserError: It cannot be read.
    """
    rules = [(str(written), str(becomes)) for written, becomes in asked["rules"]]
    inside = [os.path.realpath(folder) for folder in asked["inside"]]

    def read(path: Path) -> Content:
        return read_inside(path, inside)

    # What variables mean in this process is nobody's business but this machine's.
    report = analyse(Path(asked["scene"]), wishes=Wishes(applied=rules, environment={}, read=read))
    return asset_document(confined(report, inside))


def read_inside(path: Path, inside: Sequence[str]) -> Content:
    """Read a scene that really lies in one of some folders.

    Readers, some of them programs, open a scene by its name, and whoever can write into the folder can let the name mean
    another file meanwhile. So the file is held open, and is told of only if its name meant it before and after.

    Raises:
        UserError: It lies elsewhere, cannot be read, or was replaced.
    """
    if not _lies_in(path, inside):
        raise NotAllowed(f"{path} is not read", _OUTSIDE)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFound(f"no scene {path}", "there is no such file", "check the name and the folder") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read", str(error.strerror), "check its permissions") from error
    try:
        if not _lies_in(Path(f"/proc/self/fd/{descriptor}").readlink(), inside):
            raise NotAllowed(f"{path} is not read", _OUTSIDE)
        content = read_scene(path)
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise UserError(f"{path} is not told of", "it was replaced while it was read", "try again")
    except OSError as error:
        raise UserError(f"{path} is not told of", f"it went away: {error.strerror}", "try again") from error
    finally:
        os.close(descriptor)
    return content


def confined(report: Report, inside: Sequence[str]) -> Report:
    """Return a report that tells only of what lies in some folders.

    What lies elsewhere is told in the same words, and in the same place, as what is nowhere.

    Args:
        report: Of a scene.
        inside: Real paths of the folders.
    """
    hidden = [one for one in report.found if not _lies_in(one.path, inside)]
    missing = [_without_outside(one, inside) for one in report.missing]
    missing += [_outside(one.written, one.node, one.attribute, one.role, one.by) for one in hidden]
    words = {text for one in hidden for text in (one.written, str(one.path))}
    return replace(
        report,
        found=tuple(one for one in report.found if _lies_in(one.path, inside)),
        missing=tuple(sorted(dict.fromkeys(missing), key=_place_of)),
        remarks=tuple(one for one in report.remarks if not any(word in one.text for word in words)),
    )


def _place_of(missing: Missing) -> tuple[str, ...]:
    return str(missing.by), missing.node, missing.attribute, missing.written


def _lies_in(path: Path, inside: Sequence[str]) -> bool:
    real = os.path.realpath(path)
    return any(real == folder or real.startswith(f"{folder.rstrip('/')}/") for folder in inside)


def _outside(written: str, node: str, attribute: str, role: Role, by: Path) -> Missing:
    return Missing(written, written, Why.ABSENT, _OUTSIDE, node, attribute, role, by)


def _without_outside(missing: Missing, inside: Sequence[str]) -> Missing:
    looked_for = Path(missing.looked_for)
    if looked_for.is_absolute() and not _lies_in(looked_for, inside):
        return _outside(missing.written, missing.node, missing.attribute, missing.role, missing.by)
    if missing.repair is not None and not _lies_in(missing.repair.found, inside):
        return replace(missing, repair=None)
    return missing


def _renamed(plain: Any, shown: Mapping[str, str]) -> Any:
    """Call paths what the one who asks calls them."""
    if isinstance(plain, dict):
        return {_renamed(key, shown): _renamed(value, shown) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_renamed(item, shown) for item in plain]
    if isinstance(plain, str):
        for here, name in shown.items():
            plain = plain.replace(here, name)
    return plain


if __name__ == "__main__":
    main()
