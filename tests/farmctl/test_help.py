"""Help: topics that say what the tables say, the help of any command by its words, and what a typo meant."""

from __future__ import annotations

import pytest

from farmctl.cli import TOPIC_NAMES, TREE
from farmctl.lazy import Branch
from farmctl.topics import TOPICS
from protocol.exitcodes import MEANINGS
from protocol.filters import JOB_FIELDS, NODE_FIELDS, TASK_FIELDS
from protocol.frames import parse_frames
from tests.farmctl.fakes import FakeNode, run

WIDTH = 110


def helped(*words: str) -> str:
    result = run(FakeNode(), "help", *words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_has_a_text_that_fits_a_terminal(topic: str) -> None:
    text = helped(topic)
    assert len(text.splitlines()) > 5
    assert max(map(len, text.splitlines())) <= WIDTH


def test_the_topics_name_all_that_their_tables_hold() -> None:
    filters, codes = helped("filters"), helped("exit-codes")
    for fields in (JOB_FIELDS, NODE_FIELDS, TASK_FIELDS):
        assert [name for name in fields.known if name not in filters] == []
    for code, meaning in MEANINGS.items():
        assert f"{code.value:>3}  {meaning}" in codes


def test_the_ranges_that_the_topic_shows_can_be_read() -> None:
    ranges = [line.split()[0] for line in helped("frames").splitlines() if line.startswith("  ")]
    assert [len(parse_frames(text)) for text in ranges] == [100, 20, 5, 9, 5]


def test_help_of_a_command_is_the_same_as_with_its_flag() -> None:
    for words in (("submit",), ("job",), ("job", "retry"), ("config", "set")):
        assert helped(*words) == run(FakeNode(), *words, "--help").stdout


def test_the_help_of_the_program_names_every_topic() -> None:
    assert list(TOPICS) == list(TOPIC_NAMES)
    assert f"farmctl help {'|'.join(TOPICS)}" in run(FakeNode(), "--help").stdout


def test_help_alone_lists_commands_and_topics() -> None:
    text = helped()
    assert [name for name in (*TREE, *TOPICS) if name not in text] == []


@pytest.mark.parametrize(
    ("words", "meant"), [(("filtres",), "filters"), (("jbo",), "job"), (("job", "rety"), "retry"), (("why", "x"), "")]
)
def test_help_of_what_is_not_there_names_the_nearest(words: tuple[str, ...], meant: str) -> None:
    result = run(FakeNode(), "help", *words)
    assert result.exit_code == 2
    assert f"did you mean {meant}?" in result.stderr if meant else "farmctl help lists" in result.stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [(("stauts",), "status"), (("job", "lits"), "list"), (("job", "list", "--flter", "x"), "--filter")],
)
def test_a_typo_is_answered_with_what_was_meant(words: tuple[str, ...], meant: str) -> None:
    result = run(FakeNode(), *words)
    assert result.exit_code == 2
    assert f"did you mean {meant}" in result.stderr
    assert len(result.stderr.splitlines()) <= 3


def test_a_verb_means_one_thing_under_every_noun() -> None:
    lines: dict[str, set[str]] = {}
    for branch in TREE.values():
        if isinstance(branch, Branch):
            for verb, leaf in branch.leaves.items():
                lines.setdefault(verb, set()).add(leaf.line.split()[0])
    assert {verb: words for verb, words in lines.items() if verb == "list" and words != {"List"}} == {}
    assert {"ls", "get", "describe", "rm", "stop", "kill", "info"} & lines.keys() == set()
