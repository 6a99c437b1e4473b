r"""Path rules: what a path that a scene wrote on one machine is called on another.

A rule replaces a prefix by a prefix: `Y:/show -> /mnt/show`. A path is taken apart once into a root and whole
components, so that `/mnt/sho` never matches `/mnt/show`, and three things hold whatever the rules say: the first slash
of a POSIX path stays, `\\server\share` keeps both of its own, and what no rule matches comes back unchanged.

    drive    C:/x  C:\x  \\?\C:\x            compared without case
    UNC      //server/share/x  \\server\x    compared without case
    POSIX    /x                              compared with case
    other    x/y  ${SHOW}/x  //../x          compared with case

Case follows the side that is *written*: it is the system of the artist that took `TEX` and `tex` for one folder. Both
slashes separate in all of them; the result has the slash of the rule's target.

Needs the standard library alone and runs in Python 3.10: scripts inside a renderer load this very file. Called by the
core (which rules there are), by renderers (what is read instead) and by people's commands; looks at no disk.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PLATFORMS = ("any", "linux", "windows", "darwin")
"""Where a rule holds: on what renders, not on what wrote the scene. The order is for ever: a row's key counts in it."""
MAX_PREFIX_BYTES = 250
"""Of a farm's rule, as UTF-8 without its case: it is the key of a row."""
MAX_TARGET_CHARS = 4096
_DRIVE = re.compile(r"[A-Za-z]:(?=[\\/]|$)")
_UNC = re.compile(r"[\\/]{2}(?=[^\\/])")
_UP = re.compile(r"[\\/]{2}(?=\.{1,2}(?:[\\/]|$))")
"""Blender writes `//../tex` for a path beside the scene; no server is called so."""
_LONG = re.compile(r"\\\\\?\\(UNC\\)?", re.IGNORECASE)
_SLASHES = re.compile(r"[\\/]+")
_UNC_ROOT = "//"


class PathRule(NamedTuple):
    """One rule.

    Attributes:
        written: Prefix as scenes have it.
        becomes: What it is called on machines of the platform.
        platform: One of `PLATFORMS`.
    """

    written: str
    becomes: str
    platform: str = "any"


def apply(rules: Iterable[PathRule], path: str) -> tuple[str, PathRule | None]:
    """Replace the longest prefix that a rule is for; of two equal ones the first counts.

    Returns:
        The path, and the rule that changed it; unchanged and None if there is none. `.` and `..` below a prefix are
        resolved by name, so that nothing climbs out of the target.
    """
    parts = _parts(path)
    key = _without_case(parts)
    best: PathRule | None = None
    length = 0
    for rule in rules:
        prefix = _without_case(_parts(rule.written))
        if len(prefix) > length and key[: len(prefix)] == prefix and prefix != ("",):
            best, length = rule, len(prefix)
    if best is None:
        return path, None
    return _joined(best.becomes, parts[length:], ends_open=path[-1:] in ("/", "\\")), best


def for_platform(rules: Iterable[PathRule], platform: str) -> tuple[PathRule, ...]:
    """Return the rules that hold on a platform, those made for it before those for any."""
    wanted = (platform, "any") if platform != "any" else ("any",)
    held = list(rules)
    return tuple([rule for name in wanted for rule in held if rule.platform == name])


def platform_of(name: str) -> str:
    """Name a platform as rules do: `sys.platform` is "linux", "win32" or "darwin"."""
    return {"win32": "windows", "cygwin": "windows"}.get(name, name)


def prefix_key(written: str) -> str:
    """Write a prefix in its one normal form: two spellings of one place have the same."""
    root, *rest = _without_case(_parts(written))
    if root in ("/", _UNC_ROOT):
        return root + "/".join(rest)
    return "/".join((root, *rest) if root else rest)


def is_absolute(path: str) -> bool:
    """Tell whether a path begins at a drive, a server or the root."""
    root, *rest = _parts(path)
    return bool(root) and (root != _UNC_ROOT or bool(rest))


def fault_of(rule: PathRule) -> tuple[str, str] | None:
    """Say why a rule of the farm is no good, as (why, hint); None if it is."""
    for what, path in (("the written prefix", rule.written), ("the target", rule.becomes)):
        if "\0" in path or any("\ud800" <= letter <= "\udfff" for letter in path):
            return f"{what} holds a NUL character or is not valid UTF-8", "write it anew"
        if not is_absolute(path):
            return f"{what} {path[:80]!r} is not an absolute path", r"such as Y:/show, \\server\share or /mnt/show"
    if rule.platform not in PLATFORMS:
        return f"no platform is called {rule.platform[:40]!r}", "one of " + ", ".join(PLATFORMS)
    if len(prefix_key(rule.written).encode()) > MAX_PREFIX_BYTES:
        return f"the written prefix is longer than {MAX_PREFIX_BYTES} bytes", "make the rule for a folder above it"
    if len(rule.becomes) > MAX_TARGET_CHARS:
        return f"the target is longer than {MAX_TARGET_CHARS} characters", "make it shorter"
    if _parts(rule.written) == _parts(rule.becomes):
        return "both sides name the same place", "a rule is for a prefix that is called otherwise elsewhere"
    return None


class PathMap(NamedTuple):
    """Everything that decides what one attempt reads instead of a written path.

    Attributes:
        job: Rules that came with the job; their targets are paths of the machine where it was submitted.
        farm: Rules of the farm for the platform of this node.
        root: Folder of the submitting machine that the job's files are relative to; "" = not known.
        checkout: The same folder here.
    """

    job: tuple[PathRule, ...] = ()
    farm: tuple[PathRule, ...] = ()
    root: str = ""
    checkout: str = ""

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> PathMap:
        """Read the plain data of a map, after it went through JSON."""
        job, farm = (tuple([PathRule(*rule) for rule in plain[name]]) for name in ("job", "farm"))
        return cls(job, farm, plain["root"], plain["checkout"])

    def candidates(self, path: str) -> tuple[str, ...]:
        """List what could be meant here by a written path, the likeliest first: job, farm, then the checkout alone."""
        by_job, rule = apply(self.job, path)
        named = [by_job] if rule is not None else []
        by_farm, rule = apply(self.farm, by_job)
        named += [by_farm] if rule is not None else []
        places = [place for name in named for place in (*self._inside(name), name)]
        return tuple(dict.fromkeys([*places, *self._inside(path)]))

    def find(self, path: str, exists: Callable[[str], bool]) -> str | None:
        """Return the first candidate that is there; None leaves the path as it is."""
        return next((place for place in self.candidates(path) if place != path and exists(place)), None)

    def prefixes(self, drives: Iterable[str]) -> tuple[PathRule, ...]:
        """Write the map as rules, for a program that replaces prefixes itself and cannot ask what is there.

        Args:
            drives: Letters that have a folder in the checkout.
        """
        named = [*self.job, *self.farm]
        rules = [PathRule(rule.written, (self._inside(rule.becomes) or [rule.becomes])[0]) for rule in named]
        if self.checkout:
            rules += [PathRule(self.root, self.checkout)] if self.root else []
            rules += [PathRule(f"{drive}:", f"{self.checkout}/{drive.upper()}") for drive in drives]
        first = {prefix_key(rule.written): rule for rule in reversed(rules)}
        return tuple(sorted(first.values(), key=lambda rule: (-len(_parts(rule.written)), rule.written)))

    def _inside(self, path: str) -> list[str]:
        """Where the checkout would have a path: below the root, or, with a drive, in the folder of its letter."""
        if not self.checkout:
            return []
        rules = [PathRule(self.root, self.checkout)] if self.root else []
        drive = _parts(path)[0]
        if drive.endswith(":"):
            rules.append(PathRule(drive, f"{self.checkout}/{drive[0].upper()}"))
        placed, rule = apply(rules, path)
        return [] if rule is None else [placed]


def _parts(path: str) -> tuple[str, ...]:
    """Take a path apart: its root ("C:", "//", "/" or ""), then its components."""
    path = _LONG.sub(lambda found: "//" if found[1] else "", path, count=1) if path[:4] == "\\\\?\\" else path
    path = _UP.sub("", path, count=1) if _UP.match(path) else path
    drive = _DRIVE.match(path)
    if drive is not None:
        root = drive[0]
    elif _UNC.match(path):
        root = _UNC_ROOT
    else:
        root = "/" if path[:1] in ("/", "\\") else ""
    names = _SLASHES.split(path[len(drive[0]) :] if drive is not None else path)
    return (root, *_resolved(names, floor=2 if root == _UNC_ROOT else 0, keeps_up=not root))


def _resolved(names: list[str], *, floor: int, keeps_up: bool) -> list[str]:
    """Resolve `.` and `..` by name. floor: components that `..` cannot leave; keeps_up: a relative path may begin so."""
    kept: list[str] = []
    for name in names:
        if name in ("", "."):
            continue
        if name != "..":
            kept.append(name)
        elif len(kept) > floor and kept[-1] != "..":
            kept.pop()
        elif keeps_up:
            kept.append(name)
    return kept


def _without_case(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is compared; UNC and drives only are of a system that takes both cases for one."""
    root = parts[0]
    return tuple([part.lower() for part in parts]) if root == _UNC_ROOT or root.endswith(":") else parts


def _joined(target: str, rest: tuple[str, ...], *, ends_open: bool) -> str:
    slash = next((letter for letter in target if letter in "\\/"), "/")
    base = target.rstrip("\\/")
    joined = slash.join((base, *rest)) if rest else target
    return joined + slash if ends_open and joined[-1:] != slash else joined
