"""What goes wrong in a history: faults drawn by seed, each with its end, and people who work on the farm meanwhile.

A fault is a method named in `FAULTS`; it does its harm, counts itself, and plans its own end. `heal` ends everything
that is still wrong. No fault decides what the farm should do about it.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

from tests.sim.network import Weather

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.ids import BlobAddress, NodeId
    from tests.sim.machine import Machine
    from tests.sim.world import World

HOUR_MS = 3_600_000


class Fault(NamedTuple):
    """One kind of harm: its name, the smallest farm that it makes sense on, how often it is drawn."""

    name: str
    nodes: int
    weight: int


FAULTS = (
    Fault("crash", 1, 4),
    Fault("power_cut", 1, 3),
    Fault("lying_disk", 1, 1),
    Fault("halves", 2, 3),
    Fault("isolate", 2, 3),
    Fault("ring", 3, 1),
    Fault("bridge", 3, 1),
    Fault("minority", 3, 2),
    Fault("one_way", 2, 2),
    Fault("lossy", 2, 3),
    Fault("duplicates", 2, 2),
    Fault("reorder", 2, 2),
    Fault("clog", 2, 2),
    Fault("skew", 1, 2),
    Fault("jump", 1, 1),
    Fault("drift", 1, 1),
    Fault("pause", 1, 3),
    Fault("slow_disk", 1, 2),
    Fault("full_disk", 1, 2),
    Fault("join", 1, 2),
    Fault("leave", 1, 2),
    Fault("night", 2, 2),
    Fault("wipe", 2, 1),
    Fault("corrupt", 2, 1),
    Fault("rot", 2, 1),
    Fault("lying", 2, 1),
    Fault("evict", 3, 1),
)


class Nemesis:
    """Does harm to a world, now and then, until a given time."""

    def __init__(self, world: World, rng: Random, *, max_machines: int) -> None:
        self._world = world
        self._rng = rng
        self._max_machines = max_machines
        self._healed = False

    def plan(self, begin: float, end: float, *, at_least: int) -> None:
        """Draw the faults of a history and plan them between two instants; the first kinds are all different."""
        size = len(self._world.machines)
        choices = [fault for fault in FAULTS if fault.nodes <= size]
        names: list[str] = []
        while len(names) < at_least:
            name = self._rng.choices(choices, [fault.weight for fault in choices])[0].name
            if name not in names:
                names.append(name)
        more = self._rng.choices(choices, [fault.weight for fault in choices], k=self._rng.randint(0, 6))
        names += [fault.name for fault in more]
        for name in names:
            self._world.loop.call_at(begin + (end - begin) * self._rng.random(), self._strike, name)
        own = Random(f"{self._world.seed}/quota")  # its own draws: seeds that showed bugs stay the same
        for _ in range(own.choice((0, 0, 1, 2, 4))):
            self._world.loop.call_at(begin + 0.7 * (end - begin) * own.random(), self.allow_less, own)

    def allow_less(self, own: Random) -> None:
        """Somebody allows a machine less than its store holds, or will hold."""
        if self._healed:
            return
        machine = own.choice(self._world.machines)
        held = sum(blob.size for blob in machine.blobs.held)
        machine.ageing.set_quota(max(1, int(held * own.choice((0.0, 0.3, 0.7, 1.2)))))
        self._world.say(f"the store of {machine.name} may hold {machine.ageing.quota} of its {held} bytes")
        self._world.counts.fault("small_quota")

    def strike(self, name: str) -> None:
        """Do this now."""
        self._strike(name)

    def _strike(self, name: str) -> None:
        if self._healed:
            return
        harm: Callable[[], bool] = getattr(self, f"_{name}")
        if harm():
            self._world.counts.fault(name)

    def heal(self) -> None:
        """End everything that is wrong with machines; the network is healed by the world."""
        self._healed = True
        world = self._world
        for machine in [machine for machine in world.machines if machine.evicted]:
            self._carry_out(machine)
        world.corrupt.clear()
        world.lying.clear()
        for machine in world.machines:
            machine.thaw()
            machine.disk.full, machine.disk.latency_s, machine.free_disk = False, 0.001, 1 << 40
            machine.ageing.set_quota(0)
            self._start(machine)

    def _start(self, machine: Machine) -> None:
        if not machine.up and not machine.evicted:
            self._world.say(f"{machine.name} starts")
            machine.start()

    def _later(self, delay: float, undo: Callable[..., object], *args: object) -> None:
        def act() -> None:
            if not self._healed:
                undo(*args)

        self._world.loop.call_later(delay, act)

    def _between(self, low: float, high: float) -> float:
        return low + (high - low) * self._rng.random()

    def _victim(self) -> Machine | None:
        up = [machine for machine in self._world.up() if not machine.leaving]
        return self._rng.choice(up) if up else None

    # -- machines -------------------------------------------------------------------------------------------------

    def _crash(self) -> bool:
        return self._down(power_cut=False, lies=False)

    def _power_cut(self) -> bool:
        return self._down(power_cut=True, lies=False)

    def _lying_disk(self) -> bool:
        return self._down(power_cut=True, lies=True)

    def _down(self, *, power_cut: bool, lies: bool) -> bool:
        machine = self._victim()
        if machine is None:
            return False
        machine.crash(power_cut=power_cut)
        if lies:
            self._world.watch.on_lie(machine)
            self._world.say(f"the disk of {machine.name} had lied: {machine.disk.lose_tail()} commits are gone")
        self._later(self._between(0.2, 3) if self._rng.random() < 0.5 else self._between(3, 60), self._start, machine)
        return True

    def _pause(self) -> bool:
        machine = self._victim()
        if machine is None or machine.frozen:
            return False
        machine.freeze()
        self._later(self._between(1, 8) if self._rng.random() < 0.5 else self._between(8, 60), machine.thaw)
        return True

    def _leave(self) -> bool:
        machine = self._victim()
        if machine is None or machine.frozen:
            return False
        machine.leave()
        self._later(self._between(10, 60), self._start, machine)
        return True

    def _night(self) -> bool:
        """People switch their machines off one after the other, and on again in the morning."""
        up = self._world.up()
        if len(up) < 2:
            return False
        self._world.say("night falls")
        kept = self._rng.sample(up, max(1, len(up) // 8))
        morning = self._between(30, 80)
        for machine in up:
            if machine not in kept:
                self._later(self._between(0, 10), self._retire, machine)
                self._later(morning + self._between(0, 8), self._start, machine)
        return True

    def _retire(self, machine: Machine) -> None:
        if machine.up and not machine.frozen:
            machine.leave()

    def _join(self) -> bool:
        if len(self._world.machines) >= self._max_machines:
            return False
        machine = self._world.add()
        self._world.say(f"{machine.name} joins")
        machine.start()
        return True

    def _evict(self) -> bool:
        """An admin revokes a key on some machine; the evicted one goes on for a while and is then carried out."""
        up = [machine for machine in self._world.up() if machine.admitted and not machine.frozen]
        if len(up) < 3 or any(machine.evicted for machine in self._world.machines):
            return False
        admin, victim = self._rng.sample(up, 2)
        self._world.say(f"on {admin.name} the key of {victim.name} is revoked")
        self._world.revoke(admin, victim)
        self._later(self._between(1, 40), self._carry_out, victim)
        return True

    def _carry_out(self, machine: Machine) -> None:
        if machine.up:
            machine.crash(power_cut=True)

    # -- clocks and disks -----------------------------------------------------------------------------------------

    def _skew(self) -> bool:
        machine = self._rng.choice(self._world.machines)
        machine.clock.skew_ms = self._rng.randint(-HOUR_MS, HOUR_MS)
        self._world.say(f"the clock of {machine.name} is wrong by {machine.clock.skew_ms / 1000:.0f} s")
        return True

    def _jump(self) -> bool:
        machine = self._rng.choice(self._world.machines)
        for delay in (0.0, self._between(1, 20), self._between(20, 60)):
            self._later(delay, self._set_clock, machine, self._rng.randint(-60_000, 60_000))
        return True

    def _set_clock(self, machine: Machine, skew_ms: int) -> None:
        machine.clock.skew_ms = skew_ms
        self._world.say(f"the clock of {machine.name} jumps to {skew_ms / 1000:+.0f} s")

    def _drift(self) -> bool:
        machine = self._rng.choice(self._world.machines)
        machine.clock.drift = self._between(-0.05, 0.05)
        self._world.say(f"the clock of {machine.name} drifts by {machine.clock.drift:+.1%}")
        return True

    def _slow_disk(self) -> bool:
        machine = self._rng.choice(self._world.machines)
        machine.disk.latency_s = self._between(0.1, 2.5)
        self._world.say(f"a commit on {machine.name} takes {machine.disk.latency_s:.1f} s")
        self._later(self._between(5, 60), self._mend_disk, machine)
        return True

    def _full_disk(self) -> bool:
        machine = self._rng.choice(self._world.machines)
        machine.disk.full, machine.free_disk = True, 4096
        self._world.say(f"the disk of {machine.name} is full")
        self._later(self._between(3, 50), self._mend_disk, machine)
        return True

    def _mend_disk(self, machine: Machine) -> None:
        machine.disk.full, machine.disk.latency_s, machine.free_disk = False, 0.001, 1 << 40
        self._world.say(f"the disk of {machine.name} is well again")

    def _wipe(self) -> bool:
        """A content store is emptied, under the running daemon or while it is off; no input in it was the only copy."""
        machine = self._victim()
        if machine is None:
            return False
        others = [other for other in self._world.machines if other is not machine and not other.evicted]
        inputs = [blob for blob in machine.blobs.held if blob not in self._painted()]
        if not all(any(_is_sound(other, blob) for other in others) for blob in inputs):
            return False
        machine.empty_store()
        if self._rng.random() < 0.5:
            machine.crash()
            self._later(self._between(0.5, 20), self._start, machine)
        return True

    def _corrupt(self) -> bool:
        machine = self._rng.choice(self._world.machines)
        self._world.corrupt[machine.id] = self._between(0.3, 1.0)
        self._world.say(f"{machine.name} sends corrupt pieces")
        self._later(self._between(20, 60), self._world.corrupt.pop, machine.id, None)
        return True

    def _painted(self) -> dict[BlobAddress, None]:
        """Results, which can be rendered again."""
        return {blob: None for machine in self._world.machines for blob in machine.blobs.painted}

    def _rot(self) -> bool:
        """Bits flip in stored files, unnoticed; each input is sound on another machine."""
        machine = self._rng.choice(self._world.machines)
        others = [other for other in self._world.machines if other is not machine and not other.evicted]
        painted = self._painted()
        common = [
            blob
            for blob in machine.blobs.held
            if blob not in machine.blobs.rotten and (blob in painted or any(_is_sound(other, blob) for other in others))
        ]
        if not common:
            return False
        for blob in self._rng.sample(common, self._rng.randint(1, len(common))):
            machine.blobs.spoil(blob)
        self._world.say(f"bits flip in {len(machine.blobs.rotten)} stored files of {machine.name}")
        return True

    def _lying(self) -> bool:
        machine = self._rng.choice(self._world.machines)
        self._world.lying[machine.id] = None
        self._world.say(f"{machine.name} sends wrong pieces with hashes that agree")
        self._later(self._between(10, 40), self._world.lying.pop, machine.id, None)
        return True

    # -- network --------------------------------------------------------------------------------------------------

    def _ids(self) -> list[NodeId]:
        ids = [machine.id for machine in self._world.machines]
        self._rng.shuffle(ids)
        return ids

    def _cut_into(self, groups: list[list[NodeId]], what: str) -> bool:
        names = " | ".join(" ".join(self._world.by_id[node].name for node in group) for group in groups)
        self._world.say(f"partition ({what}): {names}")
        self._world.network.split(groups)
        self._later(self._between(2, 15) if self._rng.random() < 0.5 else self._between(15, 90), self._join_up)
        return True

    def _join_up(self) -> None:
        self._world.say("all links work again")
        self._world.network.cut.clear()

    def _halves(self) -> bool:
        ids = self._ids()
        return self._cut_into([ids[: len(ids) // 2], ids[len(ids) // 2 :]], "halves")

    def _minority(self) -> bool:
        ids = self._ids()
        few = self._rng.randint(1, max(1, (len(ids) - 1) // 2))
        return self._cut_into([ids[:few], ids[few:]], "minority")

    def _isolate(self) -> bool:
        ids = self._ids()
        return self._cut_into([ids[:1], ids[1:]], "isolated")

    def _ring(self) -> bool:
        """Each machine reaches its two neighbours only."""
        ids = self._ids()
        self._world.say("each machine reaches two others only")
        for one, node in enumerate(ids):
            near = (ids[one - 1], node, ids[(one + 1) % len(ids)])
            self._world.network.cut_one_way([node], [other for other in ids if other not in near])
        self._later(self._between(5, 60), self._join_up)
        return True

    def _bridge(self) -> bool:
        """Two halves that only one machine reaches both."""
        ids = self._ids()
        half = len(ids) // 2
        self._world.say(f"only {self._world.by_id[ids[0]].name} reaches both halves")
        return self._cut_into([ids[1 : half + 1], ids[half + 1 :]], "bridge")

    def _one_way(self) -> bool:
        ids = self._ids()
        few = self._rng.randint(1, len(ids) - 1)
        names = " ".join(self._world.by_id[node].name for node in ids[:few])
        self._world.say(f"nothing that {names} say arrives")
        self._world.network.cut_one_way(ids[:few], ids[few:])
        self._later(self._between(2, 50), self._join_up)
        return True

    def _weather(self, line: str, weather: Weather) -> bool:
        self._world.say(line)
        self._world.network.weather = weather
        self._later(self._between(5, 60), self._clear_up)
        return True

    def _clear_up(self) -> None:
        self._world.say("the network is good again")
        self._world.network.weather = Weather()

    def _lossy(self) -> bool:
        loss = self._between(0.02, 0.4)
        return self._weather(f"{loss:.0%} of the messages are lost", Weather(loss=loss))

    def _duplicates(self) -> bool:
        share = self._between(0.1, 0.6)
        return self._weather(f"{share:.0%} of the messages arrive twice", Weather(duplicate=share, reorder=0.2))

    def _reorder(self) -> bool:
        late = self._between(0.2, 3.0)
        return self._weather(f"messages are up to {late:.1f} s late", Weather(reorder=0.3, reorder_s=late))

    def _clog(self) -> bool:
        """Links deliver nothing for a while, then everything at once."""
        ids, now = self._ids(), self._world.loop.time()
        until = now + self._between(1, 20)
        pairs = [(one, other) for one in ids for other in ids if one != other]
        for pair in self._rng.sample(pairs, max(1, len(pairs) // 2)):
            self._world.network.clogged_until[pair] = until
        self._world.say(f"half of the links are clogged for {until - now:.1f} s")
        return True


def _is_sound(machine: Machine, blob: BlobAddress) -> bool:
    return blob in machine.blobs.held and blob not in machine.blobs.rotten


def nothing_wrong(world: World) -> bool:
    """Tell whether no fault is in force."""
    return not world.network.cut and all(machine.up and not machine.frozen for machine in world.machines)
