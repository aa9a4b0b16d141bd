"""Who asks when, and for what: made-up clients with habits.

Each client has its hours (UTC), its weekends and its mix of use cases and tiers. Requests of one
come independently of one another at a rate that changes by the hour: drawn at the highest rate, and
each kept with the chance that its hour has of it (thinning, Lewis and Shedler 1979).

The same luck and the same moment give the same requests.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final, TypeVar

from adapters.request import Tier, UseCase

Word = TypeVar("Word")

DAY: Final = 86_400.0  # seconds

_HOUR: Final = 3_600.0
_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Somebody who asks."""

    name: str
    hours: tuple[int, ...]
    """Requests in each hour of a working day, from midnight UTC."""
    weekend: float
    """The part of them that comes on a Saturday or a Sunday."""
    use_cases: Mapping[UseCase, int]
    """With their weights; `tiers` the same."""
    tiers: Mapping[Tier, int]
    hedged: float
    """The part of its requests for which a second provider is asked where the first is slow."""

    def rate(self, at: float) -> float:
        """Requests an hour at that moment, Unix seconds."""
        moment = datetime.fromtimestamp(at, UTC)
        share = self.weekend if moment.weekday() >= _SATURDAY else 1.0
        return self.hours[moment.hour] * share


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request, as far as it is known before anybody answers."""

    at: float
    """Unix seconds."""
    client: str
    use_case: UseCase
    tier: Tier
    hedged: bool


def asks(luck: Random, *, since: float, until: float) -> list[Ask]:
    """All requests between two moments, Unix seconds, in their order."""
    found = [ask for client in CLIENTS for ask in _of(client, luck, since, until)]
    return sorted(found, key=lambda ask: ask.at)


def _of(client: Client, luck: Random, since: float, until: float) -> Iterator[Ask]:
    most = max(client.hours)
    at = since
    while (at := at + luck.expovariate(most / _HOUR)) < until:
        if luck.random() * most < client.rate(at):
            yield Ask(
                at=at,
                client=client.name,
                use_case=_drawn(luck, client.use_cases),
                tier=_drawn(luck, client.tiers),
                hedged=luck.random() < client.hedged,
            )


def _drawn(luck: Random, weights: Mapping[Word, int]) -> Word:
    (word,) = luck.choices(list(weights), list(weights.values()))
    return word


CLIENTS: Final = (
    Client(
        name="demo-web",
        hours=(
            3,
            2,
            1,
            1,
            1,
            2,
            6,
            14,
            24,
            30,
            32,
            30,
            26,
            28,
            30,
            30,
            28,
            24,
            20,
            18,
            16,
            12,
            8,
            5,
        ),
        weekend=0.5,
        use_cases={
            UseCase.CONVERSATION: 5,
            UseCase.QUESTION_ANSWERING: 4,
            UseCase.WEB_SEARCH: 1,
            UseCase.TRANSLATION: 1,
        },
        tiers={Tier.ECONOMY: 3, Tier.STANDARD: 6, Tier.PREMIUM: 1},
        hedged=0.25,
    ),
    Client(
        name="demo-editor",
        hours=(0, 0, 0, 0, 0, 0, 1, 5, 11, 14, 14, 12, 7, 11, 14, 14, 12, 7, 3, 2, 2, 1, 1, 0),
        weekend=0.15,
        use_cases={UseCase.CODE_GENERATION: 6, UseCase.ANALYSIS: 2, UseCase.EXPERT: 1},
        tiers={Tier.STANDARD: 4, Tier.PREMIUM: 4, Tier.ENTERPRISE: 1},
        hedged=0.1,
    ),
    Client(
        name="demo-batch",
        hours=(0, 40, 70, 70, 30, 5, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        weekend=1.0,
        use_cases={
            UseCase.CLASSIFICATION: 5,
            UseCase.DATA_EXTRACTION: 4,
            UseCase.SUMMARIZATION: 3,
        },
        tiers={Tier.ECONOMY: 5, Tier.STANDARD: 1},
        hedged=0.0,
    ),
    Client(
        name="demo-support",
        hours=(4, 3, 3, 2, 2, 3, 5, 7, 9, 9, 8, 8, 8, 8, 9, 9, 8, 8, 7, 7, 6, 6, 5, 4),
        weekend=0.8,
        use_cases={
            UseCase.CONVERSATION: 4,
            UseCase.TRANSLATION: 2,
            UseCase.SUMMARIZATION: 2,
            UseCase.CLASSIFICATION: 1,
        },
        tiers={Tier.ECONOMY: 3, Tier.STANDARD: 2},
        hedged=0.3,
    ),
    Client(
        name="demo-research",
        hours=(0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 4, 3, 2, 3, 4, 4, 3, 2, 1, 1, 1, 0, 0, 0),
        weekend=0.3,
        use_cases={
            UseCase.LONG_CONTEXT: 2,
            UseCase.ANALYSIS: 3,
            UseCase.EXPERT: 2,
            UseCase.CREATIVE_WRITING: 1,
        },
        tiers={Tier.PREMIUM: 3, Tier.ENTERPRISE: 2},
        hedged=0.0,
    ),
)
