"""farmd.core is pure: the lint of `purity.py` over it, and proof that the lint bites."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arch.purity import SetFacts, gather, problems

ROOT = Path(__file__).parents[2]
CORE = sorted((ROOT / "farmd" / "core").rglob("*.py"))


@pytest.fixture(scope="module")
def facts() -> SetFacts:
    """Declared sets of everything that the core can see."""
    return gather(path.read_text("utf-8") for path in [*CORE, *sorted((ROOT / "protocol").rglob("*.py"))])


def test_the_core_is_there_to_be_linted() -> None:
    assert CORE


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_core_module_is_a_function_of_events_and_now(path: Path, facts: SetFacts) -> None:
    found = [f"{path.relative_to(ROOT)}:{found.line}: {found.text}" for found in problems(path.read_text(), facts)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "snippet",
    [
        # what it imports
        "import time",
        "import os.path",
        "from random import Random",
        "import zmq.asyncio",
        "import farmd.adapters.store",
        "from farmd import adapters",
        "from . import turn",
        "def f():\n    import secrets",
        "if TYPE_CHECKING:\n    from random import Random\nelse:\n    import random",
        "try:\n    import msgpack\nexcept ImportError:\n    pass",
        # calls
        "key = hash(name)",
        "key = id(task)",
        "text = open(path).read()",
        "print(task)",
        "clock = __import__('time')",
        "async def f(): ...",
        # sets, by their form
        "for node in {a, b}: ...",
        "for node in set(nodes): ...",
        "for node in frozenset(nodes) - {me}: ...",
        "[send(node) for node in {node for node in nodes}]",
        "effects = {node: 1 for node in set(nodes)}",
        "for kind in old.keys() - new.keys(): ...",
        "for node in alive.union(dead): ...",
        "first = next(iter(set(nodes)))",
        "first, *rest = set(nodes)",
        "order = list(set(nodes))",
        "order = [*set(nodes)]",
        "text = ', '.join({a, b})",
        "order = dict.fromkeys(set(nodes))",
        "one = set(nodes).pop()",
        "best = min(set(nodes), key=load)",
        "order = sorted(set(nodes), key=load)",
        "total = sum(load(node) for node in set(nodes))",
        # sets, by their names
        "def f(nodes: set[str]) -> None:\n    for node in nodes: ...",
        "def f(nodes: 'frozenset[str] | None') -> None:\n    for node in nodes or (): ...",
        "def f():\n    late = {1, 2}\n    for node in late: ...",
        "late = {1, 2}\ndef f():\n    return [node for node in late]",
        "class A:\n    alive: set[str]\n    def f(self):\n        return list(self.alive)",
        "class A:\n    def __init__(self):\n        self.alive: set[str] = set()\n    def f(self):\n        yield from self.alive",
        "def late() -> set[str]: ...\ndef f():\n    for node in late(): ...",
        "class A:\n    @property\n    def late(self) -> set[str]: ...\ndef f(a):\n    for node in a.late: ...",
        "def f(nodes: set[str]):\n    for node in nodes.copy(): ...",
        "def f():\n    if (late := set(nodes)):\n        return list(late)",
    ],
)
def test_impure_code_is_found(snippet: str) -> None:
    assert problems(snippet)


@pytest.mark.parametrize(
    "snippet",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from random import Random",
        "from dataclasses import dataclass\nfrom collections.abc import Iterable\nimport math\nimport xxhash",
        "from protocol.records import Rec\nfrom farmd.core.effects import Send\nfrom farmd import core",
        "for node in sorted({a, b}): ...",
        "for node in sorted(old.keys() - new.keys()): ...",
        "for node in alive.keys(): ...",
        "for name, node in alive.items(): ...",
        "late = me in {a, b}",
        "count = len(set(nodes))",
        "late = set(nodes) | {me}",
        "late = {str(node) for node in {a, b}}",
        "late = any(node.late for node in {a, b})",
        "best = min({1, 2})",
        "def f(nodes: list[str]) -> None:\n    for node in nodes: ...",
        "def f(nodes: dict[str, set[str]]) -> None:\n    for node in nodes: ...",
        "def f():\n    late = {1, 2}\n    late = sorted(late)\n    for node in late: ...",
        "late = {1: 2}.pop(1)",
        "pick = rng.random()",
    ],
)
def test_pure_code_is_left_alone(snippet: str) -> None:
    assert problems(snippet) == []


def test_a_set_declared_in_one_module_is_known_in_another() -> None:
    elsewhere = gather(["class Membership:\n    alive: frozenset[str]\n"])
    assert problems("def f(membership):\n    return [*membership.alive]", elsewhere)
