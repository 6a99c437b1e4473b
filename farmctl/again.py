"""Hand a specification to the farm whose files it holds already: of an old job, or out of a job file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from farmctl.jobfile import read_job_file
from farmctl.options import wait_options
from farmctl.output import fields
from farmctl.revising import WORDS, with_words
from farmctl.submission import NODE_FILLS_IN, prepare_folder, user_name
from farmctl.submitted import NOTHING_SENT, document_of
from protocol.errors import UsageError
from protocol.human import counted, printable
from protocol.jobspec import spec_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from farmctl.context import Session
    from farmctl.output import View
    from protocol.exitcodes import ExitCode
    from protocol.jobspec import JobSpec

Waiting = tuple[bool, float | None, bool]
"""Whether to wait, how long, and whether a person's turn ends it."""


def again_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --wait, --timeout and --stop-at-gate."""
    flag = click.option("--wait", is_flag=True, help="Wait until the job has ended; its end is the exit code.")
    return flag(wait_options(function))


def submit_again(session: Session, spec: JobSpec, waiting: Waiting, *, ack: str = "peer") -> ExitCode | None:
    """Submit a job of which the farm has all files, and wait for it if that is asked for.

    Raises:
        UserError: The node refuses it, or nobody has its files any more.
    """
    spec = replace(spec, owner=user_name(), submitted_at_ms=0, submit_node=NODE_FILLS_IN)
    if session.dry_run:
        session.printer.one(document_of(spec, {}, NOTHING_SENT) | {"dry_run": True}, spec.name, _lines)
        session.note("dry run: nothing was submitted")
        return None
    if spec.manifest is not None:
        session.begin_transfer()  # the node may have to fetch the files from another first
    deliver = spec.output_dir is not None
    answer: View = session.call("job.submit", spec=spec_to_bytes(spec), ack=ack, deliver=deliver)
    session.printer.one(document_of(spec, answer, NOTHING_SENT), str(answer["job"]), _lines)
    if answer.get("stored") == "here" and not answer.get("alone"):
        session.warn("stored here only: no other machine has the job yet; it spreads as soon as one answers")
    wait, timeout_s, stop_at_gate = waiting
    if not wait:
        session.note(f"follow it: farmctl job wait {answer['job']}")
        return None
    from farmctl.follow import Follower, Wish

    return Follower(session, Wish(timeout_s, stop_at_gate=stop_at_gate)).follow(str(answer["job"]))


def submit_file(session: Session, path: Path, given: Mapping[str, Any]) -> ExitCode | None:
    """Submit the job of a job file; options that were given on the command line win over it.

    Raises:
        UserError: The file or an option cannot be read, or nobody has the job's files any more.
    """
    session.dry_run = session.dry_run or bool(given["dry_run"])
    spec = with_words(read_job_file(path), _words_of(given))
    waiting = given["wait"], given["timeout"], given["stop_at_gate"]
    return submit_again(session, spec, waiting, ack=given["ack"])


def _words_of(given: Mapping[str, Any]) -> dict[str, str]:
    """Turn the options that a person gave into words.

    Raises:
        UsageError: One of them means nothing for a job file.
    """
    context = click.get_current_context()
    chosen = [name for name in given if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    said: dict[str, str] = {}
    for name in chosen:
        word, value = name.replace("_", "-"), given[name]
        if word in ("param", "label"):
            said |= {f"{word}.{pair.partition('=')[0]}": pair.partition("=")[2] for pair in value}
        elif word in ("ram", "vram"):
            said[word] = f"{value}B"
        elif word == "output":
            said[word] = str(prepare_folder(value, make=not given["dry_run"]))
        elif word in WORDS:
            said[word] = str(value)
        elif name not in ("scene", "ack", "wait", "timeout", "stop_at_gate", "dry_run"):
            raise UsageError(
                f"--{word} says nothing of a job file", "its files are in the farm already", "leave it out"
            )
    return said


def _lines(document: View, _now_ms: int) -> Iterable[str]:
    name = printable(str(document["name"]))
    return fields(
        [
            ("job", f"{document['job']}  {name}" if document["job"] else name),
            ("renderer", str(document["renderer"])),
            (
                "frames",
                f"{document['frames']} ({counted(document['total'], 'frame')}, {counted(document['tasks'], 'task')})",
            ),
            ("gate", str(document["gate"]["mode"])),
            ("output", printable(str(document["output_dir"] or ""))),
        ]
    )
