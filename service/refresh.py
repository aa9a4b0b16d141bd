"""`tailrace catalog refresh`: ask the providers which models they serve, and keep what they said.

Everybody with a key is asked at once, at the address and with the key that a question would use.
Whoever fails is told in one line and keeps what was known of it; the others go on. Nothing asks by
itself, at the start or later: this command is the only way.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from adapters.clients.listing import list_models
from adapters.contract import Endpoint
from adapters.errors import UpstreamError
from service.discovery import Discovery, Found, compare
from service.endpoints import Inactive
from service.routing.status import why_inactive

WAIT: Final = 30.0
"""Seconds for a provider's whole list; OpenRouter's, of 900 models, takes two or three."""

Answer = Found | str
"""What a provider's list said, or in words why there is none."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What came of it."""

    discovery: Discovery
    """With what was known before of those who were not asked, or failed."""
    answers: Mapping[str, Answer]
    """By provider, in the order in which they are listed."""

    @property
    def succeeded(self) -> bool:
        """Whether anybody gave a list."""
        return any(isinstance(answer, Found) for answer in self.answers.values())

    def lines(self) -> list[str]:
        """For a person, a line for each provider."""
        return [f"{name:12} {_told(answer)}" for name, answer in self.answers.items()]


async def refresh(
    endpoints: Mapping[str, Endpoint | Inactive],
    known: Discovery,
    *,
    at: str,
    wait: float = WAIT,
) -> Refreshed:
    """Ask everybody who can be asked.

    Args:
        endpoints: Those to ask; who is inactive is told so.
        known: What was found before.
        at: Now, ISO 8601 in UTC.
        wait: Seconds for one provider.
    """
    async with asyncio.TaskGroup() as group:
        tasks = {
            name: group.create_task(_ask(endpoint, at, wait))
            for name, endpoint in endpoints.items()
        }
    answers = {name: task.result() for name, task in tasks.items()}
    found = {name: answer for name, answer in answers.items() if isinstance(answer, Found)}
    return Refreshed(Discovery(providers={**known.providers, **found}), answers)


def run(
    endpoints: Mapping[str, Endpoint | Inactive], known: Discovery, *, now_ms: int
) -> Refreshed:
    """`refresh`, where no loop runs; `now_ms` is Unix time in milliseconds."""
    at = datetime.fromtimestamp(now_ms // 1000, UTC).isoformat().replace("+00:00", "Z")
    return asyncio.run(refresh(endpoints, known, at=at))


async def _ask(endpoint: Endpoint | Inactive, at: str, wait: float) -> Answer:
    if isinstance(endpoint, Inactive):
        return f"not asked: {why_inactive(endpoint)}"
    if endpoint.provider.list_path is None:
        return "not asked: it has no list that tells what it serves"
    try:
        ids = await list_models(endpoint, wait=wait)
    except UpstreamError as error:
        return f"failed: {error.error.message}"
    except Exception as fault:  # noqa: BLE001 - one address or list that we stumble over is one line
        # Without its text, which may hold what the provider sent, or the key.
        return f"failed: its list cannot be asked for ({type(fault).__name__})"
    return compare(endpoint.provider.models, ids, at)


def _told(answer: Answer) -> str:
    if isinstance(answer, str):
        return answer
    gone = f": {', '.join(answer.gone)}" if answer.gone else ""
    return f"{len(answer.ids)} listed, {len(answer.new)} new, {len(answer.gone)} gone{gone}"
