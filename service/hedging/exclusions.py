"""When not to hedge: what speaks against it before any money is counted.

Two questions, each a function of facts. `of_request`: may this request be sent twice at all? It is
asked once, and a reason means that no delay is armed. `of_candidate`: may this candidate be the
second one, now? It is asked of each when the delay is over. Both answer with the reason, which is
also the name under which the metrics count it; `Denied` holds those of the budgets and of the
overload too, so that "why was this not hedged" has one vocabulary.

What is safe and therefore not asked: tools that the client runs itself (nothing runs before an
answer is committed) and any temperature (only one answer is ever shown). What a request here cannot
ask for is not asked either: tools that a provider runs and that have effects, answers that continue
what is stored there, several answers at once. docs/hedging.md, when not to hedge.
"""

from dataclasses import dataclass
from enum import StrEnum


class Denied(StrEnum):
    """Why a hedge was not started."""

    NOT_BUDGETED = "not_budgeted"
    """The tier's cap does not hold the first candidate and another one together."""
    INPUT_TOO_LONG = "input_too_long"
    """Sending so many input tokens twice costs more than the time is worth."""
    UPLOADS = "uploads"
    """Images or files would travel twice."""
    NO_CANDIDATE = "no_candidate"
    """Nobody else may answer this request."""
    ATTEMPTS_SPENT = "attempts_spent"
    DEADLINE_NEAR = "deadline_near"
    """Less is left than the candidate usually takes."""
    SAME_DOMAIN = "same_domain"
    """What slows one down slows the other down too."""
    UNHEALTHY = "unhealthy"
    """The candidate's breaker is open, or it is cooling down, or disabled."""
    LIMIT_NEAR = "limit_near"
    """The candidate's rate limit has less than a tenth left."""
    CACHE_LOST = "cache_lost"
    """Most of the prompt is cached at the first provider and not at this one."""
    REQUEST_BUDGET = "request_budget"
    COST_BUDGET = "cost_budget"
    BURST = "burst"
    """Too many extra requests within the last seconds."""
    CORRELATED = "correlated"
    """Several providers are late at once: more requests would not help."""
    RATE_LIMITED = "rate_limited"
    """Providers are turning requests away."""
    LOOP_LAG = "loop_lag"
    """This process is late itself, so it cannot tell who else is."""
    HEDGES_LOSE = "hedges_lose"
    """Hedges have not been winning lately."""


MOST_INPUT = 32_000
"""Input tokens up to which a request is hedged. What they cost is the budget's to say; this keeps
one prompt from emptying it. Simulated: leaving out 20 k prompts too saves a third of the extra cost
(2.1 % instead of 3.2 %) and costs 10 % at p99.9."""
LEAST_HEADROOM = 0.10
MOST_CACHED = 0.50


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """What a request is, as far as hedging cares. The defaults speak against nothing."""

    input_tokens: float = 0
    """Estimated."""
    budgeted: bool = True
    uploads: bool = False
    candidates: int = 2
    max_attempts: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateFacts:
    """What a candidate is to a request that is already waiting for another one."""

    same_domain: bool = False
    """Shares region or deployment with an attempt that is running."""
    healthy: bool = True
    headroom: float = 1.0
    """Share of the tighter of its request and token limits that is left."""
    cached_there: float = 0.0
    """Share of the input expected to be cached at the running provider."""
    cached_here: float = 0.0
    time_left: float = float("inf")
    """Seconds until the request's deadline."""
    usual: float = 0.0
    """Seconds in which half of this candidate's first tokens come."""


def of_request(facts: RequestFacts, *, most_input: float = MOST_INPUT) -> Denied | None:
    """Why this request is not hedged at all; None if it may be."""
    reasons = (
        (not facts.budgeted, Denied.NOT_BUDGETED),
        (facts.input_tokens > most_input, Denied.INPUT_TOO_LONG),
        (facts.uploads, Denied.UPLOADS),
        (facts.candidates < 2, Denied.NO_CANDIDATE),  # noqa: PLR2004 - a hedge needs a second one
        (facts.max_attempts < 2, Denied.ATTEMPTS_SPENT),  # noqa: PLR2004 - and a second attempt
    )
    return next((reason for speaks, reason in reasons if speaks), None)


def of_candidate(facts: CandidateFacts) -> Denied | None:
    """Why this candidate is not the second one; None if it may be."""
    reasons = (
        (facts.same_domain, Denied.SAME_DOMAIN),
        (not facts.healthy, Denied.UNHEALTHY),
        (facts.headroom < LEAST_HEADROOM, Denied.LIMIT_NEAR),
        (facts.cached_there > MOST_CACHED and facts.cached_here <= 0, Denied.CACHE_LOST),
        (facts.time_left < facts.usual, Denied.DEADLINE_NEAR),
    )
    return next((reason for speaks, reason in reasons if speaks), None)
