"""The leader's part: from ready tasks and free capacity to grants, on events and never by polling.

Theory: leadership is an optimisation, never a truth. A grant carries (term, leader, n); a node refuses what is older
than what it has durably accepted. Before its first grant a new leader asks every live node what it runs and adopts
the answers, so that a change of leader does not render a frame twice. What it believes to live on a node is corrected
by that node's adverts and rows: an attempt that its node no longer reports is let go, one that it reports is adopted.

A task is granted again only when its attempt ended, or its node said that it does not run it, or the node came back
with a newer epoch, or it was lost (`lost_after`), or the grant was not accepted in `ACCEPT_S`.

A leader that sees fewer than half of the members of the last ten minutes walks every job backwards, so that two
halves of a split farm meet in the middle instead of rendering the same frames.

Called by `farmd.core.node`, only on the node that leads. Writes no rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from farmd.core.capacity import Claim, need_of
from farmd.core.ledger import Granted, Ledger
from farmd.core.match import Matcher, avoided_nodes
from farmd.core.prefetch import AGAIN_S, Prefetcher
from protocol.ids import AttemptId, AttemptRef
from protocol.jobspec import PartitionPolicy
from protocol.messages import Grant, GrantReply, Inventory, InventoryAsk, Refusal, Stop
from protocol.records import Rank, attempt_ref_of
from protocol.states import FailureClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from farmd.core.capacity import Need
    from farmd.core.election import Election
    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.membership import Membership
    from farmd.core.turn import Turn
    from protocol.bodies import NodeBody
    from protocol.ids import JobId, NodeId, TaskIndex
    from protocol.messages import Advert, Running
    from protocol.records import Rec

ACCEPT_S = 10.0
"""A grant that was not accepted by then is void."""
INVENTORY_S = 2.0
"""Longest wait for inventories before the first grant of a term."""
COOL_S = 1.0
"""Pause before a node that refused is offered work again."""
UNREPORTED_S = 3.0
"""An accepted attempt may be missing from its node's adverts for this long."""
SEEN_LATELY_S = 600.0
"""Members seen within this time are the farm that a leader has in mind."""
SPARED = 0.8
"""A double that has come this far is not stopped."""
CANARY_S = 900.0
"""A sick node is tried with one task after this time."""
LOT = 64
"""Ready tasks that are looked at in one go."""
FIRST_LOT = 4
"""The same at first: on a busy farm an event frees one slot, and most of a larger lot is looked up in vain."""
TASKS_TRIED = 8
"""Ready tasks of one job that are tried when the first has no node that it may run on."""


class _Wanted(NamedTuple):
    """What a pass looks for: room for one job's tasks on the nodes that may have them."""

    job: Job
    need: Need
    nodes: dict[NodeId, None]


class Leader:
    """Grants tasks to nodes while this node leads."""

    def __init__(
        self,
        node: NodeId,
        *,
        election: Election,
        membership: Membership,
        jobs: Jobs,
        nodes: Callable[[], dict[NodeId, NodeBody]],
        may_work: Callable[[NodeId], bool],
    ) -> None:
        """Prepare.

        Args:
            node: This node.
            election: Says whether we lead, and in which term.
            membership: Who is there.
            jobs: The fold.
            nodes: Bodies of all NODE rows.
            may_work: False for a node that is held, full or revoked.
        """
        self._node = node
        self._election = election
        self._membership = membership
        self._jobs = jobs
        self._nodes = nodes
        self._may_work = may_work
        self._is_sick = jobs.health.is_sick
        self.matcher = Matcher()
        self.granted = Ledger()
        self._sick: dict[NodeId, None] = {}
        self._canary_at: dict[NodeId, float] = {}
        self._stale_until: dict[JobId, float] = {}
        self._n = 0
        self._asking: dict[NodeId, None] | None = None
        self._ask_until = 0.0
        self._cool: dict[NodeId, float] = {}
        self._told: dict[tuple[NodeId, JobId], None] = {}
        self._prefetcher = Prefetcher()
        self._wake_at: float | None = None
        self._usable: dict[NodeId, None] = {}
        self._largest_ram_bytes = 0
        self._nodes_dirty = True
        self._dirty = False
        self._lined_up: list[Job] = []
        self._line: list[tuple[Job, Need]] = []
        self._needs = 0
        self.active = False

    # -- taking and leaving office --------------------------------------------------------------------------------

    def begin(self, turn: Turn) -> None:
        """Take office: ask all live nodes what they run."""
        self.leave()
        self.active = True
        self._n = 0
        self._asking = dict.fromkeys(self._membership.alive())
        self._ask_until = turn.now.mono + INVENTORY_S
        self._wake(self._ask_until)
        for node in self._asking:
            if node != self._node:
                turn.send(node, InventoryAsk(self._election.term))

    def leave(self) -> None:
        """Leave office: what was believed of other nodes is forgotten, what they run goes on."""
        self.active = False
        self._jobs.ungrant_all()
        self.granted.clear()
        self.matcher = Matcher()
        self._asking = None
        self._nodes_dirty = True
        self._cool.clear()
        self._told.clear()
        self._prefetcher.clear()
        self._stale_until.clear()

    def on_inventory(self, turn: Turn, sender: NodeId, message: Inventory) -> None:
        """Adopt what a node runs."""
        if not self.active or message.term != self._election.term:
            return
        for running in message.attempts:
            self._adopt(turn, sender, message.epoch, running)
        if self._asking is not None:
            self._asking.pop(sender, None)
        self._dirty = True

    def on_advert(self, turn: Turn, advert: Advert) -> None:
        """Correct what is believed of a node by what it reports."""
        if not self.active:
            return
        if self._may_work(advert.node) != (advert.node in self._usable or advert.node in self._sick):
            self.on_nodes_changed()
        reported = {running.ref: running for running in advert.running}
        for running in advert.running:
            known = self.granted.get(running.ref)
            if known is None:
                self._adopt(turn, advert.node, advert.epoch, running)
            else:
                known.accepted, known.seen_at, known.progress = True, turn.now.mono, running.progress
        for ref, known in self.granted.on_node(advert.node):
            if ref in reported:
                continue
            patience = UNREPORTED_S if known.accepted else ACCEPT_S
            if advert.epoch > known.epoch or turn.now.mono - known.seen_at > patience:
                self._let_go(ref, lost=True)

    # -- what nodes answer ----------------------------------------------------------------------------------------

    def on_reply(self, turn: Turn, sender: NodeId, reply: GrantReply) -> None:
        """A node accepted or refused a grant."""
        known = self.granted.get(reply.ref)
        if not self.active or known is None or known.node != sender:
            return
        if reply.accepted:
            known.accepted, known.seen_at = True, turn.now.mono
            return
        self._let_go(reply.ref, lost=False)
        if reply.reason == Refusal.UNREADABLE:
            self._told.pop((sender, reply.ref.job), None)
        elif reply.reason == Refusal.NO_ASSETS:
            self._prefetcher.forget(sender, reply.ref.job)
        if reply.reason in (Refusal.DONE_ALREADY, Refusal.JOB_STOPPED):
            self._stale_until[reply.ref.job] = turn.now.mono + COOL_S
            self._wake(turn.now.mono + COOL_S)
        else:
            self._cool[sender] = turn.now.mono + COOL_S
            self._nodes_dirty = True
            self._wake(self._cool[sender])

    def on_attempt_row(self, rec: Rec, now_mono: float) -> None:
        """An attempt row arrived: accepted if it runs, free again if it ended."""
        if not self.active:
            return
        ref = attempt_ref_of(rec.pk)
        known = self.granted.get(ref)
        if known is not None and rec.rank >= Rank.ENDED:
            self._let_go(ref, lost=False)
            self._nodes_dirty = self._nodes_dirty or self._is_sick(known.node) != (known.node in self._sick)
        elif known is not None:
            known.accepted, known.seen_at = True, now_mono
            return  # it takes what it was granted: nothing has become free
        self._dirty = True

    def on_node_gone(self, node: NodeId, epoch: int) -> None:
        """A node was lost for good, left, or came back with a newer epoch: its attempts of that life are free."""
        for ref, known in self.granted.on_node(node):
            if known.epoch <= epoch:
                self._let_go(ref, lost=True)
        self._dirty = True

    def on_nodes_changed(self) -> None:
        """Membership, a NODE row or a hold changed: look at everything again."""
        self._dirty = self._nodes_dirty = True

    def on_jobs_changed(self) -> None:
        """A job or control changed."""
        self._dirty = True

    def _adopt(self, turn: Turn, node: NodeId, epoch: int, running: Running) -> None:
        ref, now = running.ref, turn.now.mono
        if ref in self.granted:
            return
        granted = Granted(
            node,
            epoch,
            running.generation,
            now - running.seconds,
            accepted=True,
            seen_at=now,
            progress=running.progress,
        )
        if not self._settle_double(turn, ref, granted):
            return
        self.granted.add(ref, granted)
        self._jobs.grant(ref)
        body = self._nodes().get(node)
        job = self._jobs.get(ref.job)
        if body is not None and job is not None:
            self.matcher.put(node, body)
            capacity = self.matcher.get(node)
            if capacity is not None:
                need = self.need_of(job)
                claim = capacity.fit_now(need) or Claim(capacity.cores_of(need), need.ram_bytes)
                self.matcher.claim(node, ref, claim)

    def _settle_double(self, turn: Turn, ref: AttemptRef, newcomer: Granted) -> bool:
        """Of two live attempts of one task, stop the younger unless it is over 80 % done. True if this one goes on."""
        for other_ref, other in self.granted.of_task(ref.job, ref.task):
            if other.generation != newcomer.generation:
                continue
            younger_ref, younger = (ref, newcomer) if newcomer.granted_at >= other.granted_at else (other_ref, other)
            if younger.progress <= SPARED:
                older = other_ref if younger_ref == ref else ref
                text = f"the same task runs as {older.attempt}"
                turn.send(younger.node, Stop(younger_ref, FailureClass.SUPERSEDED, text))
                if younger_ref == ref:
                    return False
        return True

    def _let_go(self, ref: AttemptRef, *, lost: bool) -> None:
        known = self.granted.pop(ref)
        self.matcher.release(known.node, ref)
        self._jobs.ungrant(ref)
        if lost:
            self._jobs.mark_lost(ref)
        self._dirty = True

    # -- granting -------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When something may become grantable, or void, without an event."""
        return self._wake_at if self.active else None

    def on_timer(self, turn: Turn) -> None:
        """Void grants that nobody accepted; let cooled nodes be asked again."""
        if not self.active or self._wake_at is None or turn.now.mono < self._wake_at:
            return
        now = turn.now.mono
        self._dirty = True
        self._nodes_dirty = self._nodes_dirty or bool(self._cool)
        for ref, known in list(self.granted.items()):
            if not known.accepted and known.granted_at + ACCEPT_S <= now:
                turn.send(known.node, Stop(ref, FailureClass.SUPERSEDED, "the grant was not accepted in time"))
                self._let_go(ref, lost=False)
        self._stale_until = {job: until for job, until in self._stale_until.items() if until > now}
        self._wake_at = min([at for at in self._times() if at > now], default=None)

    def _times(self) -> Iterator[float]:
        """Every moment at which something may become grantable, or void; those that are over may be among them."""
        if self._asking is not None:
            yield self._ask_until
        yield from self._stale_until.values()
        yield from self._cool.values()
        for known in self.granted.unaccepted():
            yield known.granted_at + ACCEPT_S
        yield from self._prefetcher.times()
        for node in self._sick:
            yield self._canary_at.get(node, -CANARY_S) + CANARY_S

    def pump(self, turn: Turn) -> bool:
        """Grant what can be granted now; called once after every event. True if there was anything to look for."""
        if not self.active or not self._dirty or not self._election.may_grant(turn.now.mono):
            return False
        if not self._inventory_done(turn):
            return False
        self._dirty = False
        self._refresh_nodes(turn)
        backwards = self._in_minority(turn.now.mono)
        full: dict[Need, None] = {}
        self._line_up()
        for job, need in self._line:
            if (
                need in full
                or self._stale_until.get(job.id, 0.0) > turn.now.mono
                or (backwards and job.spec.on_partition is PartitionPolicy.HOLD_IN_MINORITY)
            ):
                continue
            self._grant_job(turn, job, full, backwards=backwards)
            if len(full) == self._needs:
                break
        if self._sick:
            self._try_sick_nodes(turn)
        return True

    def _line_up(self) -> None:
        """Put the jobs in order with their needs; mostly nothing has changed since the last event."""
        jobs = self._jobs.line()
        if jobs is self._lined_up:
            return
        self._lined_up = jobs
        same: dict[Need, Need] = {}
        needs = [self.need_of(job) for job in jobs]
        self._line = [(job, same.setdefault(need, need)) for job, need in zip(jobs, needs, strict=True)]
        self._needs = len(same)

    def _inventory_done(self, turn: Turn) -> bool:
        if self._asking is None:
            return True
        self._asking.pop(self._node, None)
        waiting = [node for node in self._asking if self._membership.is_alive(node)]
        if waiting and turn.now.mono < self._ask_until:
            return False
        self._asking = None
        return True

    def _refresh_nodes(self, turn: Turn) -> None:
        if not self._nodes_dirty:
            return
        self._nodes_dirty = False
        bodies = self._nodes()
        usable = {node: None for node in self._membership.alive() if node in bodies and self._may_work(node)}
        recent = self._membership.recent(turn.now.mono, SEEN_LATELY_S)
        self._largest_ram_bytes = max((bodies[node].ram_bytes for node in recent if node in bodies), default=0)
        for capacity in list(self.matcher):
            if capacity.node not in usable and not capacity.claims:
                self.matcher.drop(capacity.node)
        for node in usable:
            self.matcher.put(node, bodies[node])
        self._cool = {node: at for node, at in self._cool.items() if at > turn.now.mono}
        self._sick = {node: None for node in usable if self._is_sick(node)}
        self._usable = {node: None for node in usable if node not in self._cool and node not in self._sick}
        self.matcher.forget_full()

    def _in_minority(self, now_mono: float) -> bool:
        return 2 * len(self._membership.alive()) < len(self._membership.recent(now_mono, SEEN_LATELY_S))

    def _grant_job(self, turn: Turn, job: Job, full: dict[Need, None], *, backwards: bool) -> None:
        need = self.need_of(job)
        if job.spec.manifest is not None:
            self._prefetch(turn, job, need)
        if self.matcher.is_full(need, self._is_usable):
            full[need] = None
            return
        wanted, lot = _Wanted(job, need, self._nodes_for(turn, job)), FIRST_LOT
        while True:
            tasks = job.ready_tasks(lot, turn.now, reverse=backwards)
            granted = self._grant_lot(turn, wanted, tasks)
            if granted is None:
                full[need] = None
            if granted != len(tasks) or not tasks:
                return
            lot = LOT

    def _nodes_for(self, turn: Turn, job: Job) -> dict[NodeId, None]:
        """Nodes that may be granted tasks of a job: usable, holding its files, not failing on it."""
        avoided = self._avoided(turn, job)
        nodes = {node: None for node in self._usable if node not in avoided} if avoided else self._usable
        if job.spec.manifest is None:
            return nodes
        return {node: None for node in job.copies.asset_holders() if node in nodes}

    def _avoided(self, turn: Turn, job: Job) -> dict[NodeId, None]:
        if not job.nodes_to_avoid(turn.now):
            return dict.fromkeys(job.barred_nodes())
        bodies, recent = self._nodes(), self._membership.recent(turn.now.mono, SEEN_LATELY_S)
        return avoided_nodes(
            job, self.need_of(job), {node: bodies[node] for node in recent if node in bodies}, turn.now
        )

    def _grant_lot(self, turn: Turn, wanted: _Wanted, tasks: list[TaskIndex]) -> int | None:
        """Grant some ready tasks; returns how many, or None when no node at all has room for such a need."""
        granted = failures = 0
        for task in tasks:
            choice = self._choose(wanted, task)
            if choice is not None:
                self._grant(turn, wanted.job, task, choice)
                granted += 1
                continue
            if self.matcher.is_full(wanted.need, self._is_usable):
                return None
            failures += 1
            if failures >= TASKS_TRIED:
                break
        return granted

    def _choose(self, wanted: _Wanted, task: TaskIndex) -> tuple[NodeId, Claim] | None:
        """Choose a node: first among those where this task has not failed and no other test frame went."""
        others = dict.fromkeys(wanted.job.prefer_other_nodes(task))
        if others:
            fresh = {node: None for node in wanted.nodes if node not in others}
            choice = self.matcher.choose(wanted.need, fresh.__contains__)
            if choice is not None:
                return choice
        return self.matcher.choose(wanted.need, wanted.nodes.__contains__)

    def _try_sick_nodes(self, turn: Turn) -> None:
        """Give an idle sick node one task now and then, or whenever no healthy node could ever run it."""
        for node in self._sick:
            capacity = self.matcher.get(node)
            if capacity is None or capacity.claims or node in self._cool:
                continue
            is_due = self._canary_at.get(node, -CANARY_S) + CANARY_S <= turn.now.mono
            for job, need in self._line:
                tasks = job.ready_tasks(1, turn.now)
                claim = self.matcher.fit(node, need)
                barred = job.barred_nodes()
                others = (other for other in self._usable if other not in barred)
                hopeless = all(self.matcher.never_fits(other, need) is not None for other in others)
                has_files = job.spec.manifest is None or node in job.copies.asset_holders()
                if tasks and claim is not None and has_files and node not in barred and (is_due or hopeless):
                    self._canary_at[node] = turn.now.mono
                    self._wake(turn.now.mono + CANARY_S)
                    self._grant(turn, job, tasks[0], (node, claim))
                    break

    def need_of(self, job: Job) -> Need:
        """What a task needs; what was only learned from failures never exceeds the largest node that there is."""
        return need_of(job.spec, min(job.ram_floor_bytes, self._largest_ram_bytes))

    def _is_usable(self, node: NodeId) -> bool:
        return node in self._usable

    def _grant(self, turn: Turn, job: Job, task: TaskIndex, choice: tuple[NodeId, Claim]) -> None:
        node, claim = choice
        epoch = self._membership.members()[node].epoch
        ref = AttemptRef(job.id, task, AttemptId(self._election.term, self._node, self._n))
        self._n += 1
        now = turn.now.mono
        self.matcher.claim(node, ref, claim)
        generation = job.generation_of(task)
        self.granted.add(ref, Granted(node, epoch, generation, now, accepted=False, seen_at=now))
        self._jobs.grant(ref)
        told = (node, job.id) in self._told
        self._told[node, job.id] = None
        spec = b"" if told else job.rec.body
        turn.send(node, Grant(ref, epoch, generation, spec))
        self._wake(now + ACCEPT_S)

    def _prefetch(self, turn: Turn, job: Job, need: Need) -> None:
        """Let nodes that may run a job have its files."""
        avoided, fits = self._avoided(turn, job), self.matcher.never_fits
        nodes = (node for node in (*self._usable, *self._sick) if node not in avoided and fits(node, need) is None)
        if self._prefetcher.ask(turn, job, nodes):
            self._wake(turn.now.mono + AGAIN_S)

    def _wake(self, at: float) -> None:
        self._wake_at = at if self._wake_at is None else min(self._wake_at, at)
