"""The documents that describe the service to programs, served as JSON.

A document is made when it is first asked for, not at the start, and kept: it is of this version of
the code and does not change while the process runs. It is made in a thread, which gives way to the
loop: it takes up to 100 ms, in which no token would flow.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Described:
    """One route for each document."""

    def __init__(self, documents: Mapping[str, Callable[[], Mapping[str, Any]]]) -> None:
        """`documents`: what makes the document at each path."""
        self._documents = documents

    def routes(self) -> list[web.RouteDef]:
        """The routes to mount."""
        return [web.get(path, _serving(make)) for path, make in self._documents.items()]


def _serving(make: Callable[[], Mapping[str, Any]]) -> Handler:
    made: list[bytes] = []

    async def serve(_request: web.Request) -> web.Response:
        if not made:
            made.append(await asyncio.to_thread(lambda: orjson.dumps(make())))
        return web.Response(body=made[0], content_type="application/json")

    return serve
