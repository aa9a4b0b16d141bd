"""What the policy asks about the moment: prices, health, speed and limits, as they stand now.

Protocols, because who knows these things lives above routing, or in a room of its own.
"""

from dataclasses import dataclass
from typing import Protocol

from adapters.contract import Model, Provider
from service.routing.health import Health, Target


class Prices(Protocol):
    """Who knows what a request costs."""

    def estimate(
        self, provider: Provider, model: Model, input_tokens: int, output_tokens: int, at: float
    ) -> float | None:
        """US dollars at catalog prices; None where no price is known. `at`: Unix seconds."""


class Speeds(Protocol):
    """Who has measured first tokens."""

    def usual(
        self, target: Target, input_tokens: int, now: float, *, reasoning: bool
    ) -> float | None:
        """Median time to the first token, seconds; None where too little is known."""


class Limits(Protocol):
    """Who keeps the providers' limits."""

    def wait(self, provider: str, tokens: int, now: float, *, model: str | None = None) -> float:
        """Seconds until a request of so many tokens may be sent there; 0: now, `inf`: never.

        `model`: to count what the provider says of that model, too.
        """


@dataclass(frozen=True, slots=True)
class View:
    """Everything about the moment that a decision looks at."""

    prices: Prices
    health: Health
    speeds: Speeds
    limits: Limits
