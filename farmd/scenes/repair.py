"""Proposes what could be read instead of a missing file: only what is really there, and only if there is one answer.

In this order: other letters, doubled or turned slashes, a path rule of the farm, another prefix (one that other files
of the scene were found under, or under which the longest end of the path exists), the same name beside the scene or
below its folder, a variable that the project gives a meaning to. A variable without meaning is asked about first, since
names such as `guides.abc` occur once in every hairstyle. Several answers of one kind are told and none is taken.

A proposal is a path rule that holds for the whole scene; so the shortest prefix is chosen that neither takes another
file away nor contradicts another proposal, and the whole path if there is none. Called by `analyse`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from farmd.scenes.content import Remark, Spread
from farmd.scenes.report import Means, Repair, Why
from farmd.scenes.resolve import LITERAL, candidates, expanded, has_tokens, look, resolve
from farmd.scenes.rules import applied, covers, cuts_of, prefixes_of
from farmd.scenes.written import Kind, expand, kind_of, slashed, with_tokens
from protocol.pathrules import prefix_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from farmd.scenes.content import Reference
    from farmd.scenes.folders import Folders, Match
    from farmd.scenes.nearby import Nearby
    from farmd.scenes.resolve import Place, Resolved
    from farmd.scenes.rules import Rule

_OF_A_PROJECT: Final = {"DESC": "xgen/collections/*/*", "FXMODULE": "*"}
"""What XGen's variables stand for below a project, where the scene does not say it."""


@dataclass(frozen=True, slots=True)
class Lack:
    """A missing file, with what is needed to look for it elsewhere."""

    reference: Reference
    place: Place
    resolved: Resolved


class Repairs:
    """Makes proposals for one scene; remembers them, so that they agree with one another."""

    def __init__(self, folders: Folders, nearby: Nearby, rules: Sequence[Rule], applied: Sequence[Rule]) -> None:
        self.remarks: list[Remark] = []
        self._folders = folders
        self._nearby = nearby
        self._rules = rules
        self._kept: dict[str, set[str | None]] = {}
        self._learned: dict[Rule, None] = {}
        self._made = dict(applied)

    def keep(self, reference: Reference, path: str, application: str) -> None:
        """Remember a file that is found: no rule may take it away, and its prefix may lead to others."""
        written = with_tokens(reference.written, reference.spread)
        for prefix, becomes in cuts_of(written, path):
            self._kept.setdefault(prefix_key(prefix), set()).add(becomes and becomes.rstrip("/"))
        shortest = prefixes_of(written, path)[0]
        starts_anywhere = kind_of(written, application) not in (Kind.RELATIVE, Kind.SCENE)
        if starts_anywhere and shortest[0] != written and shortest[0].rstrip("/") != shortest[1].rstrip("/"):
            self._learned[shortest] = None

    def propose(self, lack: Lack) -> Repair | None:
        """Find what could be read instead."""
        if lack.resolved.why is Why.EMPTY or lack.reference.spread is Spread.FOLDER:
            return None
        for means, search in self._searches(lack):
            found = {match.path: match for match in search(lack)}
            if len(found) > 1:
                self._tell_ambiguous(lack, sorted(found))
                return None
            if found:
                return self._repair(means, lack, next(iter(found.values())))
        return None

    def _searches(self, lack: Lack) -> list[tuple[Means, Callable[[Lack], Iterator[Match]]]]:
        by_variable = (Means.VARIABLE, self._by_variable)
        usual = [
            (Means.CASE, self._by_case),
            (Means.SLASHES, self._by_slashes),
            (Means.RULE, self._by_rule),
            (Means.PREFIX, self._by_learned_prefix),
            (Means.PREFIX, self._by_longest_end),
            (Means.BESIDE, self._by_name),
        ]
        return [by_variable, *usual] if lack.resolved.why is Why.VARIABLE else [*usual, by_variable]

    def _tell_ambiguous(self, lack: Lack, paths: list[str]) -> None:
        shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        self.remarks.append(Remark("ambiguous", f"{lack.reference.written} could be any of {len(paths)}: {shown}"))

    def _repair(self, means: Means, lack: Lack, match: Match) -> Repair:
        written, becomes = self._rule(with_tokens(lack.reference.written, lack.reference.spread), match.path, means)
        if not covers(written, lack.reference.written):  # one tile was written, all of them are meant
            written, becomes = lack.reference.written, match.path
        self._made[written] = becomes
        self.keep(lack.reference, match.path, lack.place.application)
        return Repair(means, match.files[0], written, becomes)

    def _rule(self, written: str, target: str, means: Means) -> Rule:
        """Choose the shortest prefix that does no harm; a single find of a name says nothing about its neighbours."""
        rules = prefixes_of(written, target)
        narrow = means in (Means.BESIDE, Means.CASE)
        for prefix, becomes in rules[-1:] if narrow else rules:
            if self._made.get(prefix, becomes) == becomes and self._is_harmless((prefix, becomes)):
                return prefix, becomes
        return written, target

    def _is_harmless(self, rule: Rule) -> bool:
        """Tell whether every file that is found under this prefix would still be."""
        return self._kept.get(prefix_key(rule[0]), set()) <= {rule[1].rstrip("/")}

    # Searches: each yields what it finds ------------------------------------------------------------------------------

    def _by_case(self, lack: Lack) -> Iterator[Match]:
        for path in lack.resolved.tried:
            yield from self._folders.in_other_letters(path)

    def _by_slashes(self, lack: Lack) -> Iterator[Match]:
        text, place = self._text(lack), lack.place
        plain = slashed(text)
        kind = kind_of(text, place.application)
        turned = "\\" in text and place.application in LITERAL
        if kind is Kind.DRIVE or (plain == text and not turned):
            return
        paths = [plain] if plain.startswith("/") else []
        yield from self._there([*paths, *candidates(plain.lstrip("/"), lack.reference, place)], lack)

    def _by_rule(self, lack: Lack) -> Iterator[Match]:
        for text in dict.fromkeys((lack.reference.written, self._text(lack))):
            changed = applied(text, self._rules)
            if changed != text:
                found = resolve(replace(lack.reference, written=changed), lack.place, self._folders)
                yield from self._there([found.path] if found.files else [], lack)

    def _by_learned_prefix(self, lack: Lack) -> Iterator[Match]:
        text = self._text(lack)
        known = [applied(text, [rule]) for rule in self._learned if covers(rule[0], text)]
        yield from self._there([path for path in known if os.path.isabs(path)], lack)  # noqa: PTH117

    def _by_longest_end(self, lack: Lack) -> Iterator[Match]:
        yield from self._nearby.with_longest_end(self._text(lack), least=2)

    def _by_name(self, lack: Lack) -> Iterator[Match]:
        yield from self._nearby.with_longest_end(self._text(lack), least=1)

    def _by_variable(self, lack: Lack) -> Iterator[Match]:
        project = lack.place.project.folder if lack.place.project else lack.place.folder
        known = {"PROJECT": f"{project}/", "MAYA_PROJECT": str(project)}
        text, left = expand(lack.reference.written, {**lack.place.values, **lack.reference.variables, **known})
        text = with_tokens(text, lack.reference.spread)
        if not left:
            yield from self._there(candidates(text, lack.reference, lack.place), lack)
            return
        text, left = expand(text, _OF_A_PROJECT)
        if not left and not has_tokens(text):
            for path in sorted(project.glob(slashed(text).removeprefix(f"{project}/").lstrip("/"))):
                yield from self._there([str(path)], lack)

    def _text(self, lack: Lack) -> str:
        return with_tokens(expanded(lack.reference, lack.place)[0], lack.reference.spread)

    def _there(self, paths: Iterator[str] | list[str], lack: Lack) -> Iterator[Match]:
        """Yield the first of some paths that leads to files."""
        for path in map(os.path.normpath, paths):
            found = look(path, lack.reference.spread, self._folders)
            if found is not None:
                yield found
                return
