"""What is said where nobody can answer: whose fault it is, and what would help.

Three cases, told apart by the reasons that were noted. If any of them passes by itself, it is a 503
that says when to come back: somebody could serve this request, only not now. Else, if the cap was
the reason for any, it is `over_budget` naming the cheapest. Else something is missing that waiting
does not bring, or the request is too large for everybody: 422 with every reason. A provider's limit
is never shown as the caller's own 429.
"""

from collections.abc import Mapping, Sequence

from adapters.catalog.price import usd
from adapters.errors import RequestError, make
from adapters.events import Error, ErrorCode, Phase
from service.routing.plan import FOR_THE_MOMENT, Reason, Skipped
from service.routing.shown import words
from service.routing.sieve import Sieve

_WHY: Mapping[Reason, str] = {
    Reason.NO_KEY: "{} has no key",
    Reason.NO_ADDRESS: "{} has no address",
    Reason.DISABLED: "{} is disabled",
    Reason.RETIRED: "{} is retired",
    Reason.EXCLUDED: "{} is excluded by the request",
}


def nobody(sieve: Sieve) -> RequestError:
    """The error of a request that nobody can answer."""
    skipped = list(sieve.skipped.values())
    if any(skip.reason in FOR_THE_MOMENT for skip in skipped):
        return RequestError(_for_the_moment(skipped))
    if sieve.cheapest is not None:
        return RequestError(_over_budget(sieve, *sieve.cheapest[1].target, sieve.cheapest[0]))
    return RequestError(_impossible(skipped))


def _for_the_moment(skipped: Sequence[Skipped]) -> Error:
    waits = [skip.retry_after_s for skip in skipped if skip.reason in FOR_THE_MOMENT]
    known = [wait for wait in waits if wait is not None]
    return make(
        ErrorCode.NO_CANDIDATES,
        f"nobody can answer at the moment: {_reasons(skipped)}",
        retry_after_ms=max(1, round(min(known) * 1000)) if known else None,
        provider=_only(skipped),
        phase=Phase.BEFORE_STREAM,
    )


def _over_budget(sieve: Sieve, provider: str, model: str, cost: float) -> Error:
    tier, cap = sieve.needs.tier, usd(sieve.needs.cap)
    return make(
        ErrorCode.OVER_BUDGET,
        f"budget_tier {tier} allows ${cap} a request; the cheapest that could answer, "
        f"{provider}/{model}, is estimated at ${usd(cost)}",
        param="budget_tier",
        phase=Phase.BEFORE_STREAM,
    )


def _impossible(skipped: Sequence[Skipped]) -> Error:
    return make(
        ErrorCode.NO_CANDIDATES,
        f"nobody can answer: {_reasons(skipped) or 'no provider is configured'}",
        http=422,
        retryable=False,
        param="model" if len(skipped) == 1 else None,
        provider=_only(skipped),
        phase=Phase.BEFORE_STREAM,
    )


def _only(skipped: Sequence[Skipped]) -> str | None:
    return skipped[0].provider if len(skipped) == 1 else None


def _reasons(skipped: Sequence[Skipped]) -> str:
    return "; ".join(map(_reason, skipped))


def _reason(skip: Skipped) -> str:
    if skip.reason in _WHY:
        return _WHY[skip.reason].format(skip.provider)
    name = skip.provider if skip.model is None else f"{skip.provider}/{skip.model}"
    return f"{name}: {words(skip)}"
