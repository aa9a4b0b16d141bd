"""`python -m tests.double`: the double as a process; its first line of output is its address.

Every request gets the same text, in the format of its path; `GET /double/requests` gives the log.
Ends on SIGTERM and SIGINT.
"""

import argparse
import asyncio
import signal
from collections.abc import Sequence

import uvloop

from tests.double.script import HELLO, reply
from tests.double.server import Double


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until told to end."""
    parser = argparse.ArgumentParser(prog="python -m tests.double", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--speaks", help="answer in this provider's manner, whatever the path")
    parser.add_argument("--chunks", type=int, help="content events of an answer")
    parser.add_argument("--every-ms", type=float, default=0, help="from one to the next")
    uvloop.run(_serve(parser.parse_args(arguments)))


async def _serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    words = HELLO if options.chunks is None else (f"{'word':<8}",) * options.chunks
    double = Double(speaks=options.speaks)
    double.default = reply(*words, between=options.every_ms / 1000)
    await double.start(options.host, options.port)
    print(double.url, flush=True)  # noqa: T201 - the address is this command's output
    await ended.wait()
    await double.close()


if __name__ == "__main__":
    main()
