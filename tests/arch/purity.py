"""A lint for `farmd.core`: finds what would make one seed tell two stories.

Import contracts see the graph of modules; this looks at the code between them. It reports

- imports at run time of anything but the protocol, the core itself and a list of calm stdlib modules;
- coroutines, and calls that look at the process (`hash`, `id`, `open`, `print`, `eval` ...): `hash(str)` and
  `id` differ from one process to the next;
- everything that takes the elements of a set in its own order. Sets of strings iterate in another order
  in each process. Order-free uses (`in`, `len`, `sorted`, `sum`, set algebra) are fine.

What a set is, is inferred from annotations and assignments: mypy --strict asks for an annotation on every
attribute, argument and return value, so names carry enough. An attribute or function that is annotated as a
set anywhere in the scanned sources counts as one everywhere; a local name must only ever be bound to sets.
Wrong in the strict direction is right here: `sorted(...)` or a dict used as an ordered set says what is meant.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CALM_STDLIB = frozenset(
    [
        "__future__",
        "abc",
        "bisect",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "enum",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "itertools",
        "math",
        "operator",
        "re",
        "statistics",
        "string",
        "struct",
        "textwrap",
        "types",
        "typing",
        "zlib",
    ]
)
CALM_OTHERS = frozenset({"xxhash"})  # the same bytes, the same number, on every node
OURS = ("protocol", "farmd.core")
BANNED_CALLS = frozenset(
    ["hash", "id", "open", "input", "print", "eval", "exec", "compile", "__import__", "globals", "breakpoint"]
)
SET_NAMES = frozenset(["set", "frozenset", "Set", "FrozenSet", "AbstractSet", "MutableSet"])
SET_METHODS = frozenset(["union", "intersection", "difference", "symmetric_difference"])
# Given a set, these hand its elements on in the order in which it keeps them.
ORDERED_TAKERS = frozenset(
    ["list", "tuple", "iter", "enumerate", "zip", "map", "filter", "reversed", "deque", "chain", "islice", "accumulate"]
)
ORDERED_TAKING_METHODS = frozenset(["join", "extend", "fromkeys", "extendleft", "from_iterable"])


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: where and what."""

    line: int
    text: str


@dataclass(slots=True)
class SetFacts:
    """Names that annotations declare to be sets, gathered over all sources."""

    attributes: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)


def gather(sources: Iterable[str]) -> SetFacts:
    """Collect attributes and functions that are annotated as sets, anywhere."""
    facts = SetFacts()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                facts.attributes.update(_set_fields(node))
            elif isinstance(node, ast.FunctionDef) and _is_set_annotation(node.returns):
                facts.functions.add(node.name)
                if any(isinstance(mark, ast.Name) and mark.id.endswith("property") for mark in node.decorator_list):
                    facts.attributes.add(node.name)
            elif (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Attribute)
                and _is_set_annotation(node.annotation)
            ):
                facts.attributes.add(node.target.attr)
    return facts


def problems(source: str, facts: SetFacts | None = None) -> list[Problem]:
    """Lint one module of the core; `facts` are those of its neighbours (default: its own)."""
    tree = ast.parse(source)
    known = facts if facts is not None else gather([source])
    found = [*_import_problems(tree), *_call_problems(tree)]
    for names, scope in _scopes(tree, known):
        found.extend(_order_problems(scope, _Sets(known, names)))
    return sorted(set(found), key=lambda problem: (problem.line, problem.text))


# -- imports ----------------------------------------------------------------------------------------------------------


def _import_problems(tree: ast.Module) -> Iterator[Problem]:
    for node in _walk_run_time(tree):
        for name in _imported(node):
            if name.split(".")[0] not in CALM_STDLIB | CALM_OTHERS and not _is_ours(name):
                yield Problem(node.lineno, f"imports {name}: the core knows protocol and calm stdlib only")


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        # `from farmd import core` names farmd.core, not all of farmd
        return [f"{module}.{alias.name}" for alias in node.names] if module in {"farmd", "protocol"} else [module]
    return []


def _is_ours(name: str) -> bool:
    return any(name == ours or name.startswith(f"{ours}.") for ours in OURS)


def _walk_run_time(node: ast.AST) -> Iterator[ast.stmt | ast.expr]:
    """Walk everything that runs: all but the bodies of `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for other in child.orelse:
                yield other
                yield from _walk_run_time(other)
            continue
        if isinstance(child, ast.stmt | ast.expr):
            yield child
        yield from _walk_run_time(child)


# -- calls ------------------------------------------------------------------------------------------------------------


def _call_problems(tree: ast.Module) -> Iterator[Problem]:
    for node in _walk_run_time(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield Problem(node.lineno, "is asynchronous: the core answers at once")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
            yield Problem(node.lineno, f"calls {node.func.id}(): its result is not a function of events and now")


# -- the order of sets ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sets:
    """Knows which expressions of one scope are sets."""

    facts: SetFacts
    names: frozenset[str]

    def has(self, node: ast.expr) -> bool:
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Name(id=name):
                return name in self.names
            case ast.Attribute(attr=name):
                return name in self.facts.attributes
            case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
                return self._makes_set(left) or self._makes_set(right)
            case ast.IfExp(body=one, orelse=other) | ast.NamedExpr(value=one as other):
                return self.has(one) or self.has(other)
            case ast.BoolOp(values=values):
                return any(map(self.has, values))
            case ast.Call():
                return self._call_has(node)
        return False

    def _call_has(self, node: ast.Call) -> bool:
        match node.func:
            case ast.Name(id=name):
                return name in {"set", "frozenset"} or name in self.facts.functions
            case ast.Attribute(attr="copy", value=owner):
                return self.has(owner)
            case ast.Attribute(attr=name):
                return name in SET_METHODS or name in self.facts.functions
        return False

    def _makes_set(self, operand: ast.expr) -> bool:
        # dict.keys() and dict.items() keep their order, but algebra on them gives a set
        is_view = (
            isinstance(operand, ast.Call)
            and isinstance(operand.func, ast.Attribute)
            and operand.func.attr in {"keys", "items"}
        )
        return is_view or self.has(operand)


def _order_problems(scope: list[ast.stmt | ast.expr], sets: _Sets) -> Iterator[Problem]:
    for node in scope:
        for taken, how in _taken_in_order(node):
            if sets.has(taken):
                text = f"{how} `{ast.unparse(taken)}`, a set: sort it, or keep a dict"
                yield Problem(node.lineno, text)
        match node:
            case ast.Call(func=ast.Attribute(attr="pop", value=owner), args=[]) if sets.has(owner):
                yield Problem(node.lineno, f"pops any element of `{ast.unparse(owner)}`, a set")


def _taken_in_order(node: ast.stmt | ast.expr) -> Iterator[tuple[ast.expr, str]]:
    match node:
        case ast.For(iter=taken):
            yield taken, "iterates over"
        case ast.ListComp(generators=loops) | ast.GeneratorExp(generators=loops) | ast.DictComp(generators=loops):
            yield from ((loop.iter, "iterates over") for loop in loops)
        case ast.YieldFrom(value=taken):
            yield taken, "yields from"
        case ast.Starred(value=taken):
            yield taken, "unpacks"
        case ast.Assign(targets=[ast.Tuple() | ast.List()], value=taken):
            yield taken, "unpacks"
        case ast.Call():
            yield from _taken_by_call(node)


def _taken_by_call(node: ast.Call) -> Iterator[tuple[ast.expr, str]]:
    keyed = any(keyword.arg == "key" for keyword in node.keywords)
    match node:
        case ast.Call(func=ast.Name(id=name), args=args) if name in ORDERED_TAKERS:
            yield from ((arg, f"{name}() takes the order of") for arg in args)
        case ast.Call(func=ast.Name(id="min" | "max" | "sorted" as name), args=[taken]) if keyed:
            yield taken, f"{name}() with a key breaks ties by the order of"
        case ast.Call(func=ast.Attribute(attr=name), args=args) if name in ORDERED_TAKING_METHODS:
            yield from ((arg, f"{name}() takes the order of") for arg in args)


def _scopes(tree: ast.Module, facts: SetFacts) -> Iterator[tuple[frozenset[str], list[ast.stmt | ast.expr]]]:
    """Yield the module and each function: its set names, and the nodes that are its own.

    A comprehension that feeds an order-free function (`any(x > 1 for x in s)`) is left out.
    """
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    outside = _set_names(tree, frozenset(), facts)
    for scope in (tree, *functions):
        names = outside if scope is tree else _set_names(scope, outside, facts)
        yield names, _without_order_free(list(_own_nodes(scope)))


def _own_nodes(scope: ast.AST) -> Iterator[ast.stmt | ast.expr]:
    for child in ast.iter_child_nodes(scope):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(child, ast.stmt | ast.expr):
            yield child
        yield from _own_nodes(child)


def _without_order_free(nodes: list[ast.stmt | ast.expr]) -> list[ast.stmt | ast.expr]:
    order_free = {"any", "all", "len", "set", "frozenset", "sorted", "min", "max"}  # not sum: floats
    harmless: list[ast.expr] = []
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id=name), args=[ast.GeneratorExp() | ast.ListComp() as inner], keywords=[]):
                if name in order_free:
                    harmless.append(inner)
    return [node for node in nodes if not any(node is inner for inner in harmless)]


def _set_names(scope: ast.AST, outside: frozenset[str], facts: SetFacts) -> frozenset[str]:
    """Names of a scope that are annotated as sets, or only ever bound to sets."""
    bound: dict[str, bool] = dict.fromkeys(sorted(outside), True)
    if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = (*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs)
        bound.update({argument.arg: _is_set_annotation(argument.annotation) for argument in arguments})
    assigned: dict[str, list[bool]] = {}
    for node in _own_nodes(scope):
        so_far = _Sets(facts, frozenset(name for name, is_set in bound.items() if is_set))
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                assigned.setdefault(name, []).append(_is_set_annotation(annotation))
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.NamedExpr(target=ast.Name(id=name), value=value)
            ):
                assigned.setdefault(name, []).append(so_far.has(value))
            case _:
                continue
        bound[name] = all(assigned[name])
    return frozenset(name for name, is_set in bound.items() if is_set)


# -- annotations ------------------------------------------------------------------------------------------------------


def _set_fields(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if _is_set_annotation(annotation):
                yield name


def _is_set_annotation(node: ast.expr | None) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in SET_NAMES
        case ast.Subscript(value=ast.Name(id="Final" | "ClassVar"), slice=inner):
            return _is_set_annotation(inner)
        case ast.Subscript(value=inner):
            return _is_set_annotation(inner)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _is_set_annotation(left) or _is_set_annotation(right)
        case ast.Constant(value=str() as text):
            return _is_set_annotation(ast.parse(text, mode="eval").body)
    return False
