"""Analysis of a scene for the command line: with the path rules of the farm, with progress, and told line by line.

Runs here, as the artist: the service may read neither the scene nor its textures. The node is asked for its path rules
only if something is missing without them, and an analysis goes on without a node. Called by `farmctl scene analyse` and
`farmctl submit`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from farmd.scenes import readers
from farmd.scenes.analyse import Wishes, analyse, analyse_repaired
from protocol.errors import FarmError
from protocol.human import counted, printable
from protocol.pathrules import PathRule, for_platform, platform_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from farmctl.context import Session
    from farmd.scenes.content import Content
    from farmd.scenes.report import Missing, Report
    from farmd.scenes.rules import Rule

MOST_TOLD: Final = 20


@dataclass(frozen=True, slots=True)
class Look:
    """What an analysis found.

    Attributes:
        report: Of the scene.
        rules: Path rules of accepted repairs; the job needs them.
    """

    report: Report
    rules: tuple[Rule, ...] = ()


def can_analyse(scene: Path) -> bool:
    """Tell whether there is a reader for this scene."""
    return readers.reader_of(scene) is not None


def look_at(
    session: Session,
    scene: Path,
    *,
    rules: Sequence[Rule] = (),
    variables: Mapping[str, str] | None = None,
    repair: bool = False,
) -> Look:
    """Analyse a scene.

    Args:
        session: For its node and its progress line.
        scene: The file.
        rules: Path rules of the job; in force.
        variables: What `$name` means, as the job's parameters say.
        repair: Accept every repair that is proposed.

    Raises:
        UserError: The scene cannot be read, or nothing here reads such scenes.
    """
    contents: dict[Path, Content] = {}
    wishes = Wishes(applied=rules, variables=variables or {})
    read = wishes.read

    def read_once(path: Path) -> Content:
        if path not in contents:
            contents[path] = read(path)
        return contents[path]

    with session.progress_line() as progress:
        progress.began(f"analysing {scene.name}")
        wishes = replace(
            wishes,
            read=read_once,
            progress=lambda count, name: progress.update(0, 0, f"{counted(count, 'file')}, {name}", change="files"),
        )
        report = analyse(scene, wishes=wishes)
        in_force = (*rules, *_farm_rules(session)) if report.missing else tuple(rules)
        if len(in_force) > len(rules):
            wishes = replace(wishes, applied=in_force)
            report = analyse(scene, wishes=wishes)
        if not (repair and report.missing):
            return Look(report)
        report, accepted = analyse_repaired(scene, wishes)
        return Look(report, tuple(rule for rule in accepted if rule not in in_force))


def _farm_rules(session: Session) -> tuple[Rule, ...]:
    """Ask the node for the farm's path rules that hold here; without an answer there are none."""
    try:
        rows = session.call("path.list").get("rules", [])
    except (FarmError, OSError, LookupError):
        return ()
    rules = [PathRule(str(row["written"]), str(row["becomes"]), str(row.get("platform", "any"))) for row in rows]
    return tuple((rule.written, rule.becomes) for rule in for_platform(rules, platform_of(sys.platform)))


def missing_lines(missing: Sequence[Missing], *, most: int = MOST_TOLD) -> Iterator[str]:
    """Say of each missing file where it is named, why it is missing, and what could be read instead."""
    for one in missing[:most]:
        place = f"{one.node}.{one.attribute}"
        yield printable(f"{place}  {one.written}" if one.written else f"{place}  (no path)")
        yield printable(f"    {one.text}{'' if one.stops else '; renders without it'}")
        if one.repair is not None:
            yield printable(f"    repair: read {one.repair.written} as {one.repair.becomes} ({one.repair.means.value})")
    if len(missing) > most:
        yield f"and {len(missing) - most} more"
