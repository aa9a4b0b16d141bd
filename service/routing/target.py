"""The `model` field's forms, told apart.

`auto`, `auto:<use_case>`, `auto:<use_case>@<tier>` leave the choice to the policy; `preset:<name>`
names a configured bundle; `<provider>/<model or alias>` and `<provider>/auto` pin a provider (the
first segment decides, so a hub's ids keep their own slashes); anything else is a bare model id,
served by whoever lists it.
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
class Pinned:
    """Only this provider; `model` None means its best for the request."""

    provider: str
    model: str | None


@dataclass(frozen=True, slots=True)
class Bare:
    """This model, from any provider that serves it."""

    model: str


Target = Auto | Pinned | Bare


def parse(model: str, providers: Container[str]) -> Target:
    """Tell which form `model` has; `providers` are the known names.

    Raises RequestError: `invalid_request` for an unknown use case or tier, `not_found` for an
    unknown preset, both with `param` model.
    """
    if model == "auto":
        return Auto()
    if model.startswith("auto:"):
        return _auto(model.removeprefix("auto:"))
    if model.startswith("preset:"):
        raise _refusal(ErrorCode.NOT_FOUND, f"no preset is called {model[7:71]!r}")
    provider, slash, rest = model.partition("/")
    if slash and provider in providers:
        if not rest:
            raise _refusal(
                ErrorCode.INVALID_REQUEST,
                f"{model!r} names no model: <provider>/<model> or <provider>/auto",
            )
        return Pinned(provider, None if rest == "auto" else rest)
    return Bare(model)


def _auto(rest: str) -> Auto:
    use_case, at, tier = rest.partition("@")
    if use_case not in set(UseCase):
        raise _refusal(
            ErrorCode.INVALID_REQUEST,
            f"use case {use_case[:64]!r} is not one of {', '.join(UseCase)}",
        )
    if at and tier not in set(Tier):
        raise _refusal(
            ErrorCode.INVALID_REQUEST, f"tier {tier[:64]!r} is not one of {', '.join(Tier)}"
        )
    return Auto(UseCase(use_case), Tier(tier) if at else None)


def _refusal(code: ErrorCode, message: str) -> RequestError:
    return RequestError(make(code, message, param="model", phase=Phase.BEFORE_STREAM))
