"""What routing decides: facts only, made by the policy and used by the relay."""

from dataclasses import dataclass
from enum import StrEnum

from adapters.contract import Endpoint, Model
from adapters.request import ChatRequest, Latency, Tier, UseCase


class Reason(StrEnum):
    """Why somebody is no candidate."""

    NO_KEY = "no_key"
    NO_ADDRESS = "no_address"
    DISABLED = "disabled"
    """By the operator."""
    RETIRED = "retired"
    EXCLUDED = "excluded"
    """By the request."""
    OVER_CAP = "over_cap"
    CONTEXT_TOO_SMALL = "context_too_small"
    NO_TOOLS = "no_tools"
    NO_IMAGES = "no_images"
    KEY_REFUSED = "key_refused"
    QUOTA_SPENT = "quota_spent"
    BREAKER_OPEN = "breaker_open"
    COOLING_DOWN = "cooling_down"
    """It said when to come back."""
    LIMIT_REACHED = "limit_reached"
    """Ours for it: requests or tokens a minute, or streams at once."""
    OVER_LIMIT = "over_limit"
    """Larger than what it may be sent in a whole minute: no waiting makes room."""


FOR_THE_MOMENT = frozenset(
    {Reason.QUOTA_SPENT, Reason.BREAKER_OPEN, Reason.COOLING_DOWN, Reason.LIMIT_REACHED}
)
"""Reasons that pass by themselves."""


class Kinship(StrEnum):
    """What a substitute has in common with what it stands for, the closest first."""

    SAME_WEIGHTS = "same_weights"
    SAME_NAME = "same_name"
    """The same model by name; quantisation, context and price may differ."""
    SAME_FAMILY = "same_family"
    SAME_CLASS = "same_class"
    OTHER = "other"
    """Nothing but that it can answer."""


@dataclass(frozen=True, slots=True)
class Substitute:
    """What a candidate stands for, where it does."""

    provider: str
    model: str
    kinship: Kinship


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate: one model at one configured provider."""

    endpoint: Endpoint
    model: Model
    cost_usd: float | None = None
    """Estimated, at catalog prices; None where no price is known."""
    ttft_s: float | None = None
    """Usual time to its first token for such a prompt, seconds; None where too little is known."""
    substitute: Substitute | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A provider, or one of its models, that is no candidate, and why."""

    provider: str
    model: str | None
    """The model's id, where the skipping is about one."""
    reason: Reason
    detail: str | None = None
    """The reason in words with its figures, fit for a client."""
    retry_after_s: float | None = None
    """When it may be over, for a reason that passes."""


_NORMAL = Latency()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The candidates in order, never empty, and how they came about."""

    policy: str
    """Which rule chose: `table:<use case>`, `pinned`, `model`, `ordered`."""
    choices: tuple[Choice, ...]
    request: ChatRequest
    """What is asked: the client's request with what its preset adds."""
    skipped: tuple[Skipped, ...] = ()
    preferred: Skipped | None = None
    """The first choice where it could not serve: what `fallback_used` is about."""
    use_case: UseCase = UseCase.CONVERSATION
    tier: Tier = Tier.STANDARD
    cap_usd: float | None = None
    """The most that the request may be estimated to cost; None where nothing caps it."""
    latency: Latency = _NORMAL
    """As asked, by the preset, or by the use case."""
    width: int = 1
    """How many a race starts at once: as many as the cap allows."""
    max_attempts: int = 1
    hedge_after_s: float | None = None
    """Silence after which the first candidate is hedged, as it stands now."""
    input_tokens: int = 0
    """Estimated."""
    output_tokens: int = 0
    """Expected."""
    route: str = ""
    """Whose hedging budget it shares: `preset:<name>`, or the use case."""
