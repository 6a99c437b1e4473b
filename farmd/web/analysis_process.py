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
from farmd.scenes.report import Missing, Why
from protocol.errors import FarmError, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from farmd.scenes.report import Found, Report

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
        asked: See `Analyst.analyse`.

    Raises:
        UserError: It cannot be read.
    """
    rules = [(str(written), str(becomes)) for written, becomes in asked["rules"]]
    # What variables mean in this process is nobody's business but this machine's.
    report = analyse(Path(asked["scene"]), wishes=Wishes(applied=rules, environment={}))
    return asset_document(confined(report, [os.path.realpath(folder) for folder in asked["inside"]]))


def confined(report: Report, inside: Sequence[str]) -> Report:
    """Return a report that tells only of what lies in some folders.

    Args:
        report: Of a scene.
        inside: Real paths of the folders.
    """
    found = tuple(one for one in report.found if _lies_in(one.path, inside))
    elsewhere = tuple(_as_missing(one) for one in report.found if not _lies_in(one.path, inside))
    missing = tuple(_without_outside(one, inside) for one in report.missing)
    return replace(report, found=found, missing=(*missing, *elsewhere))


def _lies_in(path: Path, inside: Sequence[str]) -> bool:
    real = os.path.realpath(path)
    return any(real == folder or real.startswith(f"{folder.rstrip('/')}/") for folder in inside)


def _as_missing(found: Found) -> Missing:
    return Missing(
        written=found.written,
        looked_for=found.written,
        why=Why.ABSENT,
        text=_OUTSIDE,
        node=found.node,
        attribute=found.attribute,
        role=found.role,
        by=found.by,
    )


def _without_outside(missing: Missing, inside: Sequence[str]) -> Missing:
    if missing.repair is not None and not _lies_in(missing.repair.found, inside):
        missing = replace(missing, repair=None)
    looked_for = Path(missing.looked_for)
    if looked_for.is_absolute() and not _lies_in(looked_for, inside):
        return replace(missing, why=Why.ABSENT, text=_OUTSIDE, looked_for=missing.written, repair=None)
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
