"""Processes under test: started, pinned to a core, measured from /proc, and ended.

CPU time is the sum over a process's threads of the first field of /proc/PID/task/*/schedstat:
nanoseconds on a CPU. Clock ticks (10 ms) are too coarse for rounds of two seconds.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

RELAY_CORE = 1
LOAD_CORE = 0


class Process:
    """A child that prints one line when it is ready."""

    def __init__(
        self, *args: str, core: int, ready: str, environ: Mapping[str, str] | None = None
    ) -> None:
        """`args` after the interpreter; `ready`: how the line that names its port begins."""
        cores = os.cpu_count() or 1
        self._child = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, *args],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environ or {})},
            preexec_fn=lambda: os.sched_setaffinity(0, {core % cores}),  # noqa: PLW1509
        )
        assert self._child.stdout is not None
        self.output = self._child.stdout
        for line in self.output:
            if line.startswith(ready):
                self.port = int(line.strip().rpartition(" ")[2].rpartition(":")[2])
                return
        message = f"{args} ended before it was ready"
        raise RuntimeError(message)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def cpu_ns(self) -> int:
        """Nanoseconds on a CPU so far, all threads."""
        total = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total

    def resident_kib(self) -> int:
        """Resident memory, KiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        message = "no VmRSS"
        raise RuntimeError(message)

    def __enter__(self) -> Self:
        """A child ends with its block."""
        return self

    def __exit__(self, *exc: object) -> None:
        """End it."""
        self._child.terminate()
        self._child.wait(10)
        self.output.close()


def upstream() -> Process:
    """The provider, beside the load."""
    return Process("-m", "bench.upstream", "0", core=LOAD_CORE, ready="ready")


def bare_relay(provider: Process) -> Process:
    """The yardstick, on the relay's core."""
    address = f"http://127.0.0.1:{provider.port}"
    return Process("-m", "bench.bare_relay", "0", address, core=RELAY_CORE, ready="ready")


def tailrace(provider: Process, data: str, environ: Mapping[str, str] | None = None) -> Process:
    """The service with one provider, on the relay's core."""
    return Process(
        "-m",
        "service",
        "serve",
        "--port",
        "0",
        "--data",
        data,
        core=RELAY_CORE,
        ready="Tailrace is at",
        environ={
            "OPENAI_API_KEY": "test-key-bench",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{provider.port}/v1",
            **(environ or {}),
        },
    )
