"""The farm's path rules: registers that every node folds alike, asked for at any of them, given to what renders."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from farmd.core.pathrules import PathRules
from protocol.bodies import PathRuleBody, pack_body
from protocol.pathrules import PathRule
from protocol.records import Kind, Rec, path_rule_pk
from tests.core.small_farm import Farm, play

if TYPE_CHECKING:
    from farmd.core.effects import StartAttempt
    from tests.sim.machine import Machine

RULE = PathRule("Y:/show", "/mnt/show")


def row(rule: PathRule, value: int = 1, ver: int = 1, body: bytes | None = None) -> Rec:
    packed = pack_body(PathRuleBody(value, "anna", *rule)) if body is None else body
    return Rec(Kind.PATH_RULE, path_rule_pk(rule.written, rule.platform), ver, ver, 1, ver, 0, packed)


def rules_of(machine: Machine) -> tuple[PathRule, ...]:
    return machine.node.path_rules.rules


def test_the_order_in_which_rows_arrive_does_not_change_the_rules() -> None:
    rows = [
        row(PathRule(*given)) for given in (("Y:/", "/a"), ("Y:/", "/b", "linux"), ("/mnt", "Y:/"), ("//s/x", "/c"))
    ]
    outcomes = set()
    for order in permutations(rows):
        fold = PathRules()
        for rec in order:
            fold.apply(rec)
        outcomes.add(fold.rules)
    assert len(outcomes) == 1
    assert len(outcomes.pop()) == 4


def test_a_removed_rule_is_gone_and_can_come_back() -> None:
    fold = PathRules()
    for value, expected in ((1, (RULE,)), (0, ()), (1, (RULE,))):
        fold.apply(row(RULE, value))
        assert fold.rules == expected


def test_a_row_that_cannot_be_read_takes_the_place_of_the_rule_before() -> None:
    fold = PathRules()
    fold.apply(row(RULE))
    fold.apply(row(RULE, ver=2, body=b"\x93\x01\x02\x03"))
    assert fold.rules == ()


def test_a_rule_for_a_platform_that_is_not_known_here_is_passed_over() -> None:
    fold = PathRules()
    fold.apply(row(RULE)._replace(body=pack_body(PathRuleBody(1, "anna", "Y:/", "/mnt", "plan9"))))
    assert fold.rules == ()
    assert len(fold) == 0


def test_a_rule_added_at_one_node_holds_at_all_and_is_in_every_log() -> None:
    async def scene(farm: Farm) -> None:
        asked: dict[str, Any] = {"written": r"Y:\show", "becomes": "/mnt/show", "platform": "linux", "note": "filer 2"}
        answer = await farm.data("path.add", on=1, **asked)
        assert (answer["changed"], answer["holds"], answer["stored"]) == (True, True, "farm")
        await farm.until(lambda: all(len(rules_of(machine)) == 1 for machine in farm.machines))
        listed = (await farm.data("path.list", on=2))["rules"]
        assert [row["written"] for row in listed] == [r"Y:\show"]
        assert listed[0]["actor"] == answer["rule"]["actor"] != ""
        assert listed[0]["set_at_ms"] > 0
        for machine in farm.machines:
            notes = [note for note in machine.disk.notes if note.what == "path-add"]
            assert [note.text for note in notes] == [r"Y:\show -> /mnt/show on linux: filer 2"]
            assert notes[0].actor == listed[0]["actor"]

    play(scene, 3)


def test_adding_the_same_rule_again_changes_nothing() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("path.add", written="Y:/show", becomes="/mnt/show")
        seq = farm.machines[0].node.replica.seq
        assert not (await farm.data("path.add", written="Y:/show", becomes="/mnt/show"))["changed"]
        assert farm.machines[0].node.replica.seq == seq
        again = await farm.data("path.add", written=r"y:\SHOW", becomes="/mnt/show2")
        assert (again["changed"], again["replaced"]) == (True, "/mnt/show")
        assert len(rules_of(farm.machines[0])) == 1

    play(scene, 1)


def test_a_dry_run_answers_the_same_and_writes_nothing() -> None:
    async def scene(farm: Farm) -> None:
        seq = farm.machines[0].node.replica.seq
        answer = await farm.data("path.add", written="Y:/show", becomes="/mnt/show", dry_run=True)
        assert answer["changed"]
        assert answer["dry_run"]
        assert farm.machines[0].node.replica.seq == seq
        assert rules_of(farm.machines[0]) == ()

    play(scene, 1)


def test_removing_needs_a_rule_and_names_the_platform_where_several_hold() -> None:
    async def scene(farm: Farm) -> None:
        missing = await farm.ask("path.remove", written="Y:/show")
        assert missing.error is not None
        assert missing.error[0] == 5
        await farm.data("path.add", written="Y:/show", becomes="/mnt/show")
        await farm.data("path.add", written="Y:/show", becomes="/Volumes/show", platform="darwin")
        several = await farm.ask("path.remove", written="Y:/show")
        assert several.error is not None
        assert "any, darwin" in several.error[2]
        removed = await farm.data("path.remove", written=r"y:\show", platform="darwin", note="no macs")
        assert not removed["holds"]
        assert rules_of(farm.machines[0]) == (RULE,)
        told = [note.text for note in farm.machines[0].disk.notes if note.what == "path-remove"]
        assert told == ["Y:/show -> /Volumes/show on darwin: no macs"]

    play(scene, 1)


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"written": "Y:/show"},
        {"written": 5, "becomes": "/mnt"},
        {"written": "", "becomes": "/mnt"},
        {"written": "show", "becomes": "/mnt"},
        {"written": "Y:/", "becomes": "mnt"},
        {"written": "Y:/", "becomes": "/mnt", "platform": "amiga"},
        {"written": "Y:/" + "x" * 300, "becomes": "/mnt"},
        {"written": "Y:/" + "x" * 5000, "becomes": "/mnt"},
    ],
)
def test_a_rule_that_is_no_good_is_refused_and_writes_nothing(args: dict[str, Any]) -> None:
    async def scene(farm: Farm) -> None:
        answer = await farm.ask("path.add", **args)
        assert answer.error is not None
        assert answer.error[0] == 2
        assert rules_of(farm.machines[0]) == ()

    play(scene, 1)


def test_a_test_says_what_becomes_of_a_path_on_each_platform() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("path.add", written="Y:/show", becomes="/mnt/show", platform="linux")
        await farm.data("path.add", written="Y:/", becomes=r"\\filer\y")
        tested = await farm.data("path.test", path=r"Y:\show\tex\a.png")
        found = {row["platform"]: (row["becomes"], row["rule"]["written"]) for row in tested["platforms"]}
        assert found == {
            "linux": ("/mnt/show/tex/a.png", "Y:/show"),
            "windows": (r"\\filer\y\show\tex\a.png", "Y:/"),
            "darwin": (r"\\filer\y\show\tex\a.png", "Y:/"),
        }
        other = await farm.data("path.test", path="/home/a.png")
        assert all(row["rule"] is None and row["becomes"] == "/home/a.png" for row in other["platforms"])

    play(scene, 1)


def test_rules_survive_a_restart_and_go_to_attempts_with_files_alone() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("path.add", written="Y:/show", becomes="/mnt/show")
        machine = farm.machines[0]
        machine.crash()
        machine.start()
        assert rules_of(machine) == (RULE,)
        started: list[StartAttempt] = []
        on_start = farm.world.on_start

        def listen(node: Any, effect: StartAttempt) -> None:
            started.append(effect)
            on_start(node, effect)

        farm.world.on_start = listen  # type: ignore[method-assign]
        scene_file = machine.blobs.add(b"scene")
        manifest = machine.blobs.add(msgpack.packb([list(scene_file)]))
        with_files = await farm.submit(frames="1", manifest=manifest)
        without = await farm.submit(frames="1")
        await farm.until_state(with_files, "completed")
        await farm.until_state(without, "completed")
        assert {effect.ref.job: effect.path_rules for effect in started} == {with_files: (RULE,), without: ()}

    play(scene, 1)


def test_a_job_shows_the_rules_that_came_with_it() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(frames="1", path_rules=(("Y:/show", "/mnt/show"),))
        assert (await farm.data("job.show", job=job))["path_rules"] == [["Y:/show", "/mnt/show"]]

    play(scene, 1)
