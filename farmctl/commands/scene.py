"""`farmctl scene analyse`: what a scene depends on, what of it is missing, and how that could be repaired."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from farmctl.context import Session, pass_session
from farmctl.forms import Format
from farmctl.lazy import Verb
from farmctl.output import fields, paint
from protocol.exitcodes import ExitCode
from protocol.human import counted, format_size, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from farmctl.analysing import Look
    from farmd.scenes.content import Facts
    from farmd.scenes.report import Report

_FEW: Final = 6
"""So many names are shown in a line of the card."""


@click.command(
    "analyse",
    cls=Verb,
    examples=(
        "farmctl scene analyse shot.blend",
        "farmctl scene analyse shot.ma --repair -o json > asset.json",
        "farmctl scene analyse shot.ma -o name | rsync -a --files-from=- / backup:/shot",
    ),
)
@click.argument("file", type=click.Path())
@click.option("--repair", is_flag=True, help="Show what is found if every repair that is proposed is accepted.")
@click.option(
    "--map",
    "pairs",
    multiple=True,
    metavar="WRITTEN=FOLDER",
    help="Where a prefix in the scene is here: Y:/show=/mnt/show.",
)
@pass_session
def analyse(session: Session, file: str, pairs: tuple[str, ...], *, repair: bool) -> ExitCode | None:
    """Tell what the scene FILE says of its render and which files it needs; exit code 1 if one of them is missing.

    Nothing is sent and the scene is never changed: a repair is a path rule, which `farmctl submit --repair` takes along
    with the job. -o json prints asset.json, -o name the files that were found.
    """
    from farmctl.analysing import look_at
    from farmctl.mapping import path_rules_of
    from farmd.scenes.document import asset_document

    look = look_at(session, Path(file), rules=path_rules_of(pairs), repair=repair)
    report = look.report
    if session.format is Format.NAME:
        for path in (report.scene, *(one.path for one in report.found)):
            click.echo(printable(str(path)))
    else:
        session.printer.one(asset_document(report, look.rules), "", lambda _document, _now: _card(look))
    return ExitCode.FAILED if report.stopping else None


def _card(look: Look) -> Iterator[str]:
    from farmctl.analysing import missing_lines

    report = look.report
    yield from fields([(name, printable(text)) for name, text in _facts(report)])
    if report.missing:
        stops = len(report.stopping)
        told = f"{stops} of them stop the render" if stops != len(report.missing) else "the render would be wrong"
        yield from ("", paint(f"missing: {counted(len(report.missing), 'file')}, {told}", "red" if stops else "yellow"))
        yield from (f"  {line}" for line in missing_lines(report.missing, most=len(report.missing)))
    if look.rules:
        yield from ("", "path rules that repair the rest")
        yield from (f"  {printable(written)} -> {printable(becomes)}" for written, becomes in look.rules)
    if report.remarks:
        yield from ("", "remarks")
        yield from (f"  {printable(remark.text)}" for remark in report.remarks)


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    facts = report.facts
    yield "scene", f"{report.scene}  ({format_size(report.size_bytes)})"
    version = f"{facts.application} {facts.version}".strip()
    yield "application", version
    yield "renderer", facts.renderer if facts.renderer != facts.application else ""
    yield "frames", _range(facts)
    size = f"{facts.width}x{facts.height}" if facts.width and facts.height else ""
    yield "size", f"{size} {facts.image_format}".strip()
    yield "cameras", _switched((camera.name, camera.renderable) for camera in facts.cameras)
    yield "layers", _switched((layer.name, layer.renderable) for layer in facts.layers)
    yield "sampling", ", ".join(f"{name} {count}" for name, count in facts.sampling.items())
    yield "plug-ins", ", ".join(f"{name} {version}".strip() for name, version in facts.plugins.items())
    yield "files", _files(report)


def _range(facts: Facts) -> str:
    from farmd.scenes.document import frames_text

    speed = f" at {facts.fps:g} frames a second" if facts.fps else ""
    return frames_text(facts) + (speed if facts.animation else "")


def _switched(names: Iterable[tuple[str, bool]]) -> str:
    """Name what renders; count what does not."""
    known = list(names)
    on = [name for name, renders in known if renders]
    shown = ", ".join(on[:_FEW]) + (f" and {len(on) - _FEW} more" if len(on) > _FEW else "")
    off = len(known) - len(on)
    return f"{shown or 'none renders'}{f'; {off} switched off' if off else ''}" if known else ""


def _files(report: Report) -> str:
    if not report.found:
        return "none besides the scene"
    counts = Counter(one.role.value for one in report.found)
    roles = ", ".join(f"{count} {role}" for role, count in counts.most_common())
    return f"{len(report.found)} ({format_size(report.asset_bytes)}): {roles}"
