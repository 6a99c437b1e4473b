"""The application: routes made from the table of endpoints, and for each request the same order of checks.

Token, path, query, body, handler; what fails ends it as one JSON error. Nothing is read of a body before the token is
good. An exception that nobody expected is answered as a 500 (uvicorn logs its place).
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from farmd.web.auth import Gate
from farmd.web.bodies import drained, json_object
from farmd.web.endpoints import Asked, Endpoint, Parts
from farmd.web.errors import Refusal, error_response
from farmd.web.headers import CarefulHeaders
from farmd.web.metrics import ANSWER_S
from farmd.web.paths import check_path
from farmd.web.table import ENDPOINTS
from protocol.errors import FarmError, Unreachable, UserError
from protocol.human import nearest_word

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from farmd.web.spool import Spool

_LOG = logging.getLogger("farmd.web")
CLEAN_EVERY_S = 86_400.0
_SMALL_BYTES = 16 << 20
"""A body of at most this is taken although it is refused: many clients read no answer before they have sent all."""


def make_app(parts: Parts, endpoints: tuple[Endpoint, ...] = ENDPOINTS) -> CarefulHeaders:
    """Make the application.

    Args:
        parts: What handlers work with.
        endpoints: The table.
    """
    gate = Gate(parts.farm)

    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        cleaning = asyncio.create_task(_clean(parts.spool))
        yield
        cleaning.cancel()
        await asyncio.gather(cleaning, return_exceptions=True)
        await parts.farm.close()

    routes: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        if endpoint.path == "/metrics" and parts.settings.open_metrics:
            endpoint = replace(endpoint, needs_token=False)  # noqa: PLW2901  # the row as it holds here
        routes.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    app = Starlette(
        # Those without parameters first: "download" is no MD5.
        routes=[
            Route(path, _answering(parts, gate, routes[path]), methods=list(routes[path]))
            for path in sorted(routes, key=lambda path: path.count("{"))
        ],
        exception_handlers={HTTPException: _on_http_exception, Exception: _on_bug},
        lifespan=life,
    )
    app.router.redirect_slashes = False
    return CarefulHeaders(app)


async def _clean(spool: Spool) -> None:
    """Clean up each day: a door runs for as long as its daemon, which may be months."""
    while True:
        await asyncio.sleep(CLEAN_EVERY_S)
        await asyncio.to_thread(spool.clean)


def _answering(parts: Parts, gate: Gate, methods: dict[str, Endpoint]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" and "HEAD" not in methods else request.method
        try:
            return await _answer(parts, gate, methods[method], request)
        except UserError as error:
            return error_response(error, close=not await drained(request, _SMALL_BYTES))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except FarmError as error:
            _LOG.error("the daemon sent something that cannot be used: %s", error)
            return error_response(Refusal(503, "the daemon's answer cannot be used", str(error), "compare versions"))

    return answer


async def _answer(parts: Parts, gate: Gate, endpoint: Endpoint, request: Request) -> Response:
    try:
        async with asyncio.timeout(ANSWER_S if endpoint.when_down is not None else None):
            user = await gate.user_of(request) if endpoint.needs_token else ""
    except (Unreachable, TimeoutError):
        if endpoint.when_down is None:
            raise
        return endpoint.when_down()
    path = {name: str(value) for name, value in request.path_params.items()}
    check_path(path)
    query = _checked(endpoint.query, _query_of(request, endpoint.query))
    body = None
    if endpoint.body is not None:
        body = _checked(endpoint.body, await json_object(request, endpoint.most_bytes, user))
    told = await endpoint.handler(Asked(parts, request, user, path, query, body))
    return told if isinstance(told, Response) else JSONResponse(told, endpoint.status)


def _query_of(request: Request, known: type[BaseModel]) -> dict[str, str]:
    """Return what stands behind the question mark.

    Raises:
        Refusal: Something stands there twice, or is not known.
    """
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in found:
            raise Refusal(422, f"{name[:40]!r} is said twice", "only one can hold", "leave one out")
        if name not in known.model_fields:
            meant = nearest_word(name, list(known.model_fields))
            hint = f"did you mean {meant!r}?" if meant else f"it knows: {', '.join(known.model_fields) or 'none'}"
            raise Refusal(422, f"no parameter is called {name[:40]!r}", "the name is not known", hint)
        found[name] = value
    return found


def _checked(cls: type[BaseModel], given: dict[str, Any]) -> BaseModel:
    """Read plain data into its class.

    Raises:
        Refusal: It does not fit.
    """
    try:
        return cls.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:80] or "the body"
        message = f"{first['msg'][:1].lower()}{first['msg'][1:]}"
        raise Refusal(422, f"{place!r} cannot be accepted", message[:200], "see /docs for what is meant") from error


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = {404: "nothing is served at this address", 405: f"{request.method[:20]} is not served here"}
    allowed = (error.headers or {}).get("Allow") or (error.headers or {}).get("allow", "")
    hint = f"it takes {allowed}" if allowed else "see /docs"
    refusal = Refusal(
        error.status_code, what.get(error.status_code, "refused"), error.detail, hint, headers=error.headers
    )
    return error_response(refusal, close=not await drained(request, _SMALL_BYTES))


async def _on_bug(request: Request, error: Exception) -> Response:
    """Answer; uvicorn logs it, with the place and without the request, which holds a token."""
    del request
    return JSONResponse(
        {"code": "bug", "message": "the door made a mistake", "why": type(error).__name__, "hint": "", "exit_code": 1},
        500,
    )
