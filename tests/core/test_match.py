"""The matcher: best fit on cores, worst fit on memory, and an index that stays right."""

from __future__ import annotations

from random import Random

from farmd.core.capacity import Claim, Need
from farmd.core.match import Matcher
from protocol.bodies import NodeBody
from protocol.ids import AttemptId, AttemptRef, JobId, NodeId, TaskIndex

GIB = 1 << 30


def node_id(n: int) -> NodeId:
    return NodeId(f"{n:016x}")


def ref(n: int) -> AttemptRef:
    return AttemptRef(JobId("0" * 16), TaskIndex(n), AttemptId(1, node_id(0), n))


def body(cores: int, ram: int, slots: int = 0) -> NodeBody:
    return NodeBody("n", "h:1", 1, cores, ram * GIB, (), slots, (), "0", 1, 1)


def matcher(*offers: tuple[int, int]) -> Matcher:
    made = Matcher()
    for n, (cores, ram) in enumerate(offers):
        made.put(node_id(n), body(cores, ram))
    return made


def anyone(_: NodeId) -> bool:
    return True


def test_the_fewest_sufficient_cores_win_so_that_whole_machines_stay_free() -> None:
    choice = matcher((16, 64), (2, 64), (4, 64)).choose(Need("command", cores=3), anyone)
    assert choice is not None
    assert choice[0] == node_id(2)


def test_among_equal_cores_the_most_free_memory_wins() -> None:
    choice = matcher((4, 8), (4, 64), (4, 32)).choose(Need("command", cores=1), anyone)
    assert choice is not None
    assert choice[0] == node_id(1)


def test_a_node_that_is_not_allowed_is_passed_over() -> None:
    made = matcher((2, 8), (4, 8))
    choice = made.choose(Need("command", cores=1), lambda node: node != node_id(0))
    assert choice is not None
    assert choice[0] == node_id(1)
    assert made.choose(Need("command", cores=1), lambda _: False) is None


def test_a_claim_moves_the_node_and_its_release_moves_it_back() -> None:
    made = matcher((4, 16))
    need = Need("command", cores=4)
    first = made.choose(need, anyone)
    assert first is not None
    made.claim(first[0], ref(1), first[1])
    assert made.choose(need, anyone) is None
    assert made.release(first[0], ref(1))
    assert not made.release(first[0], ref(1))
    assert made.choose(need, anyone) == first


def test_a_new_offer_keeps_the_claims_and_forgets_old_misfits() -> None:
    made = matcher((2, 8))
    need = Need("command", cores=4)
    assert made.never_fits(node_id(0), need) is not None
    made.claim(node_id(0), ref(1), Claim(2, 0))
    made.put(node_id(0), body(8, 8))
    capacity = made.get(node_id(0))
    assert capacity is not None
    assert capacity.free_cores == 6
    assert made.never_fits(node_id(0), need) is None


def test_a_dropped_node_is_chosen_no_more() -> None:
    made = matcher((2, 8))
    made.drop(node_id(0))
    made.drop(node_id(0))
    assert made.choose(Need("command", cores=1), anyone) is None
    assert node_id(0) not in made


def test_random_claims_and_releases_never_overcommit_and_never_miss_a_fit() -> None:
    rng = Random(7)
    made = matcher(*[(rng.randint(1, 16), rng.randint(4, 64)) for _ in range(40)])
    live: list[tuple[NodeId, AttemptRef]] = []
    for n in range(3000):
        need = Need("command", cores=rng.randint(1, 8), ram_bytes=rng.randint(0, 32) * GIB)
        choice = made.choose(need, anyone)
        fits = [capacity.node for capacity in made if made.fit(capacity.node, need) is not None]
        assert (choice is None) == (not fits)
        if choice is not None and rng.random() < 0.7:
            made.claim(choice[0], ref(n), choice[1])
            live.append((choice[0], ref(n)))
        if live and rng.random() < 0.5:
            made.release(*live.pop(rng.randrange(len(live))))
        for capacity in made:
            assert capacity.free_cores >= 0
            assert capacity.free_ram_bytes >= 0
