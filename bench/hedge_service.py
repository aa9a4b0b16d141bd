"""The service in a process of its own, which also says what it has left over.

`service.app.Service` on a socket, composed as `serve` does it, with one more route: `GET
/bench/census` counts tasks, files, live streams, and the hedges that were denied by reason. What a
client cannot see, and `serve` has no reason to tell, is what a leak would show in.

Runs as a process: `python -m bench.hedge_service`; keys and addresses come from the environment.
"""

import asyncio
import os
from pathlib import Path

import orjson
import uvloop
from aiohttp import web

from service import tasks
from service.app import Service, spare_the_collector
from service.settings import Settings


def files() -> int:
    """Open ones, sockets included."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def _serve() -> None:
    service = Service(Settings(), os.environ)
    await service.start()
    spare_the_collector()

    async def census(_: web.Request) -> web.Response:
        count = {
            "tasks": len(asyncio.all_tasks()),
            "tasks of the service": tasks.running(),
            "files": files(),
            "live streams": len(service.relay.store.live),
            "denials": {str(why): n for why, n in service.relay.shared.hedger.denials.items()},
        }
        return web.Response(body=orjson.dumps(count), content_type="application/json")

    app = service.application()
    app.add_routes([web.get("/bench/census", census)])
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    print(f"ready {runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
