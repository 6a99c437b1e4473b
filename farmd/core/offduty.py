"""Can this machine be switched off? What it alone has or does, thing by thing, and what to do about each.

A machine may be switched off at any time: nothing that was finished is lost for good. But what only it has cannot be
had while it is off, and what it renders is rendered again. So before people go home they ask, and this lists
- records of its own that no other machine here is known to have (from the acknowledgements of its change stream),
- results that no other machine here has and that stand in no output folder (from the fold of HOLDING rows),
- files of jobs that are not over and that no other machine here has complete,
- attempts that run there,
and, as remarks that keep nobody from it, what else will be different. *Here* is a machine that answers now: a copy on
one that is off helps nobody tonight.

Only the machine itself knows what it has not told anybody, so a question about another machine is carried there and
back. Of one that does not answer, this tells what the rows say, and that this is not all.

A farm with many results is looked through in steps, a turn each (`farmd.core.loneresults`). That may take longer than
another machine waits for the answer, and whoever waits there asks again: so there is one search at a time for each
machine that asks, which answers all its questions, and what was found too late is kept some seconds for the next one.

Called by `farmd.core.door` and `dispatch`. Writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from farmd.core.arguments import find_node
from farmd.core.effects import Reply
from farmd.core.loneresults import lone_results
from farmd.core.questions import first_number
from protocol.human import counted
from protocol.jobspec import DeliverBy
from protocol.messages import Finding, SafeAsk, SafeIs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from farmd.core.events import ClientAsked
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

PATIENCE_S = 5.0
MOST_FINDINGS = 200


@dataclass(slots=True)
class _Asked:
    """A client that waits for what another machine says."""

    client: int
    node: NodeId
    due: float


@dataclass(slots=True)
class _Search:
    """A look through all results, and who is told what was found."""

    steps: Generator[None, None, list[Finding]]
    tell: Callable[[Turn, list[Finding]], None]
    client: int = 0
    asker: NodeId | None = None
    asks: dict[int, float] = field(default_factory=dict)
    """Questions of the machine that asks, by number, and until when it waits for each."""

    def is_wanted(self, now_mono: float) -> bool:
        """Tell whether somebody waits, or did just now and may ask again."""
        return self.asker is None or now_mono < max(self.asks.values()) + PATIENCE_S


class OffDuty:
    """Answers `node.safe`, here and for others."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._asked: dict[int, _Asked] = {}
        self._searches: list[_Search] = []
        self._late: dict[NodeId, tuple[float, list[Finding]]] = {}
        self._search_at = inf
        self._number = first_number(node.epoch)
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {"node.safe": self._ask}

    def _ask(self, turn: Turn, event: ClientAsked) -> None:
        node = self._node
        which = find_node(node, str(event.args.get("node") or node.id))
        if which == node.id or not node.membership.is_alive(which):
            self._look(turn, event.client, which)
        else:
            self._number += 1
            self._asked[self._number] = _Asked(event.client, which, turn.now.mono + PATIENCE_S)
            turn.send(which, SafeAsk(self._number), volatile=True)

    def on_ask(self, turn: Turn, sender: NodeId, message: SafeAsk) -> None:
        """Another machine asks for one of its clients, perhaps not for the first time."""
        due = turn.now.mono + PATIENCE_S
        until, found = self._late.pop(sender, (0.0, []))
        known = next((search for search in self._searches if search.asker == sender), None)
        if turn.now.mono < until:
            turn.send(sender, SafeIs(message.ask, tuple(found)), volatile=True)
        elif known is not None:
            known.asks[message.ask] = due
        else:
            self._search_for(turn, sender, {message.ask: due})

    def _search_for(self, turn: Turn, sender: NodeId, asks: dict[int, float]) -> None:
        def tell(turn: Turn, found: list[Finding]) -> None:
            now, found = turn.now.mono, found[:MOST_FINDINGS]
            waiting = [ask for ask, due in asks.items() if now < due]
            for ask in waiting:
                turn.send(sender, SafeIs(ask, tuple(found)), volatile=True)
            if not waiting:
                self._late[sender] = now + PATIENCE_S, found

        steps = look_through(self._node, self._node.id)
        self._begin(turn, _Search(steps, tell, asker=sender, asks=asks))

    def on_is(self, turn: Turn, sender: NodeId, message: SafeIs) -> None:
        """Another machine says what only it has."""
        asked = self._asked.get(message.ask)
        if asked is not None and asked.node == sender:
            del self._asked[message.ask]
            self._answer(turn, asked.client, sender, list(message.findings))

    def left(self, client: int) -> None:
        """A client no longer waits."""
        self._asked = {number: asked for number, asked in self._asked.items() if asked.client != client}
        self._searches = [search for search in self._searches if search.client != client]

    def next_deadline(self) -> float | None:
        """When somebody has waited long enough, or a search goes on."""
        due = min((asked.due for asked in self._asked.values()), default=inf)
        due = min(due, self._search_at) if self._searches else due
        return due if due < inf else None

    def on_timer(self, turn: Turn) -> None:
        """Go one step with one search; answer those who have waited long enough with what is known here."""
        if self._searches:
            search = self._searches.pop(0)
            if search.is_wanted(turn.now.mono):
                self._begin(turn, search)
        for number, asked in list(self._asked.items()):
            if asked.due <= turn.now.mono:
                del self._asked[number]
                self._look(turn, asked.client, asked.node)

    def _look(self, turn: Turn, client: int, which: NodeId) -> None:
        """Answer with what is known here; of another machine that is not all."""
        silent = [] if which == self._node.id else [_silent(self._node, which)]

        def tell(turn: Turn, found: list[Finding]) -> None:
            self._answer(turn, client, which, [*silent, *found])

        self._begin(turn, _Search(look_through(self._node, which), tell, client))

    def _begin(self, turn: Turn, search: _Search) -> None:
        """Go one step, and let the rest wait for the next turn."""
        try:
            next(search.steps)
        except StopIteration as ended:
            search.tell(turn, ended.value)
        else:
            self._searches.append(search)
        self._search_at = turn.now.mono

    def _answer(self, turn: Turn, client: int, which: NodeId, findings: list[Finding]) -> None:
        data: dict[str, Any] = {
            "schema": "farm.safe-to-off.v1",
            "node": which,
            "node_name": self._node.registry.name_of(which),
            "safe": not any(finding.blocks for finding in findings),
            "findings": [finding._asdict() for finding in findings[:MOST_FINDINGS]],
        }
        turn.effects.append(Reply(client, data))


def findings_of(node: Node, which: NodeId) -> list[Finding]:
    """List at once what a machine alone has or does, as far as it is known here: for orders, which are rare."""
    steps = look_through(node, which)
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            found: list[Finding] = ended.value
            return found


def look_through(node: Node, which: NodeId) -> Generator[None, None, list[Finding]]:
    """List what a machine alone has or does, what keeps it from being switched off first; yields after each step.

    What ran at the beginning counts as running: its results may be of tasks that were passed before they were done.
    """
    here = {other: None for other in node.membership.alive() if other != which}
    running = list(_running(node, which))
    results = yield from lone_results(node, which, here)
    found = [*(running or _running(node, which)), *_records(node, which, here), *results]
    for job in node.jobs:
        found += _files(node, job, which, here)
    found += _remarks(node, which, here)
    return sorted(found, key=lambda finding: not finding.blocks)


def _silent(node: Node, which: NodeId) -> Finding:
    name = node.registry.name_of(which)
    silence = "has not answered yet" if node.membership.is_alive(which) else "does not answer"
    return Finding("unknown", True, 0, f"{name} {silence}: what only it knows cannot be seen from here", "")


def _running(node: Node, which: NodeId) -> Iterator[Finding]:
    running = node.worker.live if which == node.id else node.jobs.running_on(which)
    if running:
        text = f"{counted(len(running), 'task')} running there would be rendered again elsewhere"
        hint = f"farmctl node drain {node.registry.name_of(which)} --wait"
        yield Finding("running", True, len(running), text, hint)


def _records(node: Node, which: NodeId, here: Mapping[NodeId, None]) -> Iterator[Finding]:
    """Only the machine itself knows how far others have come in its stream."""
    if which != node.id or not node.replica.seq:
        return
    holders = [peer for peer in node.gossip.acked_by(node.replica.origin, node.replica.seq) if peer in here]
    if holders:
        return
    if here:
        yield Finding("records", True, 0, "its last changes have not reached another machine yet", "wait a few seconds")
    else:
        text = "no other machine answers: nobody else has what is new here, and nobody goes on with the work"
        yield Finding("records", True, 0, text, "switch another machine on first: farmctl node list")


def _files(node: Node, job: Job, which: NodeId, here: Mapping[NodeId, None]) -> Iterator[Finding]:
    if job.spec.manifest is None or not node.is_open(job.id):
        return
    holders = job.copies.asset_holders()
    if which in holders and not any(holder in here for holder in holders):
        text = f"the files of {job.spec.name}, which is not over, are complete on no other machine that answers"
        hint = f"wait until another has fetched them, or cancel it: farmctl cancel {job.id}"
        yield Finding("assets", True, 1, text, hint, job.id)


def _remarks(node: Node, which: NodeId, here: Mapping[NodeId, None]) -> Iterator[Finding]:
    name = node.registry.name_of(which)
    if node.registry.hold_of(which) is None and node.membership.is_alive(which):
        yield Finding("open", False, 0, "it may be given work at any moment", f"farmctl node drain {name}")
    if node.election.leader == which and here:
        yield Finding("leader", False, 0, "it leads; another machine takes over within seconds", "")
    waiting = [job for job in node.jobs if _waits_for_delivery(node, job, which)]
    for job in waiting:
        text = f"results of {job.spec.name} are delivered by this machine, so not while it is off"
        hint = f"on another machine: farmctl job download {job.id}"
        yield Finding("delivery", False, 1, text, hint, job.id)


def _waits_for_delivery(node: Node, job: Job, which: NodeId) -> bool:
    spec = job.spec
    if (
        node.outputs.home_of(job) != which
        or spec.deliver is not DeliverBy.NODE
        or spec.output_dir is None
        or job.cancelled
    ):
        return False
    return spec.leaves_outputs and (node.is_open(job.id) or job.copies.delivered_count() < job.done_count)
