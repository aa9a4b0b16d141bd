"""GET /metrics: what Prometheus scrapes.

The figures are taken on the event loop, in one go, so that they fit together; they are written down
in a thread, which gives way to the loop. Measured with 80 models in use, 2,200 lines, on a machine
more or less busy (`python -m bench.telemetry`): written on the loop, a scrape held up every stream
for 32 to 51 ms, and beyond 50 hedging is switched off for a second; with the thread, 9 to 16 ms.

Where several workers share the port, a scrape reaches any of them and is to hear of all.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from service.telemetry.metrics import Metrics, Snapshot


class Scrapes:
    """The route of the metrics."""

    def __init__(
        self, metrics: Metrics, joined: Callable[[Snapshot], Awaitable[Snapshot]] | None = None
    ) -> None:
        """`metrics`: what is told; `joined` adds what the other workers have to tell."""
        self._metrics = metrics
        self._joined = joined

    def routes(self) -> list[web.RouteDef]:
        """The routes to mount."""
        return [web.get("/metrics", self.scrape)]

    async def scrape(self, request: web.Request) -> web.Response:
        """GET /metrics: in Prometheus' text format, or OpenMetrics where that is asked for."""
        snapshot = self._metrics.snapshot()
        if self._joined is not None:
            snapshot = await self._joined(snapshot)
        accept = ",".join(request.headers.getall("Accept", []))
        body, content_type = await asyncio.to_thread(snapshot.exposition, accept)
        # As a header, because aiohttp's argument takes no version.
        return web.Response(body=body, headers={"Content-Type": content_type})
