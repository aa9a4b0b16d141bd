"""One process of a service that has nothing but an embedded engine; `test_embedded` kills it.

Arguments: the data folder, the server's executable. It says which process the server is and where,
and leaves cleanly when its input ends.
"""

import asyncio
import sys
from pathlib import Path

from service.usage.embedded import Embedded


async def live(data: Path, server: str) -> None:
    """Start, tell, wait, leave."""
    engine = await Embedded.start(data, [server])
    sys.stdout.write(f"{engine._pid} {engine.url}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await engine.aclose()


asyncio.run(live(Path(sys.argv[1]), sys.argv[2]))
