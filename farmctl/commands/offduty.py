"""`farmctl node drain|safe-to-off`: empty a machine, and find out whether it can be switched off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from farmctl.completing import complete_nodes
from farmctl.context import Session, pass_session
from farmctl.holding import until_ms_of, until_options, wait_until
from farmctl.lazy import Verb
from farmctl.options import DRY_RUN, WHY, nodes_argument
from farmctl.output import paint
from farmctl.selecting import select_node, select_nodes
from protocol.exitcodes import ExitCode
from protocol.human import counted, parse_duration, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from farmctl.output import View

_timeout = click.option("--timeout", type=parse_duration, metavar="TIME", help="With --wait: how long (exit code 8).")


@click.command(
    "drain",
    cls=Verb,
    examples=(
        "farmctl node drain ws07 --wait && farmctl node safe-to-off ws07",
        "farmctl node drain ws07 --until 18:00 --why 'new disk'",
        "farmctl node drain --filter 'name~render*' --now",
    ),
)
@nodes_argument
@until_options
@click.option("--now", is_flag=True, help="Stop what runs there, too; costs the frames no retry.")
@click.option("--wait", is_flag=True, help="Return when nothing runs there any more.")
@_timeout
@WHY
@DRY_RUN
@pass_session
def drain(session: Session, /, words: tuple[str, ...], why: str, **given: Any) -> int:
    """Let a machine finish what it has and take nothing new, until it is released or the time is over.

    It lets go by itself when its own clock passes the time of --until or --for. With -o json, what came of the order is
    told (farm.controls.v1); with --wait, the machines when they are empty (farm.nodes.v1), unless one refused.
    """
    from farmctl.commands.node import order_machines, print_machines

    order = {"why": why, "until_ms": until_ms_of(session, given["until"], given["lasting"]), "now": given["now"]}
    nodes, waits = select_nodes(session, words), given["wait"] and not session.dry_run
    code = order_machines(session, "node.drain", nodes, told=not waits, **order)
    if code or not waits:
        return code
    is_empty = _emptying(session, nodes)
    wait_until(session, is_empty, f"emptying {counted(len(nodes), 'machine')}", given["timeout"])
    print_machines(session, [session.call("node.show", node=node) for node in nodes])
    return 0


def _emptying(session: Session, nodes: list[str]) -> Callable[[], bool]:
    """Look each time it is called whether anything runs on these machines, and say on stderr when that is different."""
    told: list[int] = []

    def look() -> bool:
        left = sum(_running(session, node) for node in nodes)
        if left and [left] != told:
            session.note(f"waits: {counted(left, 'task')} still {'runs' if left == 1 else 'run'}")
        told[:] = [left]
        return not left

    return look


def _running(session: Session, node: str) -> int:
    return int(session.call("node.show", node=node).get("running") or 0)


@click.command(
    "safe-to-off",
    cls=Verb,
    examples=(
        "farmctl node safe-to-off && systemctl poweroff",
        "farmctl node safe-to-off ws07 --wait --timeout 10m",
        "farmctl node safe-to-off ws07 -o json | jq -r '.findings[] | select(.blocks).text'",
    ),
)
@click.argument("node_word", metavar="[NODE]", required=False, shell_complete=complete_nodes)
@click.option("--wait", is_flag=True, help="Return when it is safe.")
@_timeout
@pass_session
def safe_to_off(session: Session, node_word: str | None, timeout: float | None, *, wait: bool) -> ExitCode:
    """Say whether a machine can be switched off: is all that it has on others that answer, and if not, what is not.

    Looks at its records, the results of finished frames, the files of jobs that are not over, and what runs there; says
    what to do about each. Without NODE, the one that answers. Exit code 0: safe. 1: not. 8: with --wait, the time is
    over. Nothing finished is lost either way; it only cannot be had while the machine is off.
    """
    node = select_node(session, node_word) if node_word else ""
    seen: list[View] = []
    is_safe = _asking(session, node, seen)
    if wait:
        wait_until(session, is_safe, "that it is safe to switch it off", timeout)
    else:
        is_safe()
    document = seen[-1]
    session.printer.one(document, str(document.get("node", "")), lambda shown, _now: _lines(shown))
    return ExitCode.DONE if document.get("safe") else ExitCode.FAILED


def _asking(session: Session, node: str, seen: list[View]) -> Callable[[], bool]:
    """Ask each time it is called, and say on stderr what is new in the way."""
    told: list[str] = []

    def ask() -> bool:
        answer: View = session.call("node.safe", **({"node": node} if node else {}))
        blocking = [str(finding.get("text")) for finding in answer.get("findings") or [] if finding.get("blocks")]
        if seen and blocking != told:
            session.note("waits: " + printable("; ".join(blocking) or "nothing"))
        told[:] = blocking
        seen[:] = [answer]
        return bool(answer.get("safe"))

    return ask


def _lines(document: View) -> Iterator[str]:
    findings = document.get("findings") or []
    blocking = [finding for finding in findings if finding.get("blocks")]
    name = printable(str(document.get("node_name") or document.get("node")))
    if document.get("safe"):
        yield paint(f"● {name} can be switched off: all that it has is on other machines", "green")
    else:
        yield paint(f"✖ {name} should stay on: {counted(len(blocking), 'thing')} in the way", "red")
    for finding in findings:
        yield from _finding(finding)


def _finding(finding: View) -> Iterator[str]:
    glyph = "✖" if finding.get("blocks") else "○"
    frames = f" (frames {finding['frames']})" if finding.get("frames") else ""
    yield printable(f"  {glyph} {finding.get('text', '')}{frames}")
    if finding.get("hint"):
        yield printable(f"      {finding['hint']}")
