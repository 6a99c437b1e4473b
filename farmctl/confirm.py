"""Ask before something is lost for good; never where nobody could answer.

Three levels. None: what can be undone or keeps all results (pause, cancel of named jobs, reject). Yes or no, with No as
the default and with what will be lost: what deletes results, and what changes everything that a filter finds. To type the
name: what cannot be undone and concerns more than one can see at a glance. Without a terminal, the second and third are
refused unless `-y` says it.
"""

from __future__ import annotations

import sys

import click

from protocol.errors import UsageError


def confirm(question: str, *, yes: bool, no_input: bool = False) -> None:
    """Go on only if a person wants it.

    Args:
        question: With what will be lost.
        yes: It was answered on the command line.
        no_input: Ask nothing.

    Raises:
        UsageError: Nobody can be asked, or the answer is no (then with code 1).
    """
    if yes:
        return
    _insist_on_a_person(question, no_input=no_input)
    if not click.confirm(question, default=False, err=True):
        raise _nothing_changed("the answer was no")


def confirm_by_name(question: str, name: str, *, yes: bool, no_input: bool = False) -> None:
    """Go on only if a person types a name: for what a `y` typed out of habit must not start.

    Args:
        question: With what will be lost.
        name: What has to be typed, letter by letter.
        yes: It was answered on the command line.
        no_input: Ask nothing.

    Raises:
        UsageError: Nobody can be asked, or something else was typed (then with code 1).
    """
    if yes:
        return
    _insist_on_a_person(question, no_input=no_input)
    typed: str = click.prompt(f"{question}\ntype {name} to go on", default="", show_default=False, err=True)
    if typed.strip() != name:
        raise _nothing_changed(f"{name} was not typed")


def _insist_on_a_person(question: str, *, no_input: bool) -> None:
    if no_input or not (sys.stdin.isatty() and sys.stderr.isatty()):
        why = "--no-input forbids to ask" if no_input else "there is no terminal to ask on"
        raise UsageError(question.removesuffix("?"), why, "say it on the command line: -y")


def _nothing_changed(why: str) -> UsageError:
    return UsageError("nothing was changed", why, "", code=1)
