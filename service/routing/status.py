"""How a provider is doing, in one word and why: the same wherever providers are listed.

The word says what becomes of requests. A provider whose key was refused is not asked, whoever
switched it off, and so is `disabled`; one that is slow is asked less and less, and so is `degraded`
like one of which a model fails or rests.

Deciding only: `now` is an argument. Left out: the words in which a request is told why somebody was
passed over (`shown`), which are about one model and one request.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from adapters.contract import Endpoint, Provider
from adapters.events import ErrorCode
from service.endpoints import Inactive
from service.routing.health import Health, State, Target
from service.routing.plan import Reason
from service.routing.shown import WORDS


class Status(StrEnum):
    """What becomes of requests to a provider."""

    ACTIVE = "active"
    """It is asked."""
    DEGRADED = "degraded"
    """It is asked, but some of its models get fewer requests or none."""
    INACTIVE = "inactive"
    """It lacks a key or an address."""
    DISABLED = "disabled"
    """It is not asked: switched off, its key refused or its quota spent."""
    RETIRED = "retired"
    """Its owner has closed it."""


_OF_INACTIVE: Final[Mapping[str, Status]] = {
    "no_key": Status.INACTIVE,
    "no_address": Status.INACTIVE,
    "disabled": Status.DISABLED,
    "retired": Status.RETIRED,
}
_AILMENTS: Final = {
    State.SLOW: "slow",
    State.OPEN: "failing",
    State.COOLING: "cooling down",
}
_KEY_TROUBLE: Final = {
    ErrorCode.AUTH_PROVIDER: "its key was refused; it is asked again once it is enabled anew",
    ErrorCode.QUOTA_PROVIDER: "its quota is spent; it is tried again from time to time",
}


def status_of(
    entry: Endpoint | Inactive, health: Health, now: float, *, over_api: bool
) -> tuple[Status, str | None]:
    """A provider's status, and in words why it is not active.

    `over_api`: whether the admin API switched it off, where it is. `now`: monotonic seconds.
    """
    if isinstance(entry, Inactive):
        why = why_inactive(entry)
        if entry.reason == "disabled":
            why = f"disabled {'over the API' if over_api else 'in the configuration'}"
        return _OF_INACTIVE[entry.reason], why
    trouble = _key_trouble(entry.provider, health, now)
    if trouble is not None:
        return Status.DISABLED, trouble
    ailments = "; ".join(_ailments(entry.provider, health, now))
    return (Status.DEGRADED, ailments) if ailments else (Status.ACTIVE, None)


def why_inactive(entry: Inactive) -> str:
    """What keeps a provider from being asked, without its name."""
    provider = entry.provider
    reasons = {
        "no_key": f"no key: set {' or '.join(provider.key_vars)}",
        "no_address": f"no address: set {provider.address_var}",
        "disabled": WORDS[Reason.DISABLED],
        "retired": provider.retired or WORDS[Reason.RETIRED],
    }
    return reasons[entry.reason]


def _key_trouble(provider: Provider, health: Health, now: float) -> str | None:
    """What is wrong with its key, which speaks against each of its models alike."""
    for model in provider.models[:1]:
        standing = health.standing(Target(provider.name, model.id), now)
        if standing.state is State.DISABLED:
            return _KEY_TROUBLE[standing.cause or ErrorCode.AUTH_PROVIDER]
    return None


def _ailments(provider: Provider, health: Health, now: float) -> Iterator[str]:
    """What is wrong with each of its listed models."""
    for model in provider.models:
        state = health.standing(Target(provider.name, model.id), now).state
        if state in _AILMENTS:
            yield f"{model.alias or model.id} is {_AILMENTS[state]}"
