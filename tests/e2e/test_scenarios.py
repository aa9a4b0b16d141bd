"""A thousand stories that nobody thought of: the rules hold in each.

Hypothesis draws what up to three providers do (answer, err, cut, stall, drip, say nothing), how the
request is to be sent (strategy, delays, bounds, what becomes of a broken answer) and what its
client does (reads on, leaves, cancels). Each story is played over real sockets, twenty at a time
against one service, and told by the double on one side and the stream's log on the other. What must
agree:

- the log keeps the grammar, and a client that stayed was told the same;
- every request that a provider got is one attempt of the log; each of those has an end, an outcome
  and a usage whose source is named, and stands once in `stream.end`;
- the request's bounds held; `normal` asked one after the other;
- an answer that calls itself whole is one provider's whole answer;
- nothing is left (`stack`).

Each story has a model name of its own: health is kept by model, and a story of failures shall not
be the next one's beginning.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.streams.log import json_of
from service.streams.stream import Stream
from tests.double.answer import Failure, KeepAlives, Part, Piece, reasoning, refusal, tool_call
from tests.double.errors import Kind
from tests.double.faults import (
    GARBAGE,
    Fault,
    cut_at,
    in_one_write,
    in_pieces,
    then,
)
from tests.double.script import Script, dropped, http_answer, http_error, reply
from tests.double.seen import Seen
from tests.double.steps import Cut, Delay, Stall, Steps, body_of
from tests.e2e import grammar
from tests.e2e.stack import Stack, Told, question, stack
from tests.e2e.test_recovery import standing
from tests.service.http.serving import parsed

AT_ONCE = 20
"""Stories played together."""

STORIES = 1_000

ALL = ("openai", "claude", "groq")
CALL = ("f", '{"a":1}')
TOOLS = [{"type": "function", "function": {"name": "f"}}]

SOURCES = frozenset({"provider", "counted", "estimated", "none"})

DEADLINES = {"first_content_ms": 40, "stall_ms": 40, "total_ms": 400}
"""What stalls, runs into them; all that comes in time, mostly does not."""


# --- What a provider does --------------------------------------------------------------------


def says(provider: str) -> tuple[str, str]:
    """What this provider answers, in two pieces: nobody else's answer begins or ends like it."""
    return f"{provider} has ", f"answered, says {provider}."


def cut_within(position: int, how: Literal["fin", "rst"]) -> Fault:
    """Close the connection after so many body bytes, or at the body's end."""

    def cut(steps: Steps) -> Steps:
        return cut_at(min(position, len(body_of(steps))), how)(steps)

    return cut


@dataclass(frozen=True, kw_only=True)
class Role:
    """One provider's part in a story."""

    before: Literal["at once", "headers late", "content late", "thinks"] = "at once"
    end: Literal[
        "whole", "with a call", "declines", "says nothing", "stalls early", "stalls", "errs early",
        "errs", "errs with its first word", "keeps alive", "malformed", "garbage", "lingers",
    ] = "whole"  # fmt: skip
    delay: float = 0.0  # seconds
    error: Kind | int | Literal["drops", "resets"] | None = None
    """Instead of an answer."""
    cut: tuple[int, Literal["fin", "rst"]] | None = None
    drip: int | None = None

    def script(self, provider: str) -> Script:
        """What the double plays."""
        match self.error:
            case Kind():
                return http_error(self.error)
            case int():
                return http_answer(self.error, {"error": {"message": "no"}})
            case "drops":
                return dropped()
            case "resets":
                return dropped(Cut("rst"))
            case _:
                return self._answer(provider)

    def _answer(self, provider: str) -> Script:
        items: list[str | Part | Piece] = [*self._pauses(), *self._items(*says(provider))]
        late = Delay(self.delay) if self.before == "headers late" else None
        script = reply(*items, before_headers=late)
        faults: list[Fault] = []
        if self.end == "errs with its first word":
            faults.append(in_one_write())
        if self.end == "lingers":
            faults.append(then(Stall()))
        if self.drip is not None:
            faults.append(in_pieces(self.drip))
        if self.cut is not None:
            faults.append(cut_within(*self.cut))
        return script.with_faults(*faults)

    def _pauses(self) -> list[Part | Piece]:
        match self.before:
            case "content late":
                return [Delay(self.delay)]
            case "thinks":
                return [reasoning("hm")]
            case _:
                return []

    def _items(self, one: str, two: str) -> list[str | Part | Piece]:
        return {
            "whole": [one, two],
            "with a call": [one, two, tool_call(*CALL)],
            "declines": [refusal("no")],
            "says nothing": [],
            "stalls early": [Stall()],
            "stalls": [one, Stall()],
            "errs early": [Failure(Kind.OVERLOADED)],
            "errs": [one, Failure(Kind.SERVER)],
            "errs with its first word": [one, Failure(Kind.OVERLOADED)],
            "keeps alive": [KeepAlives(0.005)],
            "malformed": [one, b"data: {not json\n\n", Stall()],
            "garbage": [one, GARBAGE, two],
            "lingers": [one, two],
        }[self.end]


parts = st.builds(
    Role,
    before=st.sampled_from(["at once", "at once", "headers late", "content late", "thinks"]),
    end=st.sampled_from(
        ["whole", "whole", "whole", "with a call", "declines", "says nothing", "stalls early",
         "stalls", "errs early", "errs", "errs with its first word", "keeps alive", "malformed",
         "garbage", "lingers"]
    ),
    delay=st.sampled_from([0.001, 0.005, 0.015]),
    error=st.one_of(
        st.none(), st.none(), st.none(),
        st.sampled_from([Kind.RATE_LIMIT, Kind.SERVER, Kind.OVERLOADED, Kind.NOT_FOUND,
                         Kind.CONTEXT_LENGTH, Kind.INVALID_REQUEST, 408, 502, "drops", "resets"]),
    ),
    cut=st.none() | st.tuples(st.integers(0, 2_500), st.sampled_from(["fin", "rst"])),
    drip=st.none() | st.sampled_from([1, 7, 64]),
)  # fmt: skip


# --- A story ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Story:
    """One request, its providers and its client."""

    providers: tuple[str, ...]
    parts: Mapping[str, Role]
    strategy: str
    delay_ms: int
    max_attempts: int | None
    fallback: bool
    after_commit: str | None
    on_disconnect: str
    tools: bool
    client: Literal["stays", "leaves", "cancels"]
    events: int
    """After how many it leaves or cancels."""

    def body(self, number: int) -> dict[str, object]:
        """The request."""
        latency: dict[str, object] = {
            "strategy": self.strategy,
            "providers": [f"{provider}/{model_of(number)}" for provider in self.providers],
            "delay_ms": self.delay_ms,
        }
        if self.max_attempts is not None:
            latency["max_attempts"] = self.max_attempts
        fields: dict[str, object] = {"latency": latency, "fallback": self.fallback}
        if self.after_commit is not None:
            fields["after_commit"] = self.after_commit
        if self.tools:
            fields["tools"] = TOOLS
        return question(
            "auto",
            deadlines=DEADLINES,
            open_early_ms=0,
            on_disconnect=self.on_disconnect,
            **fields,
        )


def model_of(number: int) -> str:
    """The model that only this story asks for."""
    return f"story-{number}"


stories = st.builds(
    Story,
    providers=st.permutations(ALL).flatmap(
        lambda order: st.integers(1, 3).map(lambda n: tuple(order[:n]))
    ),
    parts=st.fixed_dictionaries(dict.fromkeys(ALL, parts)),
    strategy=st.sampled_from(["normal", "hedge", "race"]),
    delay_ms=st.sampled_from([0, 1, 5, 20]),
    max_attempts=st.none() | st.integers(1, 4),
    fallback=st.sampled_from([True, True, True, False]),
    after_commit=st.sampled_from([None, "restart", "continue", "fail"]),
    on_disconnect=st.sampled_from(["continue", "cancel_after:0"]),
    tools=st.booleans(),
    client=st.sampled_from(["stays", "stays", "leaves", "cancels"]),
    events=st.integers(0, 8),
)


# --- Playing it ------------------------------------------------------------------------------


@dataclass
class Played:
    """What was told of one story."""

    status: int
    heard: list[dict[str, Any]] = field(default_factory=list)
    """As far as the client read."""
    stream: str | None = None


async def play(running: Stack, story: Story, number: int) -> Played:
    """Ask, and be the client that the story has."""
    async with running.post(story.body(number)) as response:
        played = Played(response.status, stream=response.headers.get("Tailrace-Stream-Id"))
        if response.status != 200:
            await response.read()
            return played
        await _hear(response, played, None if story.client == "stays" else story.events)
        if story.client == "cancels":
            address = f"{running.url}/v1/streams/{played.stream}/cancel"
            async with running.client.post(address) as cancelled:
                assert cancelled.status in {200, 202}, await cancelled.text()
            await _hear(response, played, None)
    return played


async def _hear(response: aiohttp.ClientResponse, played: Played, most: int | None) -> None:
    """Read events to the end, or until there are `most`."""
    rest = b""
    while most is None or len(played.heard) < most:
        data = await response.content.readany()
        if not data:
            return
        whole, end, rest = (rest + data).rpartition(b"\n\n")
        played.heard.extend(seen.data for seen in parsed(whole + end))


@pytest.mark.timeout(300)  # 35 s where nothing else runs
@settings(
    max_examples=STORIES // AT_ONCE,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(stories, min_size=AT_ONCE, max_size=AT_ONCE))
async def test_the_rules_hold_in_every_story(told: list[Story]) -> None:
    async with stack(*ALL) as running:
        running.double.choose(lambda seen: _script(seen, told))
        playing = (play(running, story, number) for number, story in enumerate(told))
        played = await asyncio.gather(*playing)
        by_id = {stream.id: stream for stream in running.streams}
        for number, (story, one) in enumerate(zip(told, played, strict=True)):
            seen = [s for s in running.double.requests if s.model == model_of(number)]
            if one.stream is None or one.stream not in by_id:
                assert one.status != 200
                assert not seen, "a refused request was sent to a provider"
                continue
            log = await _log(by_id[one.stream])
            # Once more: an answer that outlives its client may have been asked for since.
            seen = [s for s in running.double.requests if s.model == model_of(number)]
            try:
                _check(story, one, log, seen)
            except AssertionError as wrong:
                wrong.add_note(repr(story))
                wrong.add_note("\n".join(map(str, log)))
                wrong.add_note("\n".join(f"{s.provider} {s.ending} {s.sent}" for s in seen))
                raise


def _script(seen: Seen, told: list[Story]) -> Script:
    story = told[int(seen.model.removeprefix("story-"))]
    return story.parts[seen.provider].script(seen.provider)


async def _log(stream: Stream) -> list[dict[str, Any]]:
    await stream.over()
    return [orjson.loads(json_of(entry)) for entry in stream.log.read(0)]


# --- What must hold --------------------------------------------------------------------------


def _check(story: Story, played: Played, log: list[dict[str, Any]], seen: list[Seen]) -> None:
    grammar.check(log)
    assert played.heard == log[: len(played.heard)], "the client was told something else"
    if story.client == "stays":
        assert len(played.heard) == len(log), "the client was not told all"
    told = Told(played.status, {}, log)
    _accounted(told, seen)
    _bounded(story, told)
    if told.end["status"] == "completed":
        _whole(story, told)


def _accounted(told: Told, seen: list[Seen]) -> None:
    ends = {event["attempt"]: event for event in told.of("attempt.end")}
    summaries = told.end["attempts"]
    assert [s["attempt"] for s in summaries] == sorted(ends)
    for summary in summaries:
        end = ends[summary["attempt"]]
        assert summary["outcome"] == end["outcome"]
        for usage in (summary["usage"], end["usage"]):
            assert usage["source"] in SOURCES
            assert usage["source"] != "none" or usage["input"] is None
    started = Counter(start["provider"] for start in told.of("attempt.start"))
    # A request that dies on a reused connection before any byte is sent once more, as the same
    # attempt.
    again = Counter(s.provider for s in seen if s.turn > 1 and s.head_at is None)
    for provider, times in Counter(s.provider for s in seen).items():
        assert times <= started[provider] + again[provider], f"{provider} got more than was told"
    answered = {start["provider"] for start in told.of("attempt.start")
                if ends[start["attempt"]]["outcome"] == "completed"}  # fmt: skip
    assert answered <= {s.provider for s in seen}, "an answer of somebody who was not asked"


def _bounded(story: Story, told: Told) -> None:
    order = [e["type"] for e in told.events if e["type"] in {"attempt.start", "attempt.end"}]
    count = order.count("attempt.start")
    if story.max_attempts is not None:
        assert count <= story.max_attempts
    if story.strategy == "normal":
        assert order == ["attempt.start", "attempt.end"] * count
    if story.strategy == "normal" and not story.fallback:
        assert count <= 1
    if story.after_commit == "fail":
        assert not told.of("failover")


def _whole(story: Story, told: Told) -> None:
    """A whole answer is its winner's; one that was continued is nobody's alone."""
    if any(failover["mode"] == "continue" for failover in told.of("failover")):
        return
    winner = told.end["provider"]
    part = story.parts[winner]
    text, calls = standing(told)
    assert text == ("" if part.end in {"declines", "says nothing"} else "".join(says(winner)))
    assert calls == ([CALL] if part.end == "with a call" else [])
