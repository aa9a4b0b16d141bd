"""Which Redis there is: the one at REDIS_URL, else a server of our own, else none.

`resolve` decides once, at the start, and never changes its mind: a Redis at REDIS_URL that is away
is waited for (the journal holds the events), not replaced by another one, which would count apart.

- `redis`: others run it; single, Sentinel or Cluster (`service.usage.client`).
- `embedded`: `service.usage.embedded`, the default.
- `in-process`: neither, as no server runs on this system. State is this process' own, so there is
  one process, no consumer elsewhere, and the journal is aggregated directly.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from service.settings import SettingsError
from service.usage.client import Address, AddressError
from service.usage.embedded import Embedded, EngineError, executables

log = logging.getLogger(__name__)

VARIABLE: Final = "REDIS_URL"


class Engine(Protocol):
    """Where shared state and the usage stream are."""

    @property
    def kind(self) -> str:
        """Which of the three, as `/healthz` calls it."""

    @property
    def address(self) -> Address | None:
        """For our own clients; None: in this process, there is nothing to connect to."""

    @property
    def url(self) -> str | None:
        """For other consumers, without a password."""

    async def aclose(self) -> None:
        """Leave it; whoever leaves the embedded one last ends it."""


async def resolve(environ: Mapping[str, str], data: Path) -> Engine:
    """Find the engine, starting one where it must be.

    Args:
        environ: For REDIS_URL and PATH.
        data: The data folder, which exists.

    Raises:
        SettingsError: REDIS_URL cannot be understood.
    """
    url = environ.get(VARIABLE, "").strip()
    if url:
        try:
            return External(Address.parse(url))
        except AddressError as failure:
            raise SettingsError(f"{VARIABLE}: {failure}") from None
    try:
        return await Embedded.start(data, await executables(environ.get("PATH", "")))
    except EngineError as failure:
        log.warning("usage is counted in this process only, without an engine: %s", failure)
        return InProcess()


class External:
    """A Redis that others run."""

    kind: Final = "redis"

    def __init__(self, address: Address) -> None:
        """Nothing is sent: it may be away for now."""
        self.address: Address | None = address
        self.url: str | None = address.url

    async def aclose(self) -> None:
        """Nothing was opened."""


class InProcess:
    """None: state is this process' own, and the journal is aggregated directly."""

    kind: Final = "in-process"
    address: Address | None = None
    url: str | None = None

    async def aclose(self) -> None:
        """Nothing was opened."""
