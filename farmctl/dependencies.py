"""What a submission learns from its scene: the files that go with it, the frames that it means, what is missing.

A missing file stops the submission, since renderers draw something wrong without a word; only a person may say that it
does not matter. Where nothing here can open a scene, the job goes on as it is and a person is told. Called by
`farmctl submit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocol.errors import MissingFeature, UsageError, UserError
from protocol.frames import FrameSet, parse_frames
from protocol.human import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from farmctl.analysing import Look
    from farmctl.context import Session
    from farmctl.output import View
    from farmd.scenes.content import Facts
    from farmd.scenes.report import Missing
    from farmd.scenes.rules import Rule


def look_before_sending(
    session: Session, scene: Path, given: Mapping[str, Any], rules: Sequence[Rule], variables: Mapping[str, str]
) -> Look | None:
    """Analyse the scene of a job; None if it is not to be, or cannot be.

    Args:
        session: For its node, and to tell a person.
        scene: The file.
        given: The options of `farmctl submit` by their names.
        rules: Path rules of the job.
        variables: What `$name` in the scene means.

    Raises:
        UserError: The scene cannot be read, or a file that it needs is missing.
    """
    from farmctl.analysing import can_analyse, look_at

    if given["no_analyse"] or not can_analyse(scene):
        return None
    try:
        look = look_at(session, scene, rules=rules, variables=variables, repair=given["repair"])
    except MissingFeature as error:
        session.warn(f"{error.what}: its files are not known, name those that it needs with --input")
        return None
    _judge_missing(session, scene, look, allowed=given["allow_missing"])
    if look.report.remarks:
        session.note(f"{counted(len(look.report.remarks), 'remark')} on the scene: farmctl scene analyse {scene}")
    return look


def _judge_missing(session: Session, scene: Path, look: Look, *, allowed: bool) -> None:
    from farmctl.analysing import missing_lines

    missing = look.report.missing
    for line in missing_lines(missing):
        session.warn(line)
    stopping = look.report.stopping
    if stopping and not allowed:
        first = stopping[0]
        raise UserError(
            f"{scene} needs {counted(len(stopping), 'file')} that {'is' if len(stopping) == 1 else 'are'} missing",
            f"{first.node}.{first.attribute}: {first.written}: {first.text}",
            _hint(stopping),
        )


def _hint(stopping: Sequence[Missing]) -> str:
    repaired = sum(one.repair is not None for one in stopping)
    if repaired == len(stopping):
        return "read what was found instead: --repair; or render without: --allow-missing"
    if repaired:
        return f"--repair finds {repaired} of them; put the others there, or: --map 'Y:/show=/mnt/show'; or --allow-missing"
    them, they = ("it", "it is") if len(stopping) == 1 else ("them", "they are")
    return f"put {them} there, or say where {they}: --map 'Y:/show=/mnt/show'; or render without: --allow-missing"


def frames_in(facts: Facts, scene: Path) -> FrameSet:
    """Read the frames that a scene renders by default.

    Raises:
        UsageError: They are no whole frames, or none.
    """
    numbers = (facts.start, facts.end, facts.step) if facts.animation else (facts.start, facts.start, 1)
    if not all(float(number).is_integer() for number in numbers) or numbers[2] < 1:
        text = " to ".join(f"{number:g}" for number in numbers[:2]) + f" in steps of {numbers[2]:g}"
        raise UsageError("which frames?", f"{scene} says {text}, and frames are whole", "say it: --frames 1-100")
    start, end, step = map(int, numbers)
    if end < start:
        raise UsageError("which frames?", f"{scene} says {start} to {end}, which is none", "say it: --frames 1-100")
    return parse_frames(f"{start}-{end}x{step}" if end > start else str(start))


def told(look: Look | None) -> View | None:
    """Describe the analysis in the document of a submission; None if there was none."""
    if look is None:
        return None
    report = look.report
    return {
        "dependencies": len(report.found),
        "missing": [f"{one.node}.{one.attribute}" for one in report.missing],
        "path_rules": [list(rule) for rule in look.rules],
    }
