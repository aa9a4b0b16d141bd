"""`make bench-relay`: the hot path's figures in one run. README.md says how to read them."""

import argparse
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from bench import disconnect, first_token, memory, relay_cpu
from bench.processes import LOAD_CORE, RELAY_CORE, Process, bare_relay, tailrace, upstream

FILES = 20_000  # open files: 2,000 streams are 2,000 sockets here, and twice as many in the relay


def main() -> int:
    """Run what was asked for; nothing fails, everything is printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds (default 7)")
    parser.add_argument("--requests", type=int, default=300, help="first tokens each way")
    parser.add_argument("--idle", type=int, default=2_000, help="open idle streams")
    parser.add_argument("--only", choices=["cpu", "first-token", "memory", "disconnect"])
    asked = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))
    os.sched_setaffinity(0, {LOAD_CORE})
    print(f"relays on core {RELAY_CORE}, provider and load on core {LOAD_CORE}", flush=True)
    if asked.only in (None, "cpu", "first-token"):
        with _service() as (provider, service):
            if asked.only != "first-token":
                with bare_relay(provider) as bare:
                    for streams in (50, 200):
                        result = relay_cpu.run(bare, service, streams, asked.rounds)
                        print(relay_cpu.report(result), flush=True)
            if asked.only != "cpu":
                print(first_token.run(provider, service, asked.requests), flush=True)
    if asked.only in (None, "disconnect"):
        with _service() as (provider, service):
            print(disconnect.run(provider, service, 50), flush=True)
    if asked.only in (None, "memory"):
        with _service() as (_, service):
            print(memory.run(service, asked.idle), flush=True)
    return 0


@contextmanager
def _service() -> Iterator[tuple[Process, Process]]:
    """A provider and a service of their own: what was opened before is not in the figures."""
    with (
        tempfile.TemporaryDirectory() as data,
        upstream() as provider,
        tailrace(provider, data) as service,
    ):
        yield provider, service


if __name__ == "__main__":
    sys.exit(main())
