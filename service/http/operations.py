"""What operators and tools ask the service about itself.

`/healthz` says that the process answers and what carries the usage stream; `/readyz` whether it
should be sent requests; `/v1/schema.json` what its events look like. `/` is for the person who
opens the address in a browser.
"""

from collections.abc import Callable
from html import escape

import orjson
from aiohttp import web

from adapters import schema
from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from service.relay import Relay
from service.usage.engine import Engine

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Tailrace</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44em; margin: 3em auto; padding: 0 1em }
pre { background: #8882; padding: 1em; overflow: auto }
</style>
<h1>Tailrace</h1>
<p>This service streams LLM answers. Ask it something:</p>
<pre>curl -N %s/v1/streams -d '{"messages":[{"role":"user","content":"Hello"}]}'</pre>
<ul>
<li><a href="/api/coordination/llm/providers">Which providers are active</a></li>
<li><a href="/v1/schema.json">What the events look like</a></li>
<li><a href="/healthz">Health</a> and <a href="/readyz">readiness</a></li>
</ul>
"""


class Operations:
    """Routes about the service itself."""

    def __init__(
        self,
        relay: Relay,
        engine: Callable[[], Engine],
    ) -> None:
        """`engine`: what carries the usage stream now."""
        self._relay = relay
        self._engine = engine
        self._schema = orjson.dumps(schema.document())

    def routes(self) -> list[web.RouteDef]:
        """The routes to mount."""
        return [
            web.get("/", self.page),
            web.get("/healthz", self.health),
            web.get("/readyz", self.ready),
            web.get("/v1/schema.json", self.event_schema),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """GET /: the first command to try."""
        address = escape(f"{request.scheme}://{request.host}")
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        return web.Response(
            text=_PAGE % address,
            content_type="text/html",
            headers={"Content-Security-Policy": policy},
        )

    async def health(self, _request: web.Request) -> web.Response:
        """GET /healthz: the process is alive."""
        engine = self._engine()
        told = {"status": "ok", "engine": {"kind": engine.kind, "url": engine.url}}
        return web.Response(body=orjson.dumps(told), content_type="application/json")

    async def ready(self, _request: web.Request) -> web.Response:
        """GET /readyz: 200 while new streams are taken.

        Raises RequestError: draining, or what is used cannot be written down.
        """
        if self._relay.draining:
            message = "the service is shutting down"
            raise RequestError(make(ErrorCode.DRAINING, message, phase=Phase.BEFORE_STREAM))
        self._relay.shared.meter.check()
        return web.Response(body=b'{"status":"ready"}', content_type="application/json")

    async def event_schema(self, _request: web.Request) -> web.Response:
        """GET /v1/schema.json: one event of a stream."""
        return web.Response(body=self._schema, content_type="application/schema+json")
