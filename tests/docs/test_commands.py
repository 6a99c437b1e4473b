"""Every command line of ours in the documentation can be typed as it stands: the command, its verbs, its options exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from farmctl.cli import cli
from farmctl.lazy import Tree, Verb
from tests.farmctl.fakes import FakeNode, run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs/howto").glob("*.md")),
    *sorted((ROOT / "docs/tutorial").glob("*.md")),
]
BLOCK = re.compile(r"^```(?:sh|console|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
STARTS = re.compile(r"(?:^|[|;(]|&&|\$\(|\bwatch )\s*(?:\$ )?farmctl (.*)")
ENDS = ("|", ">", ">>", ";", "&&", "||", "&", "2>/dev/null", "<")


def lines_of(text: str) -> Iterator[str]:
    """Yield the words after `farmctl` of each command line."""
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            found = STARTS.search(line)
            if found:
                yield found[1]


def words_of(line: str) -> list[str]:
    """Split a command line, up to where a shell would begin another one."""
    lexer = shlex.shlex(line.rstrip(")"), posix=True, punctuation_chars="|;&<>()")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    for word in lexer:
        if word in ENDS or word.startswith(("|", ";", "&", ">", "<", "2>", ")")):
            break
        words.append(word)
    return words


def faults(words: list[str]) -> list[str]:
    """Name what of a command line does not exist."""
    command: click.Command = cli
    context = click.Context(cli, info_name="farmctl")
    options = {name for param in cli.params for name in (*param.opts, *param.secondary_opts)}
    for at, word in enumerate(words):
        if word.startswith("-") and word != "-" and not word.lstrip("-")[:1].isdigit():
            name = word.partition("=")[0]
            known = options | {"-h", "--help"}
            if name not in known and not (len(name) > 2 and name[1] != "-" and name[:2] in known):
                return [f"{command.name} has no option {name}"]
        elif isinstance(command, Tree) and not (at and words[at - 1].startswith("--") and command is cli):
            found = command.get_command(context, word)
            if found is None:
                return [f"{command.name} has no command {word}"]
            command, context = found, click.Context(found, context, word)
            options |= {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    return []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_command_lines_in_the_docs_exist(page: Path) -> None:
    wrong = [(line, fault) for line in lines_of(page.read_text()) for fault in faults(words_of(line))]
    assert wrong == []


def test_a_command_line_that_does_not_exist_is_found() -> None:
    text = "```sh\n$ farmctl job lst JOB\nfarmctl submit a.blend --frame 1-9 | jq .\nx=$(farmctl job list -q)\n```\n"
    found = [fault for line in lines_of(text) for fault in faults(words_of(line))]
    assert found == ["job has no command lst", "submit has no option --frame"]


def all_examples(tree: click.Command = cli) -> Iterator[str]:
    """Yield the examples of a command and of all below it."""
    if isinstance(tree, Tree):
        yield from tree.examples
        context = click.Context(tree, info_name=tree.name)
        for name in tree.list_commands(context):
            command = tree.get_command(context, name)
            assert command is not None
            yield from all_examples(command)
    elif isinstance(tree, Verb):
        yield from tree.examples


def test_the_examples_of_every_help_exist() -> None:
    lines = [found[1] for example in all_examples() if (found := STARTS.search(example))]
    assert len(lines) > 60
    assert [(line, fault) for line in lines for fault in faults(words_of(line))] == []


def test_the_examples_that_only_print_can_be_run() -> None:
    for words in (
        ("help", "filters"),
        ("schema", "farm.job.v1"),
        ("completion", "bash"),
        ("config", "show", "--origin"),
    ):
        assert run(FakeNode(), *words).exit_code == 0, words
