"""What routing decides: facts only, made by the policy and used by the relay."""

from dataclasses import dataclass
from typing import Literal

from adapters.contract import Endpoint, Model


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate: one model at one configured provider."""

    endpoint: Endpoint
    model: Model


@dataclass(frozen=True, slots=True)
class Skipped:
    """A provider that was not considered, and why."""

    provider: str
    model: str | None
    """The model's alias or id, where the skipping is about one."""
    reason: Literal["no_key", "no_address", "disabled", "retired", "excluded"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The candidates in order, never empty, and how they came about."""

    policy: str
    choices: tuple[Choice, ...]
    skipped: tuple[Skipped, ...] = ()
    preferred: Skipped | None = None
    """The first choice of the use case where it could not serve: what `fallback_used` is about."""
