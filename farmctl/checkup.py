"""Whether the farm as a whole is well, judged from what one node sees of all: leader, machines, versions, space."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from farmctl.output import paint
from protocol.exitcodes import ExitCode
from protocol.human import counted, printable
from protocol.states import NodeState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmctl.context import Session
    from farmctl.output import View

SCHEMA: Final = "farm.doctor.v1"
LEAST_DISK_BYTES: Final = 5 << 30
"""Below this a machine with a large scene may have no room for its results."""
_AWAY: Final = frozenset((NodeState.LOST, NodeState.RECONNECTING))


def check(name: str, *, ok: bool, text: str, hint: str = "") -> View:
    """Make one line of a check-up."""
    return {"name": name, "ok": ok, "text": text, "hint": "" if ok else hint}


def checks_of(status: View) -> list[View]:
    """Check the farm."""
    admitted = status.get("nodes") or []
    unnamed = [n for n in admitted if n.get("epoch") == 0]
    nodes = [n for n in admitted if n not in unnamed]
    away = [n for n in nodes if n.get("state") in _AWAY]
    return [
        _leader(status),
        _of_nodes("machines", away, "all answer", "does not answer", _LOST_HINT),
        _of_nodes("admissions", unnamed, "all have said what they are", "has never said what it is", _UNNAMED_HINT),
        _of_nodes("sick", [n for n in nodes if n.get("state") == NodeState.SICK], "none", "fails jobs", _SICK_HINT),
        _renderers(nodes),
        _versions(nodes),
        _of_nodes("space", [n for n in nodes if _is_full(n)], "enough everywhere", "has little disk left", _DISK_HINT),
        check(
            "disk",
            ok=not status.get("disk_fault"),
            text=str(status.get("disk_fault") or "the machine that answers can write"),
            hint="make room on the disk of its data dir",
        ),
    ]


_LOST_HINT: Final = "switch it on; if it is gone for good: farmctl node replace NAME NEW"
_UNNAMED_HINT: Final = "one that is not joining just now, and that nobody knows: farmctl node evict NAME"
_SICK_HINT: Final = "farmctl node show NAME, and the log of what failed there: farmctl logs JOB --frame N"
_DISK_HINT: Final = "make room there, or limit the store: farmd run --store-quota"


def _leader(status: View) -> View:
    named = f"{status.get('leader_name') or status.get('leader')}, term {status.get('term')}"
    hint = "wait ten seconds; then look whether machines see one another: farmctl node list"
    return check("leader", ok=bool(status.get("leader")), text=named if status.get("leader") else "none", hint=hint)


def _of_nodes(name: str, bad: list[View], well: str, fault: str, hint: str) -> View:
    names = [str(node.get("name")) for node in bad]
    which = f" {names[0]}" if len(names) == 1 else ""
    return check(
        name,
        ok=not bad,
        text=f"{', '.join(names)}: {fault if which else fault.replace('does', 'do').replace('has', 'have')}"
        if bad
        else well,
        hint=hint.replace(" NAME", which) if which else hint,
    )


def _is_full(node: View) -> bool:
    free = node.get("free_disk_bytes")
    return free is not None and int(free) < LEAST_DISK_BYTES


def _renderers(nodes: list[View]) -> View:
    counts = Counter(
        f"{one.get('name')} {one.get('version', '')}".strip() for node in nodes for one in node.get("renderers") or []
    )
    text = ", ".join(f"{name} on {count}" for name, count in sorted(counts.items()))
    return check("renderers", ok=bool(counts), text=text or "none on any machine", hint="install one, or use --command")


def _versions(nodes: list[View]) -> View:
    counts = Counter(str(node.get("software")) for node in nodes if node.get("software"))
    text = ", ".join(f"{version} on {counted(count, 'machine')}" for version, count in counts.most_common())
    return check("versions", ok=len(counts) < 2, text=text or "not told", hint="update those that are behind")


def print_checks(session: Session, checks: list[View], code: ExitCode = ExitCode.DONE) -> ExitCode:
    """Print a check-up; returns what to exit with: `code`, or 1 if all went well but something needs attention."""
    bad = [str(check.get("name")) for check in checks if not check.get("ok")]
    session.printer.one({"schema": SCHEMA, "checks": checks}, "\n".join(bad), _lines)
    return ExitCode.FAILED if code is ExitCode.DONE and bad else code


def _lines(document: View, _now_ms: int) -> Iterator[str]:
    for one in document["checks"]:
        ok = bool(one.get("ok"))
        mark = paint("● ok", "green") if ok else paint("✖ no", "red")
        yield f"{mark}  {printable(str(one.get('name')))}: {printable(str(one.get('text') or ''))}"
        if not ok and one.get("hint"):
            yield f"      try: {printable(str(one['hint']))}"
