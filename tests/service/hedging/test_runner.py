"""One request's attempts together, against scripted providers: what the log says of them."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest
from typing_extensions import override

from adapters.catalog.price import Price
from adapters.catalog.prices import Prices
from adapters.contract import Call, Encoded, Endpoint, Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.errors import Reached, UpstreamError, make
from adapters.events import (
    AttemptCommit,
    AttemptEnd,
    AttemptStart,
    BlockKind,
    ErrorCode,
    Event,
    Failover,
    Finish,
    Outcome,
    Role,
    Status,
    StreamEnd,
    UsageSource,
    WarningEvent,
)
from adapters.request import ChatRequest, Latency
from service import clock, tasks
from service.hedging.caches import Prompt
from service.hedging.delay import Key
from service.hedging.exclusions import Denied
from service.hedging.runner import Runner
from service.hedging.shared import MEDIAN_HOLDS, Learned, Shared
from service.limits.provider_limits import Limits, ProviderLimits, Reservation
from service.limits.shared_limits import SharedLimits
from service.routing.health import State, Target
from service.routing.plan import Choice, Plan
from service.streams.log import StreamLog, decode
from service.streams.stream import Stream
from service.telemetry.attempts import AttemptFacts
from service.usage.cost import usd
from service.usage.meter import Meter
from service.usage.store import JournalFullError
from tests.double.steps import Gate
from tests.service.scripted import Piece, Scripted, chat, delta, provider
from tests.service.usage.notebook import Notebook

E = TypeVar("E", bound=Event)

CUT = UpstreamError(make(ErrorCode.STREAM_INTERRUPTED, "the connection was reset"))
REFUSED = UpstreamError(make(ErrorCode.UPSTREAM_CONNECT, "refused"))
DOWN = UpstreamError(make(ErrorCode.UPSTREAM_5XX, "internal error"))


class Heard:
    """A witness."""

    def __init__(self) -> None:
        self.facts: list[AttemptFacts] = []

    def attempt_over(self, facts: AttemptFacts) -> None:
        self.facts.append(facts)


@dataclass
class Told:
    """A request that is over."""

    stream: Stream
    events: list[Event]
    heard: Heard
    shared: Shared

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def end(self) -> StreamEnd:
        last = self.events[-1]
        assert isinstance(last, StreamEnd)
        return last

    @property
    def text(self) -> str:
        return self.stream.log.fold().text(BlockKind.TEXT)

    @property
    def kinds(self) -> list[str]:
        return [str(event.__struct_config__.tag) for event in self.events]


@dataclass
class Run:
    """A request to providers, in their order."""

    clients: Mapping[str, Scripted]
    latency: Mapping[str, object] = field(default_factory=dict)
    body: Mapping[str, object] = field(default_factory=dict)
    max_attempts: int = 6
    width: int = 2
    retracts: bool = True
    prefilled: str = ""
    """The one whose model goes on with the beginning of an answer."""
    shared: Shared | None = None
    cost: float | None = None
    """Of each candidate; the tier allows 0.05."""
    faulty: str = ""
    """Whose dialect has a bug."""

    def plan(self) -> Plan:
        return Plan(
            policy="test",
            request=ChatRequest.model_validate(
                {"messages": [{"role": "user", "content": "hi"}], **self.body}
            ),
            choices=tuple(
                replace(
                    _choice(self._provider(name), prefill=name == self.prefilled),
                    cost_usd=self.cost,
                )
                for name in self.clients
            ),
            cap_usd=0.05,
            latency=Latency.model_validate(self.latency),
            max_attempts=self.max_attempts,
            width=self.width,
            input_tokens=12,
            output_tokens=100,
        )

    def _provider(self, name: str) -> Provider:
        made = provider(name)
        return replace(made, dialect=Faulty()) if name == self.faulty else made

    def begin(self) -> Told:
        heard = Heard()
        shared = self.shared or Shared.fresh(heard)
        plan = self.plan()
        stream = Stream(StreamLog("st_1"), plan.request, cancel_after=None)
        runner = Runner(
            stream,
            plan,
            self.clients,
            shared,
            request_id="rq_1",
            retracts=self.retracts,
            arrived=clock.monotonic(),
            on_end=lambda: None,
        )
        runner.begin()
        return Told(stream, [], heard, shared)

    async def told(self) -> Told:
        begun = self.begin()
        return await over(begun, self.clients)


def _choice(acme: Provider, *, prefill: bool) -> Choice:
    endpoint = Endpoint(provider=acme, base_url=acme.base_url or "", key="test-key")
    return Choice(endpoint, replace(acme.models[0], prefill=prefill))


async def over(told: Told, clients: Mapping[str, Scripted]) -> Told:
    """Wait for the end of everything, and read what was said."""
    await told.stream.over()
    for client in clients.values():
        await client.quiet()
    await tasks.settle(patience=1)
    told.events = [decode(entry) for entry in told.stream.log.read(0)]
    return told


# --- Before an answer has begun ---


@pytest.mark.parametrize("failure", [REFUSED, DOWN, CUT])
async def test_a_failure_before_content_is_answered_by_the_next_provider_at_once(
    failure: UpstreamError,
) -> None:
    told = await Run({"a": Scripted(failure), "b": Scripted(*chat("hello"))}).told()
    assert told.text == "hello"
    assert told.end.provider == "b"
    assert [start.role for start in told.all(AttemptStart)] == [Role.PRIMARY, Role.FALLBACK]
    assert [end.outcome for end in told.all(AttemptEnd)] == [Outcome.FAILED, Outcome.COMPLETED]
    assert told.kinds[:3] == ["attempt.start", "attempt.end", "attempt.start"]


async def test_an_error_alone_never_begins_an_answer() -> None:
    broken = b'data: {"error": {"message": "overloaded", "code": 503}}\n\n'
    told = await Run({"a": Scripted(broken), "b": Scripted(*chat("hello"))}).told()
    assert told.text == "hello"
    assert told.all(Failover) == []


async def test_an_exhausted_request_names_every_cause() -> None:
    told = await Run({"a": Scripted(REFUSED), "b": Scripted(DOWN)}).told()
    error = told.end.error
    assert error is not None
    assert error.code is ErrorCode.ALL_ATTEMPTS_FAILED
    assert [cause.code for cause in error.causes or ()] == [
        ErrorCode.UPSTREAM_CONNECT,
        ErrorCode.UPSTREAM_5XX,
    ]
    assert [cause.provider for cause in error.causes or ()] == ["a", "b"]


async def test_one_budget_of_attempts_holds_for_all_of_a_request() -> None:
    clients = {name: Scripted(DOWN) for name in "abcd"}
    told = await Run(clients, max_attempts=3).told()
    assert len(told.all(AttemptStart)) == 3
    assert clients["d"].sent == []


async def test_without_fallback_one_is_asked() -> None:
    clients = {"a": Scripted(DOWN), "b": Scripted(*chat("hello"))}
    told = await Run(clients, body={"fallback": False}).told()
    assert told.end.error is not None
    assert told.end.error.code is ErrorCode.UPSTREAM_5XX
    assert clients["b"].sent == []


async def test_a_reached_limit_sends_the_request_elsewhere_and_is_no_attempt() -> None:
    shared = Shared.fresh()
    shared.limits.configure("a", ProviderLimits(concurrent_streams=1))
    held = shared.limits.reserve("a", 1, clock.monotonic())
    assert held is not None
    clients = {"a": Scripted(*chat("never")), "b": Scripted(*chat("hello"))}
    told = await Run(clients, shared=shared).told()
    assert [end.provider for end in told.all(AttemptStart)] == ["b"]
    assert clients["a"].sent == []
    assert shared.health.standing(Target("a", "a-one"), clock.monotonic()).state is State.CLOSED


async def test_what_an_attempt_reserved_is_given_back_when_it_is_over() -> None:
    shared = Shared.fresh()
    shared.limits.configure("a", ProviderLimits(concurrent_streams=1, tokens_per_minute=10_000))
    await Run({"a": Scripted(*chat("hello"))}, shared=shared).told()
    standing = shared.limits.left("a", clock.monotonic())
    assert standing.streams.used == 0
    assert standing.tokens.used == 4  # what the provider said, not what was reserved


# --- Hedges and races ---


async def test_a_silent_provider_is_hedged_and_the_first_content_wins() -> None:
    never = Gate()
    clients = {"a": Scripted(*chat(never, "slow")), "b": Scripted(*chat("quick"))}
    told = await Run(clients, latency={"strategy": "hedge", "delay_ms": 0}).told()
    assert told.text == "quick"
    assert [start.role for start in told.all(AttemptStart)] == [Role.PRIMARY, Role.HEDGE]
    assert {end.attempt: end.outcome for end in told.all(AttemptEnd)} == {
        1: Outcome.LOST_RACE,
        2: Outcome.COMPLETED,
    }
    assert clients["a"].open == 0


async def test_a_loser_is_in_the_account_as_estimated() -> None:
    clients = {"a": Scripted(*chat(Gate(), "slow")), "b": Scripted(*chat("quick"))}
    told = await Run(clients, latency={"strategy": "hedge", "delay_ms": 0}).told()
    [lost] = [end for end in told.all(AttemptEnd) if end.outcome is Outcome.LOST_RACE]
    assert lost.usage is not None
    assert (lost.usage.input, lost.usage.output) == (12, 0)
    assert lost.usage.source is UsageSource.ESTIMATED
    assert told.end.usage_total.input == 12 + 3
    assert told.end.usage_total.source is UsageSource.ESTIMATED
    assert told.end.usage.source is UsageSource.PROVIDER


class Asked(Prices):
    """The catalog, and the moments whose price it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[float] = []

    @override
    def price(self, provider: Provider, model: Model, at: float) -> Price | None:
        self.moments.append(at)
        return super().price(provider, model, at)


async def test_an_attempt_costs_what_held_when_it_was_sent_however_long_it_took() -> None:
    prices, held = Asked(), Gate()
    run = Run({"a": Scripted(*chat("hel", held, "lo"))})
    run.shared = replace(Shared.fresh(), prices=prices)
    begun = run.begin()
    await held.reached()
    later = clock.now_ns()
    held.open()
    await over(begun, run.clients)
    assert max(prices.moments) <= later / 1e9


async def test_a_race_starts_several_at_once_and_closes_the_losers() -> None:
    clients = {
        "a": Scripted(*chat(Gate(), "slow")),
        "b": Scripted(*chat("quick")),
        "c": Scripted(*chat(Gate(), "slower")),
    }
    told = await Run(clients, latency={"strategy": "race"}, width=3).told()
    assert told.text == "quick"
    assert [start.role for start in told.all(AttemptStart)] == [
        Role.PRIMARY,
        Role.RACE,
        Role.RACE,
    ]
    assert all(client.open == 0 for client in clients.values())


async def test_every_attempt_is_told_to_the_witnesses_once() -> None:
    clients = {"a": Scripted(*chat(Gate(), "slow")), "b": Scripted(*chat("quick"))}
    told = await Run(clients, latency={"strategy": "race"}).told()
    heard = {facts.attempt: facts for facts in told.heard.facts}
    assert len(told.heard.facts) == 2
    assert heard[1].outcome is Outcome.LOST_RACE
    assert not heard[1].committed
    assert heard[2].committed
    assert heard[2].ttft is not None
    assert all(facts.hedged for facts in told.heard.facts)


async def test_a_request_that_is_cancelled_cancels_all_of_its_attempts() -> None:
    clients = {"a": Scripted(*chat(Gate(), "slow")), "b": Scripted(*chat(Gate(), "slow"))}
    begun = Run(clients, latency={"strategy": "race"}).begin()
    await asyncio.sleep(0)
    begun.stream.cancel("by the caller")
    told = await over(begun, clients)
    assert told.end.finish is Finish.CANCELLED
    assert [end.outcome for end in told.all(AttemptEnd)] == [Outcome.CANCELLED] * 2


# --- After an answer has begun ---


async def test_a_broken_answer_is_taken_back_and_begun_again() -> None:
    clients = {"a": Scripted(delta("hel"), CUT), "b": Scripted(*chat("hello"))}
    told = await Run(clients).told()
    assert told.text == "hello"
    [failover] = told.all(Failover)
    assert (failover.from_attempt, failover.to, failover.mode) == (1, 2, "restart")
    assert failover.drop == ["b1.0"]
    assert failover.must_understand
    at = told.kinds.index("failover")
    assert told.kinds[at + 1] == "attempt.commit"
    commits = told.all(AttemptCommit)
    assert [commit.reason for commit in commits] == ["first_content", "failover"]
    assert told.end.status is Status.COMPLETED
    first, second = told.all(AttemptEnd)
    assert first.usage is not None
    assert (first.usage.output, first.usage.source) == (1, UsageSource.ESTIMATED)
    assert second.outcome is Outcome.COMPLETED


async def test_a_broken_answer_goes_on_in_the_block_that_was_open() -> None:
    clients = {"a": Scripted(delta("The cap"), CUT), "b": Scripted(*chat("cap", "ital is"))}
    told = await Run(clients, body={"after_commit": "continue"}).told()
    assert told.text == "The capital is"
    assert told.kinds.count("block.start") == 1
    assert told.kinds.count("block.end") == 1
    [failover] = told.all(Failover)
    assert failover.mode == "continue"
    assert failover.drop is None
    assert [start.role for start in told.all(AttemptStart)] == [Role.PRIMARY, Role.CONTINUATION]
    asked = clients["b"].sent[0].body["messages"]
    assert asked[1] == {"role": "assistant", "content": "The cap"}
    assert asked[2]["role"] == "user"
    assert told.all(AttemptEnd)[1].usage is not None


async def test_an_answer_that_nobody_can_take_over_ends_with_its_block_closed() -> None:
    clients = {"a": Scripted(delta("The cap"), CUT), "b": Scripted(DOWN)}
    told = await Run(clients, body={"after_commit": "continue"}).told()
    assert told.kinds.count("block.end") == 1
    error = told.end.error
    assert error is not None
    assert error.code is ErrorCode.FAILOVER_IMPOSSIBLE
    assert [cause.code for cause in error.causes or ()] == [
        ErrorCode.STREAM_INTERRUPTED,
        ErrorCode.UPSTREAM_5XX,
    ]
    assert told.end.finish is Finish.INTERRUPTED
    assert told.text == "The cap"


async def test_an_answer_may_be_taken_over_twice() -> None:
    clients = {
        "a": Scripted(delta("One "), CUT),
        "b": Scripted(delta("two "), CUT),
        "c": Scripted(*chat("three")),
    }
    told = await Run(clients, body={"after_commit": "continue"}).told()
    assert told.text == "One two three"
    assert told.kinds.count("block.start") == told.kinds.count("block.end") == 1
    assert [failover.from_attempt for failover in told.all(Failover)] == [1, 2]


async def test_under_fail_a_broken_answer_is_the_end_with_its_own_error() -> None:
    clients = {"a": Scripted(delta("hel"), CUT), "b": Scripted(*chat("hello"))}
    told = await Run(clients, body={"after_commit": "fail"}).told()
    assert told.end.error is not None
    assert told.end.error.code is ErrorCode.STREAM_INTERRUPTED
    assert clients["b"].sent == []
    assert told.text == "hel"


async def test_what_a_reader_cannot_be_told_to_forget_is_not_begun_again() -> None:
    clients = {"a": Scripted(delta("hel"), CUT), "b": Scripted(*chat("hello"))}
    told = await Run(clients, retracts=False).told()
    assert told.end.error is not None
    assert told.end.error.code is ErrorCode.STREAM_INTERRUPTED
    asked = await Run(clients, body={"after_commit": "restart"}, retracts=False).told()
    assert asked.end.error is not None
    assert asked.end.error.code is ErrorCode.FAILOVER_IMPOSSIBLE


async def test_a_model_that_refuses_a_beginning_is_asked_by_a_user_turn_from_then_on() -> None:
    refusal = UpstreamError(make(ErrorCode.INVALID_REQUEST, "no assistant message at the end"))
    clients = {
        "a": Scripted(delta("One "), CUT),
        "b": Scripted(refusal),
        "c": Scripted(*chat("two")),
    }
    shared = Shared.fresh()
    run = Run(clients, body={"after_commit": "continue"}, prefilled="b", shared=shared)
    told = await run.told()
    assert told.text == "One two"
    assert clients["b"].sent[0].body["messages"][-1]["role"] == "assistant"
    await run.told()
    assert clients["b"].sent[1].body["messages"][-1]["role"] == "user"


def test_the_usual_first_token_is_a_median_once_learned_which_holds_for_a_while() -> None:
    shared = Shared.fresh()
    speeds, target = Learned(shared.hedger), Target("acme", "acme-one")

    def usual(now: float, *, reasoning: bool = False) -> float | None:
        return speeds.usual(target, 10, now, reasoning=reasoning)

    def answers(seconds: float, times: int) -> None:
        for _ in range(times):
            shared.hedger.delays.answered(Key(*target, 0, reasoning=False), seconds, 0.0)

    assert usual(0.0) is None
    answers(1.0, 60)
    assert usual(5.0) == pytest.approx(1.0, rel=0.05)
    answers(4.0, 600)
    assert usual(5.0 + MEDIAN_HOLDS / 2) == usual(5.0)
    assert usual(5.0 + MEDIAN_HOLDS) == pytest.approx(4.0, rel=0.05)
    assert usual(5.0 + MEDIAN_HOLDS, reasoning=True) is None


async def test_an_answer_that_nobody_may_go_on_with_is_closed_before_its_attempt_ends() -> None:
    alone = {"a": Scripted(delta("The cap"), CUT)}
    told = await Run(alone, body={"after_commit": "continue"}).told()
    assert told.kinds[-3:] == ["block.end", "attempt.end", "stream.end"]


async def test_a_long_conversation_is_not_hedged_away_from_who_has_read_it() -> None:
    shared = Shared.fresh()
    told = {"role": "user", "content": "x" * 20_000}
    latency = {"strategy": "hedge", "delay_ms": 0}
    first = {"a": Scripted(*chat("hello")), "b": Scripted(*chat("never"))}
    await Run(first, body={"messages": [told]}, shared=shared).told()
    more = [told, {"role": "assistant", "content": "hello"}, {"role": "user", "content": "go on"}]
    plan = Run(first, latency=latency, body={"messages": more}).plan()
    now = clock.monotonic()
    watch = shared.watch(
        plan, plan.choices, plan.request, Prompt(plan.request), arrived=now, at=1.0, now=now
    )
    watch.started(1, 0, Role.PRIMARY, now)
    assert watch.hedge([1], now) is None
    assert shared.hedger.denials == {Denied.CACHE_LOST: 1}


async def test_a_request_whose_tier_holds_only_one_is_not_hedged() -> None:
    shared = Shared.fresh()
    clients = {"a": Scripted(*chat("hello")), "b": Scripted(*chat("never"))}
    run = Run(clients, latency={"strategy": "hedge", "delay_ms": 0}, shared=shared, cost=0.03)
    await run.told()
    assert clients["b"].sent == []
    assert shared.hedger.denials == {Denied.NOT_BUDGETED: 1}


@pytest.mark.parametrize(("named", "hedges"), [(["a", "a"], 1), (None, 0)])
async def test_two_models_of_one_provider_are_hedged_where_the_caller_names_both(
    named: list[str] | None, hedges: int
) -> None:
    plan = Run(
        {"a": Scripted()}, latency={"strategy": "hedge", "delay_ms": 0, "providers": named}
    ).plan()
    [choice] = plan.choices
    sibling = replace(choice, model=replace(choice.model, id="a-two"))
    shared, now = Shared.fresh(), clock.monotonic()
    candidates = (choice, sibling)
    watch = shared.watch(
        plan, candidates, plan.request, Prompt(plan.request), arrived=now, at=1.0, now=now
    )
    watch.started(1, 0, Role.PRIMARY, now)
    assert (watch.hedge([1], now) is not None) == bool(hedges)


# --- Limits, and faults of our own ---


@pytest.mark.parametrize(
    ("reached", "left"), [("unsent", 1_000), ("refused", 1_000), ("taken", 1_000 - 12)]
)
async def test_a_failure_keeps_of_a_limit_what_the_provider_may_have_taken(
    reached: Reached, left: int
) -> None:
    shared = Shared.fresh()
    shared.limits.configure("a", ProviderLimits(tokens_per_minute=1_000, concurrent_streams=1))
    failure = UpstreamError(make(ErrorCode.UPSTREAM_CONNECT, "gone"), reached=reached)
    told = await Run({"a": Scripted(failure)}, shared=shared).told()
    standing = shared.limits.left("a", clock.monotonic())
    assert (standing.tokens.left, standing.streams.left) == (left, 1)
    assert told.heard.facts == []  # this Shared has no witness


async def test_a_candidate_that_cannot_be_asked_is_told_and_takes_no_number() -> None:
    shared = Shared.fresh()
    shared.limits.configure("a", ProviderLimits(concurrent_streams=1))
    assert shared.limits.reserve("a", 1, clock.monotonic()) is not None
    clients = {"a": Scripted(*chat("never")), "b": Scripted(*chat("hello"))}
    told = await Run(clients, shared=shared).told()
    [warning] = told.all(WarningEvent)
    assert warning.code == "candidate_refused"
    assert warning.message == "a/a-one was not asked: the limit of a is reached"
    assert [start.attempt for start in told.all(AttemptStart)] == [1]
    assert told.end.attempts[0].attempt == 1


async def test_a_hedge_that_could_not_be_sent_costs_no_hedge() -> None:
    shared = Shared.fresh()
    shared.limits.configure("b", ProviderLimits(concurrent_streams=100))
    for _ in range(100):
        assert shared.limits.reserve("b", 1, clock.monotonic()) is not None
    run = Run({"a": Scripted(), "b": Scripted()}, latency={"strategy": "hedge"}, shared=shared)
    plan, now = run.plan(), clock.monotonic()
    watch = shared.watch(
        plan, plan.choices, plan.request, Prompt(plan.request), arrived=now, at=1.0, now=now
    )
    watch.started(1, 0, Role.PRIMARY, now)
    before = shared.hedger.saved()[""]
    shared.limits.configure("b", ProviderLimits(concurrent_streams=1_000))
    assert watch.hedge([1], now) == 1
    watch.refused(Role.HEDGE)
    assert shared.hedger.saved()[""] == before


class Elsewhere(SharedLimits):
    """Limits in which others have a say, who take their time."""

    def __init__(self, limits: Limits, *, admits: bool = True) -> None:
        super().__init__(limits)
        self.counter: defaultdict[str, Gate] = defaultdict(Gate)
        """Where those wait who ask for a provider."""
        self.fault: Exception | None = None
        self._own = limits
        self._admits = admits

    @override
    def asks(self, provider: str) -> bool:
        return True

    @override
    async def reserve(
        self, provider: str, tokens: int, *, model: str | None = None, lease: float = 60
    ) -> Reservation | None:
        await self.counter[provider].passed()
        if self.fault is not None:
            raise self.fault
        now = clock.monotonic()
        return self._own.take(provider, tokens, now, lease=lease) if self._admits else None


def elsewhere(*, admits: bool = True) -> tuple[Shared, Elsewhere]:
    shared = Shared.fresh()
    shared.limits.configure("a", ProviderLimits(concurrent_streams=1))
    reservations = Elsewhere(shared.limits, admits=admits)
    return replace(shared, reservations=reservations), reservations


async def test_what_others_have_a_say_in_is_sent_as_soon_as_it_is_admitted() -> None:
    shared, asked = elsewhere()
    clients = {"a": Scripted(*chat("hello"))}
    begun = Run(clients, shared=shared).begin()
    await asked.counter["a"].reached()
    assert clients["a"].sent == []
    asked.counter["a"].open()
    told = await over(begun, clients)
    assert told.text == "hello"
    assert shared.limits.left("a", clock.monotonic()).streams.used == 0


async def test_what_others_do_not_admit_is_asked_of_the_next_one() -> None:
    shared, asked = elsewhere(admits=False)
    clients = {"a": Scripted(*chat("never")), "b": Scripted(*chat("never"))}
    for gate in (asked.counter["a"], asked.counter["b"]):
        gate.open()
    told = await Run(clients, shared=shared).told()
    assert [warning.code for warning in told.all(WarningEvent)] == ["candidate_refused"] * 2
    assert told.end.error is not None
    assert [cause.code for cause in told.end.error.causes or ()] == [
        ErrorCode.RATE_LIMIT_PROVIDER,
        ErrorCode.RATE_LIMIT_PROVIDER,
    ]
    assert told.all(AttemptStart) == []


async def test_a_request_that_is_cancelled_while_it_asks_is_not_sent() -> None:
    shared, asked = elsewhere()
    clients = {"a": Scripted(*chat("never"))}
    begun = Run(clients, shared=shared).begin()
    await asked.counter["a"].reached()
    begun.stream.cancel("by the caller")
    asked.counter["a"].open()
    told = await over(begun, clients)
    assert told.end.finish is Finish.CANCELLED
    assert told.all(AttemptStart) == []
    assert clients["a"].sent == []
    assert shared.limits.left("a", clock.monotonic()).requests.used == 0


async def test_a_request_that_nobody_ever_admits_ends_with_its_time() -> None:
    shared, _ = elsewhere()
    clients = {"a": Scripted(*chat("never"))}
    told = await Run(clients, body={"deadlines": {"total_ms": 50}}, shared=shared).told()
    assert told.end.error is not None
    assert told.end.error.code is ErrorCode.TIMEOUT_TOTAL
    assert told.all(AttemptStart) == []
    assert clients["a"].sent == []


async def test_attempts_are_numbered_as_they_are_admitted() -> None:
    shared, asked = elsewhere()
    clients = {"a": Scripted(*chat("first")), "b": Scripted(*chat(Gate(), "second"))}
    begun = Run(clients, latency={"strategy": "race"}, shared=shared).begin()
    await asked.counter["a"].reached()
    await asked.counter["b"].reached()
    asked.counter["b"].open()
    await turns()
    asked.counter["a"].open()
    told = await over(begun, clients)
    assert [(start.attempt, start.provider) for start in told.all(AttemptStart)] == [
        (1, "b"),
        (2, "a"),
    ]
    assert told.text == "first"


async def test_nobody_is_hedged_who_has_not_been_sent() -> None:
    shared, asked = elsewhere()
    clients = {"a": Scripted(*chat(Gate(), "slow")), "b": Scripted(*chat("quick"))}
    run = Run(clients, latency={"strategy": "hedge", "delay_ms": 0}, shared=shared)
    begun = run.begin()
    await asked.counter["a"].reached()
    await turns()
    assert "b" not in asked.counter
    asked.counter["a"].open()
    asked.counter["b"].open()
    told = await over(begun, clients)
    assert told.text == "quick"
    assert [start.role for start in told.all(AttemptStart)] == [Role.PRIMARY, Role.HEDGE]


async def test_a_hedge_that_is_not_needed_before_it_is_admitted_costs_no_hedge() -> None:
    shared, asked = elsewhere()
    held = Gate()
    clients = {"a": Scripted(*chat(held, "hello")), "b": Scripted(*chat("never"))}
    asked.counter["a"].open()
    run = Run(clients, latency={"strategy": "hedge", "delay_ms": 0}, shared=shared)
    begun = run.begin()
    await asked.counter["b"].reached()
    spent = shared.hedger.saved()[""]
    held.open()
    told = await over(begun, clients)
    assert told.text == "hello"
    assert clients["b"].sent == []
    assert shared.hedger.saved()[""] > spent


async def test_a_fault_while_others_are_asked_ends_the_stream() -> None:
    shared, asked = elsewhere()
    asked.fault = KeyError("a bug")
    asked.counter["a"].open()
    told = await Run({"a": Scripted(*chat("never"))}, shared=shared).told()
    assert told.end.error is not None
    assert told.end.error.code is ErrorCode.INTERNAL


async def test_what_cannot_be_sent_gives_back_what_it_reserved() -> None:
    shared = Shared.fresh()
    shared.limits.configure("a", ProviderLimits(requests_per_minute=5, concurrent_streams=1))
    run = Run({"a": Scripted(*chat("never"))}, shared=shared)
    run.faulty = "a"
    await run.told()
    standing = shared.limits.left("a", clock.monotonic())
    assert (standing.requests.used, standing.streams.used) == (0, 0)


class Faulty(OpenAIChat):
    """A dialect with a bug."""

    @override
    def encode(self, call: Call) -> Encoded:
        raise KeyError("a bug")


@pytest.mark.parametrize("pieces", [[DOWN], [Gate()]], ids=["fallback", "hedge"])
async def test_a_fault_of_ours_ends_the_stream_and_closes_what_runs(pieces: list[Piece]) -> None:
    clients = {"a": Scripted(*pieces), "b": Scripted(*chat("never"))}
    run = Run(clients, latency={"strategy": "hedge", "delay_ms": 0})
    run.faulty = "b"
    told = await run.told()
    assert told.end.error is not None
    assert told.end.error.code is ErrorCode.INTERNAL
    assert "bug" not in told.end.error.message
    assert clients["a"].open == 0


async def test_a_fault_at_the_very_start_ends_the_stream() -> None:
    run = Run({"a": Scripted(*chat("never"))})
    run.faulty = "a"
    told = await run.told()
    assert told.end.error is not None
    assert told.end.error.code is ErrorCode.INTERNAL


async def test_a_witness_with_a_bug_does_not_keep_a_stream_open() -> None:
    class Broken:
        def attempt_over(self, facts: AttemptFacts) -> None:
            raise ValueError(facts.provider)

    told = await Run({"a": Scripted(*chat("hello"))}, shared=Shared.fresh(Broken())).told()
    assert told.end.error is not None
    assert told.end.error.code is ErrorCode.INTERNAL
    assert told.text == "hello"


async def test_an_ended_stream_keeps_nothing_of_what_made_it() -> None:
    told = await Run({"a": Scripted(*chat("hello"))}).told()
    assert told.stream._stopper is None


async def test_what_was_cut_is_counted_from_the_text_of_its_own_attempt() -> None:
    clients = {
        "a": Scripted(delta("x" * 40), CUT),
        "b": Scripted(delta("y" * 80), CUT),
        "c": Scripted(*chat("hello")),
    }
    told = await Run(clients).told()
    used = [end.usage.output for end in told.all(AttemptEnd) if end.usage is not None]
    assert used == [10, 20, 1]


async def test_no_error_repeats_the_key_whatever_it_looks_like() -> None:
    echo = UpstreamError(make(ErrorCode.AUTH_PROVIDER, "the account of test-key is unknown"))
    told = await Run({"a": Scripted(echo)}).told()
    assert told.end.error is not None
    assert told.end.error.message == "the account of [redacted] is unknown"


# --- What is written down ---


def metered(notebook: Notebook) -> Shared:
    return replace(Shared.fresh(), meter=Meter(notebook))


async def turns() -> None:
    """Let everything that can happen now happen."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_end_of_a_stream_waits_until_what_it_took_is_written_down() -> None:
    notebook = Notebook()
    run = Run({"a": Scripted(*chat("hello"))}, shared=metered(notebook))
    begun = run.begin()
    notebook.safe()
    await turns()
    assert [event["data"]["outcome"] for event in notebook.closed] == ["winner"]
    assert not begun.stream.ended
    said = [type(decode(entry)) for entry in begun.stream.log.read(0)]
    assert AttemptEnd not in said  # it is written together with the end
    notebook.safe()
    told = await over(begun, run.clients)
    assert told.end.status is Status.COMPLETED
    assert len(told.all(AttemptEnd)) == 1


async def test_content_waits_until_its_attempt_is_written_down() -> None:
    notebook = Notebook()
    run = Run({"a": Scripted(*chat("hello"))}, shared=metered(notebook))
    begun = run.begin()
    await turns()
    assert run.clients["a"].sent  # the request went out meanwhile
    assert not begun.stream.content_started
    notebook.safe()
    await turns()
    notebook.safe()
    assert (await over(begun, run.clients)).text == "hello"


async def test_an_attempt_that_cannot_be_written_down_ends_the_request_and_asks_nobody_else() -> (
    None
):
    notebook = Notebook()
    clients = {"a": Scripted(*chat("hello")), "b": Scripted(*chat("hello"))}
    run = Run(clients, shared=metered(notebook))
    begun = run.begin()
    await turns()
    notebook.fail(JournalFullError("no space"))
    await turns()
    notebook.safe()
    told = await over(begun, run.clients)
    assert told.end.error is not None
    assert (told.end.error.code, told.end.error.http) == (ErrorCode.NO_CANDIDATES, 503)
    assert clients["b"].sent == []


async def test_a_cancelled_stream_ends_once_while_its_record_is_written() -> None:
    notebook = Notebook()
    run = Run({"a": Scripted(*chat(Gate(), "slow"))}, shared=metered(notebook))
    begun = run.begin()
    notebook.safe()
    await turns()
    begun.stream.cancel("enough")
    begun.stream.cancel("enough")
    assert not begun.stream.ended
    notebook.safe()
    told = await over(begun, run.clients)
    assert told.end.status is Status.CANCELLED
    assert [event["data"]["outcome"] for event in notebook.closed] == ["cancelled"]


async def test_a_hedge_names_the_attempt_it_was_started_for_and_what_it_saved_if_known() -> None:
    notebook = Notebook(at_once=True)
    clients = {"a": Scripted(*chat(Gate(), "slow")), "b": Scripted(*chat("quick"))}
    latency = {"strategy": "hedge", "delay_ms": 0}
    await Run(clients, latency=latency, shared=metered(notebook)).told()
    loser, winner = sorted(notebook.closed, key=lambda event: event["data"]["attempt"])
    assert (loser["data"]["outcome"], winner["data"]["outcome"]) == ("loser", "winner")
    assert loser["data"]["parent_attempt"] is None
    assert winner["data"]["parent_attempt"] == loser["id"]
    assert winner["data"]["saved_ms"] is None  # nothing is known of the first one yet
    assert {event["data"]["request_id"] for event in notebook.closed} == {"rq_1"}


async def test_what_is_shown_of_a_cost_is_what_is_written_down_of_it() -> None:
    notebook = Notebook(at_once=True)
    shared = replace(metered(notebook), prices=Asked())
    told = await Run({"a": Scripted(*chat("hello"))}, shared=shared).told()
    [event] = notebook.closed
    [end] = told.all(AttemptEnd)
    assert end.usage is not None
    assert end.usage.cost_usd == usd(event["data"]["cost_nano_usd"])
