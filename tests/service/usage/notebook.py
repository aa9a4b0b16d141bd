"""A journal in memory, whose disk is as fast, and as full, as a test says."""

from asyncio import Future, get_running_loop
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass
class Notebook:
    """What was written down, as events; nothing is safe before the test says so."""

    writable: bool = True
    at_once: bool = False
    """Whether everything is safe as soon as it is written."""
    opened: list[Any] = field(default_factory=list)
    renewed: list[Any] = field(default_factory=list)
    closed: list[Any] = field(default_factory=list)
    syncing: list[Future[None]] = field(default_factory=list)

    def open(self, _attempt_id: bytes, body: bytes) -> Future[None]:
        self.opened.append(orjson.loads(body))
        return self._future()

    def checkpoint(self, _attempt_id: bytes, body: bytes) -> None:
        self.renewed.append(orjson.loads(body))

    def close(self, _attempt_id: bytes, event: bytes) -> Future[None]:
        self.closed.append(orjson.loads(event))
        return self._future()

    def safe(self) -> None:
        """All that was written down is."""
        for future in self.syncing:
            if not future.done():
                future.set_result(None)

    def fail(self, failure: Exception) -> None:
        """What was written down last is not."""
        self.syncing[-1].set_exception(failure)

    def _future(self) -> Future[None]:
        self.syncing.append(get_running_loop().create_future())
        if self.at_once:
            self.safe()
        return self.syncing[-1]
