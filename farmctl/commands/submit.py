"""`farmctl submit`: check, hash, send, and hand the job to the farm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from farmctl.again import submit_file
from farmctl.completing import complete_jobs
from farmctl.context import Session, pass_session
from farmctl.dependencies import look_before_sending, told
from farmctl.follow import Follower, Wish
from farmctl.imports import with_task
from farmctl.jobfile import is_job_file
from farmctl.lazy import Verb
from farmctl.options import existing_option
from farmctl.output import fields
from farmctl.selecting import select_jobs
from farmctl.submission import Order, order_of
from farmctl.submitted import document_of
from protocol.existing import ExistingFile
from protocol.frames import Dialect
from protocol.human import counted, format_size, parse_duration, parse_size, printable
from protocol.jobspec import GateMode, spec_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from farmctl.output import View
    from farmctl.upload import Sent
    from protocol.exitcodes import ExitCode

_FATES: Final = {
    ExistingFile.RENAME: "those that differ are moved aside (.~1~)",
    ExistingFile.KEEP: "those that differ stay, and this job's are not written",
    ExistingFile.REPLACE: "those that differ are replaced",
    ExistingFile.FAIL: "where they differ, this job's are not written, as a failure",
}
"""What becomes of the files of another job."""

_OPTIONS: Final = (
    click.option("--frames", metavar="RANGE", help="Frames: 1-100, 1-100x2, 1,5-7, 1-10,^5."),
    click.option("--chunk", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="Frames per task."),
    click.option("--renderer", metavar="NAME[@VERSION]", help="Renderer, if the scene's ending does not say it."),
    click.option("--command", metavar="TEMPLATE", help="Any command line, with {scene} {frame} {output} {threads}."),
    click.option("--output", metavar="DIR", help="Folder for the results; made if it is missing."),
    click.option("--output-name", metavar="TEMPLATE", help="Names of the results: f.{frame:04d}.png."),
    existing_option(default=ExistingFile.RENAME),
    click.option("--input", multiple=True, metavar="PATH", help="Further file or folder that the scene needs."),
    click.option(
        "--map", multiple=True, metavar="WRITTEN=FOLDER", help="Where a prefix in the scene is here: Y:/show=/mnt/show."
    ),
    click.option(
        "--repair", is_flag=True, help="Send what was found instead of missing files, and let the job read it."
    ),
    click.option("--allow-missing", is_flag=True, help="Submit although files that the scene needs are missing."),
    click.option("--no-analyse", is_flag=True, help="Send the scene and the --input files alone, whatever it needs."),
    click.option("--param", multiple=True, metavar="NAME=VALUE", help="Parameter for the renderer or the templates."),
    click.option("--ram", type=parse_size, metavar="SIZE", help="Memory that a task needs: 8G."),
    click.option("--cores", type=click.IntRange(0), metavar="N", default=0, help="Processor cores that a task needs."),
    click.option("--gpus", type=click.IntRange(0), metavar="N", default=0, help="GPUs that a task needs."),
    click.option("--vram", type=parse_size, metavar="SIZE", help="Memory that each GPU needs: 12G."),
    click.option("--test-frames", metavar="CHOICE", help="first,middle,last | every:N | bisect:N | a range."),
    click.option(
        "--gate",
        type=click.Choice([mode.value for mode in GateMode]),
        help="After the test frames: go on if good, hold for a person, or no gate.",
    ),
    click.option(
        "--priority", type=click.IntRange(0, 100), metavar="N", default=50, show_default=True, help="Larger goes first."
    ),
    click.option("--after", multiple=True, metavar="JOB", shell_complete=complete_jobs, help="Start when JOB is done."),
    click.option("--name", help="Name of the job; the scene's if not given."),
    click.option("--project", metavar="TEXT", default="", help="What the cost of the job counts for."),
    click.option("--label", multiple=True, metavar="NAME=VALUE", help="A word to sort and to filter by: shot=s010."),
    click.option(
        "--dialect",
        type=click.Choice([dialect.value for dialect in Dialect]),
        default=Dialect.FARM.value,
        help="Whose way of writing --frames follows.",
    ),
    click.option("--retries", type=click.IntRange(0, 100), metavar="N", help="How often a failed task is tried again."),
    click.option("--frame-timeout", type=parse_duration, metavar="TIME", help="Time that one frame may take: 2h."),
    click.option(
        "--ack",
        type=click.Choice(["local", "peer", "leader"]),
        default="peer",
        show_default=True,
        help="Who must have stored the job before the command returns.",
    ),
    click.option("--wait", is_flag=True, help="Wait until the job has ended; its end is the exit code."),
    click.option("--timeout", type=parse_duration, metavar="TIME", help="With --wait: how long."),
    click.option("--stop-at-gate", is_flag=True, help="With --wait: leave with 9 when a person must decide."),
    click.option("-n", "--dry-run", is_flag=True, help="Check everything, send nothing."),
)


def _with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command(
    "submit",
    cls=Verb,
    examples=(
        "farmctl submit shot.blend --frames 1-100 --output ~/renders/shot",
        "farmctl submit shot.blend --frames 1-100 --ram 8G --gate hold --wait",
        "farmctl submit task.json --output ~/renders/shot",
        "farmctl submit --command 'cp {scene} {output}' in.png --frames 1-40 --output out --output-name 'f.{frame:04d}.png'",
    ),
)
@click.argument("scene", required=False, type=click.Path())
@_with_options
@pass_session
def submit(session: Session, /, **given: Any) -> ExitCode | None:
    """Render SCENE on the farm; a task.json of Renderbus stands for its scene, with the options that it says.

    The renderer follows from the scene's ending (.blend, .xml, .pov) unless --renderer or --command says it. Test
    frames (first, middle, last) render before the rest, and stop the job if they fail; jobs of three frames or fewer
    have no gate unless --gate or --test-frames asks for one. The job goes on when this command is interrupted. A file of
    farmctl job export --format json is the job of that file again, but for what the options say.

    The scene is analysed first (.ma, .mb, .blend, .hip, .xml, .pov): the files that it needs go with it, its frames are
    rendered if --frames does not say others, and a missing file stops the submission.
    """
    if given["scene"] and is_job_file(Path(given["scene"])):
        return submit_file(session, Path(given["scene"]), given)
    given = dict(with_task(session, given))
    order = order_of(
        given,
        tuple(select_jobs(session, given["after"])) if given["after"] else (),
        lambda scene, rules, variables: look_before_sending(session, scene, given, rules, variables),
    )
    if given["dry_run"]:
        _show_dry_run(session, order)
        return None
    session.begin_transfer()
    sent = _send_files(session, order)
    spec = order.spec if sent is None else replace(order.spec, manifest=sent.manifest)
    if sent is not None and order.scene is not None:
        spec = replace(spec, scene=sent.scene)
    answer = session.call("job.submit", spec=spec_to_bytes(spec), ack=given["ack"], deliver=spec.output_dir is not None)
    document = _document(replace(order, spec=spec), answer, sent)
    session.printer.one(document, str(answer["job"]), _lines)
    _tell(session, order, answer, waits=given["wait"])
    return _wait(session, order, document, given) if given["wait"] else None


def _send_files(session: Session, order: Order) -> Sent | None:
    paths = [path for path in (order.scene, *order.files) if path is not None]
    if not paths:
        return None
    from farmctl.upload import send_files

    first = next((path for path in paths if path.is_file()), paths[0])
    with session.progress_line() as progress:
        return send_files(session.call, first, paths, progress)


def _wait(session: Session, order: Order, document: View, given: dict[str, Any]) -> ExitCode:
    delivery = None
    if document["deliver"] == "client" and order.spec.output_dir:
        from farmctl.fetching import Delivery

        delivery = Delivery(Path(order.spec.output_dir), session.progress_line())
    wish = Wish(given["timeout"], stop_at_gate=given["stop_at_gate"])
    return Follower(session, wish, delivery).follow(str(document["job"]))


def _tell(session: Session, order: Order, answer: View, *, waits: bool) -> None:
    if answer.get("stored") == "here" and not answer.get("alone"):
        session.warn("stored here only: no other machine has the job yet; it spreads as soon as one answers")
    for other in answer.get("same_files") or []:
        session.warn(same_files_warning(other, order.spec.existing))
    if order.spec.renderer == "command" and order.spec.output_dir and not order.spec.output_name:
        session.note("no --output-name was given, so no result is promised and none is checked")
    if waits:
        return
    job = answer["job"]
    if answer.get("deliver") == "client":
        session.note(f"the node may not write there; fetch the results with: farmctl job download {job}")
    session.note(f"follow it: farmctl job wait {job}")


def same_files_warning(other: View, existing: ExistingFile) -> str:
    """Say that another job writes the same files, and what becomes of them."""
    name = printable(f"{other.get('job')} ({other.get('name')}, {other.get('owner')})")
    return f"job {name} writes the same files: {_FATES[existing]}; another place: --output or --output-name"


def _document(order: Order, answer: View, sent: Sent | None) -> View:
    return document_of(
        order.spec,
        answer,
        {
            "analysis": told(order.look),
            "remarks": [{"code": code, "text": text} for code, text in order.remarks],
            "files": sent.files if sent else 0,
            "total_bytes": sent.total_bytes if sent else 0,
            "sent_bytes": sent.sent_bytes if sent else 0,
        },
    )


def _lines(document: View, _now_ms: int) -> Iterable[str]:
    gate = document["gate"]
    tests = ",".join(map(str, gate["test_frames"][:6])) + (",…" if len(gate["test_frames"]) > 6 else "")
    return fields(
        [
            (
                "job",
                f"{document['job']}  {printable(document['name'])}" if document["job"] else printable(document["name"]),
            ),
            ("renderer", document["renderer"]),
            (
                "frames",
                f"{document['frames']} ({counted(document['total'], 'frame')}, {counted(document['tasks'], 'task')})",
            ),
            (
                "gate",
                f"{gate['mode']}, test {'frame' if tests.isdigit() else 'frames'} {tests}"
                if tests
                else f"{gate['mode']}",
            ),
            ("output", printable(document["output_dir"] or "")),
            ("files", _files(document)),
        ]
    )


def _files(document: View) -> str:
    if not document["files"]:
        return ""
    sent, total = document["sent_bytes"], document["total_bytes"]
    share = "all of it" if sent >= total else format_size(sent) if sent else "none of it"
    return f"{document['files']} ({format_size(total)}; {share} had to be sent)"


def _show_dry_run(session: Session, order: Order) -> None:
    """Print what would be submitted; neither the node nor the files are asked more than was needed to check them."""
    document = _document(order, {"job": None, "stored": None}, None) | {"dry_run": True}
    session.printer.one(document, order.spec.name, _lines)
    session.note("dry run: nothing was sent")
