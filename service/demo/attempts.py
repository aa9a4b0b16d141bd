"""What became of a made-up request: its attempts, as the usage events that the service would write.

Who is asked is the routing policy's own decision over the packaged table, with every provider that
a key is enough for, and what it costs is the service's own arithmetic over the catalog's price of
that moment. Luck says the rest: how long a prompt is, how long an answer takes, who refuses, breaks
off or is overtaken by a hedge, and which provider has a bad hour.

That it is made up is in every event: `provider` is `demo`, the model's name says whom it imitates
(`claude/claude-sonnet-5-5 (demo)`) and so does `price_ref`, and there is a tag `demo`.

Nothing here reads a clock; the same luck and the same requests give the same events.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Final
from uuid import UUID

from adapters.catalog.prices import Prices
from adapters.errors import make
from adapters.events import Error, ErrorCode, Outcome, Role, Usage, UsageSource
from adapters.registry import COMPATIBLE, PROVIDERS
from adapters.request import ChatRequest, Tier, UseCase
from adapters.tokens import UNKNOWN
from service import endpoints, ids
from service.demo.traffic import Ask
from service.hedging.hedger import Hedger
from service.hedging.shared import Learned
from service.limits.provider_limits import Limits
from service.routing import policy, table
from service.routing.health import Health
from service.routing.plan import Choice
from service.routing.roster import DEMO
from service.routing.view import View
from service.settings import Settings
from service.telemetry.attempts import AttemptFacts
from service.usage.cost import Cost, cost_of
from service.usage.record import Origin, Progress, Reply, Sent, UsageEvent, finished, interrupted

TAGS: Final = {"demo": "true"}

_NS: Final = 1_000_000_000

_PROMPT: Final = {
    UseCase.CLASSIFICATION: 300,
    UseCase.SUMMARIZATION: 4_000,
    UseCase.ANALYSIS: 6_000,
    UseCase.CODE_GENERATION: 3_500,
    UseCase.TRANSLATION: 900,
    UseCase.QUESTION_ANSWERING: 700,
    UseCase.CREATIVE_WRITING: 400,
    UseCase.DATA_EXTRACTION: 1_800,
    UseCase.CONVERSATION: 1_200,
    UseCase.WEB_SEARCH: 300,
    UseCase.LONG_CONTEXT: 60_000,
    UseCase.EXPERT: 3_000,
}
"""Tokens of a usual prompt."""

_CACHED: Final = frozenset({UseCase.CONVERSATION, UseCase.CODE_GENERATION, UseCase.LONG_CONTEXT})
"""Use cases that send much of what they have sent before."""

_AGAIN: Final = 0.6
"""The part of their requests that does."""

_PACE: Final = {1: (0.3, 180.0), 2: (0.45, 120.0), 3: (0.8, 75.0), 4: (1.4, 50.0)}
"""By class of model: usual seconds to the first token, and tokens a second."""

_STRAGGLERS: Final = 0.04
"""The part of attempts whose first token takes many times as long as usual."""

_PATIENCE: Final = 30.0
"""Seconds until an attempt without a first token is given up."""

_HEDGE_AFTER: Final = 2.5
"""How many usual first tokens a hedge waits for."""

_BAD_TIMES: Final = 36 * 3_600.0
"""Seconds from one provider's bad time to the next one, on average."""

_BAD_TIME: Final = (2 * 3_600.0, 5 * 3_600.0)
"""How long one may take, seconds."""

_BAD: Final = 0.6
"""The part of attempts that fails in one."""


class _Fate(Enum):
    """What is to become of a request's first attempt."""

    WELL = 9_200
    UNCOUNTED = 90
    """It answers, and the provider does not say what it used."""
    REFUSED = 220
    SILENT = 40
    BROKEN = 60
    CANCELLED = 370
    CUT = 20
    """By a crash of the service."""


_REFUSALS: Final = (
    (ErrorCode.OVERLOADED, 529, "the provider is overloaded"),
    (ErrorCode.RATE_LIMIT_PROVIDER, 429, "the provider's rate limit is reached"),
    (ErrorCode.UPSTREAM_5XX, 502, "the provider failed"),
)


@dataclass(frozen=True, slots=True)
class _BadTime:
    """A provider that fails more often than not, between two moments in Unix seconds."""

    provider: str
    since: float
    until: float


@dataclass(slots=True)
class _Request:
    """One request, and the attempts that it has had so far."""

    origin: Origin
    input_tokens: int
    cached: int
    output_tokens: int
    events: list[UsageEvent] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Try:
    """One attempt at somebody, as it is sent."""

    choice: Choice
    role: Role
    at: float
    """Unix seconds."""
    ttft: float
    speed: float
    """Tokens a second."""


class Teller:
    """Tells what became of requests, one after the other."""

    def __init__(self, luck: Random, *, since: float, until: float) -> None:
        """The moments, in Unix seconds, are those between which the requests lie."""
        self._luck = luck
        self._prices = Prices()
        keys = {
            provider.key_vars[0]: "demo" for provider in PROVIDERS.values() if provider.key_vars
        }
        settings = Settings()
        self._known = endpoints.resolve(PROVIDERS, COMPATIBLE, settings, keys)
        self._table = table.build(settings, self._known)
        health = Health()
        self._view = View(self._prices, health, Learned(Hedger(health)), Limits())
        self._now = until
        self._choices: dict[tuple[UseCase, Tier], Sequence[Choice]] = {}
        self._bad_times = tuple(self._drawn_bad_times(since, until))

    def tell(self, ask: Ask) -> list[UsageEvent]:
        """All attempts of a request, in the order in which they were sent."""
        request = self._request(ask)
        first, second, *_ = self._candidates(ask.use_case, ask.tier)
        attempt = self._try(first, Role.PRIMARY, ask.at)
        match self._fate(attempt):
            case _Fate.WELL if ask.hedged and attempt.ttft > self._patience(first):
                self._hedge(request, attempt, second)
            case _Fate.WELL:
                self._answer(request, attempt)
            case _Fate.UNCOUNTED:
                self._answer(request, attempt, source=UsageSource.ESTIMATED)
            case _Fate.REFUSED:
                self._refuse(request, attempt)
                self._fall_back(request, second)
            case _Fate.SILENT:
                self._time_out(request, attempt)
                self._fall_back(request, second)
            case _Fate.BROKEN:
                self._break_off(request, attempt)
                self._fall_back(request, second, Role.CONTINUATION)
            case _Fate.CANCELLED:
                self._cancel(request, attempt)
            case _Fate.CUT:
                self._cut(request, attempt)
        return request.events

    # --- Before it is sent ---

    def _request(self, ask: Ask) -> _Request:
        prompt = round(_PROMPT[ask.use_case] * self._luck.lognormvariate(0, 0.45))
        expected = self._table.use_cases[ask.use_case].output_tokens
        again = ask.use_case in _CACHED and self._luck.random() < _AGAIN
        return _Request(
            Origin(
                request_id=f"rq_{self._id(ask.at).hex}",
                requested_model="auto",
                use_case=ask.use_case,
                tier=ask.tier,
                client_key=ask.client,
                tags=TAGS,
            ),
            input_tokens=max(8, prompt),
            cached=round(prompt * self._luck.uniform(0.4, 0.8)) if again else 0,
            output_tokens=max(4, round(expected * self._luck.lognormvariate(-0.15, 0.5))),
        )

    def _candidates(self, use_case: UseCase, tier: Tier) -> Sequence[Choice]:
        """Whom the policy would ask for a usual request of the kind."""
        key = (use_case, tier)
        if key not in self._choices:
            said = {"role": "user", "content": "word " * _PROMPT[use_case]}
            request = ChatRequest.model_validate(
                {"messages": [said], "use_case": use_case, "budget_tier": tier}
            )
            plan = policy.plan(
                request, self._table, self._known, self._view, 0.0, self._now, shift=False
            )
            self._choices[key] = plan.choices
        return self._choices[key]

    def _try(self, choice: Choice, role: Role, at: float) -> _Try:
        usual, speed = _PACE[choice.model.quality]
        slow = self._luck.uniform(4, 18) if self._luck.random() < _STRAGGLERS else 1.0
        return _Try(
            choice=choice,
            role=role,
            at=at,
            ttft=min(usual * self._luck.lognormvariate(0, 0.35) * slow, _PATIENCE - 1),
            speed=speed * self._luck.lognormvariate(0, 0.2),
        )

    def _patience(self, choice: Choice) -> float:
        usual, _ = _PACE[choice.model.quality]
        return usual * _HEDGE_AFTER

    def _fate(self, attempt: _Try) -> _Fate:
        provider = attempt.choice.endpoint.provider.name
        bad = any(
            time.provider == provider and time.since <= attempt.at < time.until
            for time in self._bad_times
        )
        if bad and self._luck.random() < _BAD:
            return self._luck.choice((_Fate.REFUSED, _Fate.REFUSED, _Fate.SILENT))
        (fate,) = self._luck.choices(list(_Fate), [fate.value for fate in _Fate])
        return fate

    def _drawn_bad_times(self, since: float, until: float) -> Iterator[_BadTime]:
        rows = self._table.use_cases.values()
        names = sorted({one.provider for row in rows for tier in Tier for one in row.prefer[tier]})
        at = since
        while (at := at + self._luck.expovariate(1 / _BAD_TIMES)) < until:
            yield _BadTime(self._luck.choice(names), at, at + self._luck.uniform(*_BAD_TIME))

    # --- How it ends ---

    def _answer(
        self,
        request: _Request,
        attempt: _Try,
        *,
        source: UsageSource = UsageSource.PROVIDER,
        hedged: bool = False,
        saved: float | None = None,
    ) -> None:
        usage = self._usage(request, request.output_tokens, source)
        self._end(
            request,
            attempt,
            Outcome.COMPLETED,
            usage,
            ttft=attempt.ttft,
            took=_took(request, attempt),
            hedged=hedged,
            saved=saved,
        )

    def _hedge(self, request: _Request, first: _Try, second: Choice) -> None:
        """Another one is asked beside the first, and whose content comes first wins."""
        waited = self._patience(first.choice)
        hedge = self._try(second, Role.HEDGE, first.at + waited)
        lead = first.ttft - (waited + hedge.ttft)  # of the hedge, seconds
        if lead > 0:
            self._lose(request, first, until=first.ttft - lead)
            self._answer(request, hedge, hedged=True, saved=lead)
        else:
            self._answer(request, first, hedged=True)
            self._lose(request, hedge, until=first.ttft - waited)

    def _lose(self, request: _Request, attempt: _Try, *, until: float) -> None:
        usage = self._usage(request, 0, UsageSource.ESTIMATED)
        self._end(request, attempt, Outcome.LOST_RACE, usage, took=until, hedged=True)

    def _refuse(self, request: _Request, attempt: _Try) -> None:
        code, status, said = self._luck.choice(_REFUSALS)
        self._end(
            request,
            attempt,
            Outcome.FAILED,
            UNKNOWN,
            took=self._luck.uniform(0.1, 1.5),
            error=make(code, said),
            status=status,
        )

    def _time_out(self, request: _Request, attempt: _Try) -> None:
        error = make(ErrorCode.TIMEOUT_FIRST_TOKEN, "no first token within 30 s")
        usage = self._usage(request, 0, UsageSource.ESTIMATED)
        self._end(request, attempt, Outcome.TIMEOUT, usage, took=_PATIENCE, error=error)

    def _break_off(self, request: _Request, attempt: _Try) -> None:
        error = make(ErrorCode.STREAM_INTERRUPTED, "the provider stopped in the middle")
        self._in_part(request, attempt, Outcome.FAILED, error)

    def _cancel(self, request: _Request, attempt: _Try) -> None:
        self._in_part(request, attempt, Outcome.CANCELLED)

    def _in_part(
        self, request: _Request, attempt: _Try, outcome: Outcome, error: Error | None = None
    ) -> None:
        part = self._luck.uniform(0.05, 0.9)
        usage = self._usage(request, round(request.output_tokens * part), UsageSource.ESTIMATED)
        took = attempt.ttft + request.output_tokens * part / attempt.speed
        self._end(request, attempt, outcome, usage, ttft=attempt.ttft, took=took, error=error)

    def _fall_back(self, request: _Request, choice: Choice, role: Role = Role.FALLBACK) -> None:
        """Another one takes over where the last attempt ended."""
        ended = request.events[-1].data.t_close_ns / _NS
        self._answer(request, self._try(choice, role, ended))

    def _cut(self, request: _Request, attempt: _Try) -> None:
        """A crash: what is known is what had come two seconds before it."""
        part = self._luck.uniform(0.2, 0.8)
        usage = self._usage(request, round(request.output_tokens * part), UsageSource.ESTIMATED)
        opened = round(attempt.at * _NS)
        progress = Progress(
            reply=Reply(http_status=200),
            usage=usage,
            cost=self._cost(attempt, usage),
            first_token_ns=opened + round(attempt.ttft * _NS),
            committed=True,
        )
        until = opened + round((attempt.ttft + request.output_tokens * part / attempt.speed) * _NS)
        request.events.append(
            interrupted(request.origin, self._sent(request, attempt), progress, until)
        )

    # --- Its record ---

    def _end(  # noqa: PLR0913 - one keyword per fact
        self,
        request: _Request,
        attempt: _Try,
        outcome: Outcome,
        usage: Usage,
        *,
        took: float,
        ttft: float | None = None,
        hedged: bool = False,
        saved: float | None = None,
        error: Error | None = None,
        status: int = 200,
    ) -> None:
        facts = AttemptFacts(
            stream=request.origin.request_id,
            attempt=len(request.events) + 1,
            provider=DEMO,
            model=imitation(attempt.choice),
            role=attempt.role,
            outcome=outcome,
            error=error,
            usage=usage,
            committed=ttft is not None,
            hedged=hedged,
            started=0.0,
            ttft=ttft,
            duration=took,
            use_case=request.origin.use_case,
            tier=request.origin.tier,
            substitute=attempt.choice.substitute is not None,
            saved=saved,
            charged=usage is not UNKNOWN,
        )
        reply = Reply(
            http_status=status,
            finish_reasons=("stop",) if outcome is Outcome.COMPLETED else (),
            bytes_in=90 * (usage.output or 0),
            bytes_out=4 * request.input_tokens,
        )
        request.events.append(
            finished(
                request.origin,
                self._sent(request, attempt),
                facts,
                reply=reply,
                cost=self._cost(attempt, usage),
            )
        )

    def _sent(self, request: _Request, attempt: _Try) -> Sent:
        return Sent(
            id=self._id(attempt.at),
            parent=request.events[0].id if request.events else None,
            attempt=len(request.events) + 1,
            provider=DEMO,
            model=imitation(attempt.choice),
            role=attempt.role,
            opened_ns=round(attempt.at * _NS),
            cancel_billing=attempt.choice.endpoint.provider.cancel_billing,
            substitute=attempt.choice.substitute is not None,
        )

    def _usage(self, request: _Request, output: int, source: UsageSource) -> Usage:
        return Usage(
            input=request.input_tokens,
            input_cached=request.cached,
            input_cache_write=None,
            output=output,
            output_reasoning=None,
            total=request.input_tokens + output,
            requests=1,
            source=source,
        )

    def _cost(self, attempt: _Try, usage: Usage) -> Cost:
        provider, model = attempt.choice.endpoint.provider, attempt.choice.model
        price = self._prices.price(provider, model, attempt.at)
        return cost_of(usage, price, target=imitation(attempt.choice), searches=provider.searches)

    def _id(self, at: float) -> UUID:
        return ids.uuid7_of(round(at * 1_000), self._luck.getrandbits(ids.CHANCE))


def imitation(choice: Choice) -> str:
    """What an imitated model is called: `claude/claude-sonnet-5-5 (demo)`."""
    return f"{choice.endpoint.provider.name}/{choice.model.id} ({DEMO})"


def told(luck: Random, asks: Iterable[Ask], *, since: float, until: float) -> list[UsageEvent]:
    """What became of all requests, as far as it was over by `until`; in the order of their ends.

    The moments are Unix seconds, and the requests lie between them.
    """
    teller = Teller(luck, since=since, until=until)
    last = round(until * _NS)
    # A request of which anything lies beyond the end is still running, and nothing is told of it.
    stories = [
        story
        for story in map(teller.tell, asks)
        if all(event.data.t_close_ns <= last for event in story)
    ]
    events = [event for story in stories for event in story]
    return sorted(events, key=lambda event: event.data.t_close_ns)


def _took(request: _Request, attempt: _Try) -> float:
    return attempt.ttft + request.output_tokens / attempt.speed
