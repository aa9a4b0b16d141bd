"""The `model` field's forms, told apart.

`auto`, `auto:<use_case>`, `auto:<use_case>@<tier>` leave the choice to the policy; `preset:<name>`
names a configured bundle; `<provider>/<model or alias>` and `<provider>/auto` pin a provider (the
first segment decides, so a hub's ids keep their own slashes); anything else is a bare model id,
served by whoever lists it. What has a health of its own is `service.routing.health.Target`.
"""

from collections.abc import Container
from dataclasses import dataclass

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from adapters.request import Tier, UseCase


@dataclass(frozen=True, slots=True)
class Auto:
    """The policy chooses; None leaves the request's own field in force."""

    use_case: UseCase | None = None
    tier: Tier | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """The policy chooses for a configured bundle, by its name in the settings."""

    name: str


@dataclass(frozen=True, slots=True)
class Pinned:
    """Only this provider; `model` None means its best for the request."""

    provider: str
    model: str | None


@dataclass(frozen=True, slots=True)
class Bare:
    """This model, from any provider that serves it."""

    model: str


Wanted = Auto | Preset | Pinned | Bare


def parse(model: str, providers: Container[str]) -> Wanted:
    """Tell which form `model` has; `providers` are the known names.

    Raises RequestError: `invalid_request`, with `param` model, for an unknown use case or tier and
    for a provider without a model or before a form that has none. Whether a preset exists is not
    looked at.
    """
    if model == "auto":
        return Auto()
    if model.startswith("auto:"):
        return _auto(model.removeprefix("auto:"))
    if model.startswith("preset:"):
        return Preset(model.removeprefix("preset:").replace("-", "_"))
    provider, slash, rest = model.partition("/")
    if slash and provider in providers:
        fault = misnamed(provider, rest)
        if fault is not None:
            raise _refusal(fault)
        return Pinned(provider, None if rest == "auto" else rest)
    return Bare(model)


_ALONE = ("auto:", "auto@", "preset:")
"""What begins a form that stands without a provider before it."""


def misnamed(provider: str, model: str) -> str | None:
    """What is wrong with `<provider>/<model>`, with the forms that exist; None where nothing is.

    `claude/auto:analysis` is nobody's model: it would go upstream as one and fail there.
    """
    name = f"{provider}/{model}"
    if not model:
        return f"{name[:64]!r} names no model: {_FORMS}"
    if model.startswith(_ALONE):
        return (
            f"{name[:64]!r} is none of the forms: {_FORMS}, with use_case and budget_tier beside "
            "it, or auto:<use_case>@<tier> and preset:<name> without a provider"
        )
    return None


_FORMS = "<provider>/<model> or <provider>/auto"


def _auto(rest: str) -> Auto:
    use_case, at, tier = rest.partition("@")
    if use_case not in set(UseCase):
        raise _refusal(f"use case {use_case[:64]!r} is not one of {', '.join(UseCase)}")
    if at and tier not in set(Tier):
        raise _refusal(f"tier {tier[:64]!r} is not one of {', '.join(Tier)}")
    return Auto(UseCase(use_case), Tier(tier) if at else None)


def _refusal(message: str) -> RequestError:
    return RequestError(
        make(ErrorCode.INVALID_REQUEST, message, param="model", phase=Phase.BEFORE_STREAM)
    )
