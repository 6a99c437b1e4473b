"""What an endpoint is: one row of a table from which the routes, the checks and the OpenAPI document are all made.

So the document cannot say anything else than what is served. A handler gets everything read and checked, and returns
plain data or a response of its own; it never sees a token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from farmd.web.analysis import Analyst
    from farmd.web.farm import Farm
    from farmd.web.settings import WebSettings
    from farmd.web.spool import Spool


class Query(BaseModel):
    """What may stand behind the question mark; anything else is refused, since a typo must not widen a filter."""

    model_config = ConfigDict(extra="forbid")


class Body(BaseModel):
    """The JSON object of a request; anything else is refused."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """The JSON object of an answer: it only ever grows, so clients leave out what they do not know."""

    model_config = ConfigDict(extra="allow")


@dataclass(frozen=True, slots=True)
class Parts:
    """What handlers work with.

    Attributes:
        settings: Of this process.
        farm: The daemon.
        spool: Files on their way in.
        analyst: Looks at scenes.
    """

    settings: WebSettings
    farm: Farm
    spool: Spool
    analyst: Analyst


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, read and checked.

    Attributes:
        parts: What handlers work with.
        request: As Starlette has it, for streams and headers.
        user: Who asks; "" where no token is needed.
        path: Parameters in the path.
        query: Of the endpoint's own class.
        body: Likewise; None if the endpoint takes none, or reads it itself.
    """

    parts: Parts
    request: Request
    user: str
    path: dict[str, str]
    query: Any
    body: Any

    async def call(self, op: str, /, *, limit_s: float = 10.0, waits: bool = False, **args: Any) -> Any:
        """Ask the daemon in the name of the user; see `Farm.call`.

        Raises:
            UserError: The daemon says no.
        """
        return await self.parts.farm.call(self.user, op, limit_s=limit_s, waits=waits, **args)


Handler = Callable[[Asked], Awaitable["dict[str, Any] | Response"]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row.

    Attributes:
        method: Of HTTP.
        path: With parameters in braces.
        name: Of the operation in the OpenAPI document.
        summary: One sentence.
        handler: What answers.
        tag: Chapter of the document.
        query: Class of what stands behind the question mark.
        body: Class of the JSON object; None = it takes none.
        raw_body: The handler reads the body itself: type of its content.
        answer: Class of the JSON object, or type of the content.
        status: Of a good answer.
        also: Further statuses with the same answer.
        most_bytes: Of the JSON body.
        refusals: Statuses with which it can refuse, besides those that all can.
        headers: Names and meanings of request headers that it reads.
        needs_token: False for what says nothing about the farm.
        when_down: What is answered while no daemon can say whose the token is; None = that it cannot be said.
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    tag: str
    query: type[Query] = Query
    body: type[BaseModel] | None = None
    raw_body: str = ""
    answer: type[BaseModel] | str = Answer
    status: int = 200
    also: tuple[int, ...] = ()
    most_bytes: int = 1 << 20
    refusals: tuple[int, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    needs_token: bool = True
    when_down: Callable[[], Response] | None = None
