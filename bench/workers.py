"""How evenly connections come to workers that share a port: `python -m bench.workers`.

400 connections, each with one answer of the demo provider, all at once or 100 a second, to
`tailrace serve --workers 2` and 4; then the same to bare uvloop processes, which do what the load
asks for and nothing else, once with one socket for all of them and once with a socket each
(SO_REUSEPORT). The latter are told how long a connection is to keep a worker's loop busy, as a
request does for its routing and its provider's first bytes.

Of each there are five rounds (`--rounds`), and what share the busiest worker had: the median, the
lowest and the highest. All of it takes five minutes. Last come the megabytes that the processes of
a service take which nobody has asked for anything yet.
"""

import argparse
import asyncio
import re
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median

import uvloop

from adapters.registry import FIFTEEN
from bench.load import REQUEST
from service import clock
from tests.e2e.process import environment

CONNECTIONS = 400
A_SECOND = 100
BUSY_S = 0.002
"""Seconds of the loop's for a bare connection: about what a request takes of the service's."""

QUESTION = b'{"model":"demo/auto","max_tokens":1,"messages":[{"role":"user","content":"Hi."}]}'
ANSWERED = re.compile(r'^tailrace_attempts_total\{.*worker="(\d+)"\} (\S+)$', re.MULTILINE)


def main() -> int:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=2, metavar=("NUMBER", "SOCKET"), help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, help="of each; the median counts")
    options = parser.parse_args()
    if options.child:
        uvloop.run(_serve(options.child[0], options.child[1]))
        return 0
    for workers, rate in product((2, 4), (0, A_SECOND)):
        come = f"{rate} a second" if rate else "all at once"
        print(f"{workers} workers, {CONNECTIONS} connections, {come}; the busiest has:")
        asked = {
            "tailrace serve": partial(_tailrace, workers, rate),
            "bare, one socket": partial(_bare, workers, rate, shared=True),
            "bare, SO_REUSEPORT": partial(_bare, workers, rate, shared=False),
        }
        for name, ask in asked.items():
            shares = sorted(_busiest(ask()) for _ in range(options.rounds))
            print(
                f"  {name:18} {median(shares):.0f} % [{shares[0]:.0f}-{shares[-1]:.0f}]", flush=True
            )
    print(_memory())
    return 0


def _busiest(answered: Sequence[int]) -> float:
    """Percent of all."""
    return 100 * max(answered) / sum(answered)


# --- The service ---


def _tailrace(workers: int, rate: int) -> list[int]:
    with tempfile.TemporaryDirectory() as data, _started(data, workers) as (_, address):
        payload = REQUEST % (len(QUESTION), QUESTION)
        uvloop.run(_load([payload] * CONNECTIONS, int(address.rpartition(":")[2]), rate))
        with urllib.request.urlopen(f"{address}/metrics") as answer:  # noqa: S310 - our own
            told = answer.read().decode()
    return [int(float(count)) for _, count in ANSWERED.findall(told)]


def _memory() -> str:
    """What processes take that nobody has asked for anything yet; two lines."""
    keys = {provider.key_vars[0]: "bench" for provider in FIFTEEN.values()}
    return f"without a key: {_taken({})}\nwith every provider's SDK: {_taken(keys)}"


def _taken(keys: Mapping[str, str]) -> str:
    with tempfile.TemporaryDirectory() as data, _started(data, 2, keys) as (parent, _):
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        workers = [_resident(int(child)) for child in children]
        own = _resident(parent)
    return f"the parent takes {own} MB, its workers {workers} MB"


def _resident(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 // 1_000_000


@contextmanager
def _started(
    data: str, workers: int, keys: Mapping[str, str] | None = None
) -> Iterator[tuple[int, str]]:
    """Its process and address; not pinned to a core, as `bench.processes` would.

    Of the providers' variables it has only `keys`.
    """
    flags = ("--port", "0", "--data", data, "--workers", str(workers))
    service = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "service", "serve", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(keys or {}),
    )
    assert service.stdout is not None
    try:
        yield service.pid, service.stdout.readline().strip().rpartition(" ")[2]
    finally:
        service.terminate()
        service.communicate()


async def _load(payloads: Sequence[bytes], port: int, rate: int) -> list[bytes]:
    """Each on a connection of its own; what was answered."""
    loop, answers = asyncio.get_running_loop(), []
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        for number, payload in enumerate(payloads):
            if rate:
                await asyncio.sleep(began + number / rate - loop.time())
            answers.append(group.create_task(_ask(payload, port)))
    return [answer.result() for answer in answers]


async def _ask(payload: bytes, port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(payload)
    answer = await reader.readuntil(b"\n") if payload == b"\n" else await _event(reader)
    writer.close()
    return answer


async def _event(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b'"stream.end"')


# --- Bare processes ---


def _bare(workers: int, rate: int, *, shared: bool) -> list[int]:
    with ExitStack() as closing:
        first = closing.enter_context(_bound(0, shared=shared))
        port = first.getsockname()[1]
        for number in range(workers):
            own = first if shared or number == 0 else _bound(port, shared=shared)
            closing.enter_context(_child(number, closing.enter_context(own)))
        answers = uvloop.run(_load([b"\n"] * CONNECTIONS, port, rate))
    return list(Counter(answers).values())


def _bound(port: int, *, shared: bool) -> socket.socket:
    bound = socket.socket()
    option = socket.SO_REUSEADDR if shared else socket.SO_REUSEPORT
    bound.setsockopt(socket.SOL_SOCKET, option, 1)
    bound.bind(("127.0.0.1", port))
    return bound


@contextmanager
def _child(number: int, bound: socket.socket) -> Iterator[None]:
    descriptor = bound.fileno()
    child = subprocess.Popen(  # noqa: S603 - this module
        [sys.executable, "-m", "bench.workers", "--child", str(number), str(descriptor)],
        pass_fds=[descriptor],
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    try:
        yield
    finally:
        child.kill()
        child.communicate()


async def _serve(number: str, descriptor: str) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        busy = clock.monotonic() + BUSY_S
        while clock.monotonic() < busy:
            pass
        writer.write(number.encode() + b"\n")
        writer.close()

    bound = socket.socket(fileno=int(descriptor))
    server = await asyncio.start_server(answer, sock=bound, backlog=128)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
