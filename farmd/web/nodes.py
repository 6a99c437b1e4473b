"""The farm, its machines and its events, under /api/v1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from farmd.web.endpoints import Asked


async def show_farm(asked: Asked) -> dict[str, Any]:
    """Show the farm as this node sees it."""
    return dict(await asked.call("farm.status"))


async def follow(asked: Asked) -> dict[str, Any]:
    """Tell what has changed in the farm, as soon as something has."""
    query = asked.query
    after = None if query.after is None else [int(number) for number in query.after.split(",")]
    args = {"life": query.life, "after": after, "patience_s": query.wait_s}
    answer = dict(await asked.call("farm.feed", limit_s=query.wait_s + 10, waits=query.wait_s > 0, **args))
    return answer | {"after": ",".join(map(str, answer["after"]))}


async def list_nodes(asked: Asked) -> dict[str, Any]:
    """List machines."""
    return dict(await asked.call("node.list"))


async def show_node(asked: Asked) -> dict[str, Any]:
    """Show one machine."""
    return dict(await asked.call("node.show", node=asked.path["node"]))


def ordering(op: str) -> Callable[[Asked], Awaitable[dict[str, Any]]]:
    """Return the handler that gives one order to a machine."""

    async def order(asked: Asked) -> dict[str, Any]:
        return dict(await asked.call(op, node=asked.path["node"], **asked.body.model_dump(exclude_none=True)))

    return order


async def show_me(asked: Asked) -> dict[str, Any]:
    """Say whose token this is, and what it may."""
    return dict(await asked.call("user.me"))


async def list_events(asked: Asked) -> dict[str, Any]:
    """List who did what, the newest last."""
    query: dict[str, Any] = asked.query.model_dump(exclude_none=True)
    wait_s = query["wait_s"]
    return dict(await asked.call("event.list", limit_s=wait_s + 10, waits=wait_s > 0, **query))
