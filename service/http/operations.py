"""What operators and tools ask the service about itself.

`/healthz` says that the process answers and what carries the usage stream; `/readyz` whether it
should be sent requests; `/v1/schema.json` what its events look like.
"""

from collections.abc import Callable

import orjson
from aiohttp import web

from adapters import schema
from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from service.http.json_answer import json_answer
from service.relay import Relay
from service.usage.engine import Engine


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
            web.get("/healthz", self.health),
            web.get("/readyz", self.ready),
            web.get("/v1/schema.json", self.event_schema),
        ]

    async def health(self, _request: web.Request) -> web.Response:
        """GET /healthz: the process is alive."""
        engine = self._engine()
        told = {"status": "ok", "engine": {"kind": engine.kind, "url": engine.url}}
        return json_answer(told)

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
