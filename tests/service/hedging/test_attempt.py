"""One attempt apart from any race: what it holds back, when it is over, what it leaves."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.contract import Call, Encoded
from adapters.dialects.openai_chat import OpenAIChat
from adapters.errors import UpstreamError, make
from adapters.events import AttemptEvent, Ending, ErrorCode, Finish, Meta, TextDelta
from adapters.ratelimits import RateLimits
from adapters.request import ChatRequest
from service.clock import monotonic
from service.hedging.attempt import BUFFER_BYTES, MAX_BODY, Attempt
from service.hedging.deadlines import Deadlines
from tests.double.steps import Gate
from tests.service.scripted import DONE, Piece, Scripted, chat, delta, provider

REQUEST = ChatRequest.model_validate({"messages": [{"role": "user", "content": "hi"}]})


class Facts:
    """A listener that commits at once, or never."""

    def __init__(self, *, commits: bool = True) -> None:
        self.commits = commits
        self.events: list[AttemptEvent] = []
        self.endings: list[Ending] = []
        self.closing: list[AttemptEvent] = []
        self.said: RateLimits | None = None
        self.contents = 0

    def content(self, attempt: Attempt) -> None:
        self.contents += 1
        if self.commits:
            self.events += attempt.commit(self.emit)

    def limits(self, attempt: Attempt, said: RateLimits) -> None:
        assert attempt.ending is None
        self.said = said

    def ended(self, attempt: Attempt, ending: Ending, closing: Sequence[AttemptEvent]) -> None:
        assert attempt.ending is ending
        self.endings.append(ending)
        self.closing += closing

    def emit(self, events: Sequence[AttemptEvent], ts: int) -> None:
        assert ts > 0
        self.events += events

    @property
    def text(self) -> str:
        return "".join(event.delta for event in self.events if isinstance(event, TextDelta))


def made(facts: Facts, client: Scripted, **limits: float | None) -> Attempt:
    acme = provider("acme")
    call = Call(provider=acme, model=acme.models[0], request=REQUEST)
    now = monotonic()
    deadlines = Deadlines(
        started=now,
        first_content=limits.get("first_content") or 60,
        stall=limits.get("stall") or 30,
        until=now + 600,
        min_rate=limits.get("min_rate"),
    )
    return Attempt(
        call,
        Encoded(path="/chat/completions", body={"model": "m"}),
        OpenAIChat().decoder(call),
        client=client,
        connect_timeout=1,
        deadlines=deadlines,
        listener=facts,
    )


async def ran(facts: Facts, *pieces: Piece, **limits: float) -> Scripted:
    client = Scripted(*pieces)
    attempt = made(facts, client, **limits)
    task = asyncio.ensure_future(attempt.run())  # noqa: TID251 - awaited below
    attempt.own(task)
    await asyncio.wait([task])
    await client.quiet()
    return client


async def test_what_came_before_the_commit_comes_out_with_it() -> None:
    facts = Facts()
    await ran(facts, *chat("a", "b"))
    assert facts.contents == 1
    assert facts.text == "ab"
    assert [ending.finish for ending in facts.endings] == [Finish.STOP]


async def test_an_attempt_that_has_not_won_keeps_its_content_to_itself() -> None:
    facts = Facts(commits=False)
    await ran(facts, *chat("a", "b"))
    assert facts.contents == 1
    assert facts.events == []
    assert len(facts.endings) == 1


async def test_an_attempt_holds_back_only_so_much() -> None:
    facts = Facts(commits=False)
    await ran(facts, *chat(*["x" * 4_096] * (BUFFER_BYTES // 4_096 + 2)))
    [ending] = facts.endings
    assert ending.error is not None
    assert ending.error.code is ErrorCode.UPSTREAM_MALFORMED


async def test_what_the_provider_says_of_its_limits_is_told_with_the_answer() -> None:
    facts = Facts()
    client = Scripted(*chat("a"))
    client.headers |= {"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "2s"}
    attempt = made(facts, client)
    await attempt.run()
    [limits] = [event for event in facts.events if isinstance(event, Meta)]
    assert limits.key == "rate_limits"
    assert limits.value["requests"]["remaining"] == 7
    assert limits.value["requests"]["reset"] == 2.0
    assert facts.said is not None
    assert facts.said.requests.remaining == 7


async def test_an_answer_without_end_is_ended() -> None:
    facts = Facts()
    comment = b": " + b"x" * (MAX_BODY // 4) + b"\n\n"
    await ran(facts, delta("a"), *[comment] * 4, *chat("never"))
    assert facts.text == "a"
    error = facts.endings[0].error
    assert error is not None
    assert error.code is ErrorCode.UPSTREAM_MALFORMED


async def test_its_end_is_told_once_whatever_follows() -> None:
    facts = Facts()
    await ran(facts, *chat("a"), delta("late"), DONE)
    assert len(facts.endings) == 1
    assert facts.text == "a"


async def test_a_body_that_goes_on_after_the_answer_is_not_waited_for() -> None:
    facts = Facts()
    client = await ran(facts, *chat("a"), Gate())
    assert client.open == 0
    assert [ending.error for ending in facts.endings] == [None]


async def test_aborting_ends_its_blocks_and_silences_it() -> None:
    facts, gate = Facts(), Gate()
    client = Scripted(delta("a"), gate, *chat("b"))
    attempt = made(facts, client)
    task = asyncio.ensure_future(attempt.run())  # noqa: TID251 - awaited below
    attempt.own(task)
    await gate.reached()
    ends = attempt.abort(make(ErrorCode.CANCELLED, "enough"))
    assert [type(event).__name__ for event in ends] == ["BlockEnd"]
    assert attempt.abort(None) == ()
    gate.open()
    await asyncio.wait([task])
    await client.quiet()
    assert facts.text == "a"
    assert facts.endings == []
    assert attempt.ending is not None
    assert attempt.ending.finish is Finish.CANCELLED


async def test_an_error_says_where_it_happened() -> None:
    facts = Facts()
    cut = UpstreamError(make(ErrorCode.STREAM_INTERRUPTED, "reset"))
    await ran(facts, delta("a"), cut)
    error = facts.endings[0].error
    assert error is not None
    assert (error.attempt, error.provider, error.phase, error.bytes_out) == (
        1,
        "acme",
        "mid_stream",
        True,
    )


async def test_a_least_speed_is_kept_to_by_counting_what_comes() -> None:
    facts = Facts()
    await ran(facts, *chat("a", "b"), min_rate=1.0)
    assert facts.text == "ab"
    assert facts.endings[0].error is None


@pytest.mark.parametrize("min_rate", [None, 1.0])
async def test_content_counts_whatever_follows_it_in_the_same_read(min_rate: float | None) -> None:
    facts, gate = Facts(), Gate()
    fact = b'data: {"choices":[],"system_fingerprint":"fp_1"}\n\n'
    attempt = made(facts, Scripted(delta("a"), delta("b") + fact, gate), min_rate=min_rate)
    task = asyncio.ensure_future(attempt.run())  # noqa: TID251 - awaited below
    attempt.own(task)
    await gate.reached()
    assert attempt.first_content is not None
    assert attempt._deadlines.last is not None
    assert attempt._deadlines.last > attempt.first_content
    attempt.abort(None)
    await asyncio.wait([task])


async def test_what_is_no_content_does_not_hold_off_the_stall() -> None:
    facts = Facts()
    noted = b'data: {"choices":[],"system_fingerprint":"fp_%d"}\n\n'
    pieces: list[Piece] = [delta("a"), *(noted % n for n in range(3)), Gate()]
    await ran(facts, *pieces, stall=0.03)
    assert any(isinstance(event, Meta) for event in facts.events)
    error = facts.endings[0].error
    assert error is not None
    assert error.code is ErrorCode.TIMEOUT_IDLE
