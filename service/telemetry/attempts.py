"""The facts of one attempt that is over, for everybody who counts attempts."""

from dataclasses import dataclass
from typing import Protocol

from adapters.events import Error, Outcome, Role, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFacts:
    """One attempt, from its start to its end. Times in seconds."""

    stream: str
    attempt: int
    provider: str
    model: str
    role: Role
    outcome: Outcome
    error: Error | None
    usage: Usage
    """The provider's word, or an estimate marked as such."""
    committed: bool
    """Whether it answered, or began to."""
    hedged: bool
    """Whether its request was hedged or raced, so that this one won or lost."""
    started: float
    """Monotonic."""
    ttft: float | None
    """From its start to its first content; None where none came."""
    duration: float
    use_case: str
    tier: str
    substitute: bool
    """Whether it stood in for somebody else."""
    saved: float | None = None
    """How much longer the request's first attempt would have been silent when this one answered:
    an estimate, of a hedge or in a race; None where it was not so, or nothing is known."""
    charged: bool = True
    """Whether the provider may charge for it: nobody does for a request that was refused."""


class Witness(Protocol):
    """Who hears of every attempt that was sent, once, when it is over."""

    def attempt_over(self, facts: AttemptFacts) -> None:
        """Count it; called on the event loop, must not raise."""
