"""Two providers and one answer: who wins, who is closed, what it costs, and who comes next.

Over real sockets, through the whole service. Nothing here depends on who happens to be quicker: the
double's gates hold a provider back until the test has seen what must happen before it goes on.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple

import pytest

from tests.double.answer import Failure, KeepAlives, reasoning, tool_call
from tests.double.errors import Kind
from tests.double.faults import closed_address, cut_at, header, in_one_write
from tests.double.script import Script, dropped, http_answer, http_error, reply, stream
from tests.double.seen import Seen
from tests.double.steps import Cut, Gate, Stall, Wait
from tests.e2e.live import asking
from tests.e2e.stack import Stack, Told, stack

THREE = ("openai", "claude", "groq")

SLOW = ("openai", "claude", "gemini", "mistral", "perplexity")
"""One for each dialect; perplexity speaks Responses."""

FAST = "groq"

SOON = 20  # milliseconds
"""The hedge delay of a request that is to be hedged."""

NEVER = 60_000  # milliseconds
"""That of one that is not."""

AT_ONCE = 1.0  # seconds
"""Until a loser sees that it was left; a bound for a busy machine, the bench measures it."""

each_dialect = pytest.mark.parametrize("slow", SLOW)


def latency(strategy: str, *providers: str, **more: int) -> dict[str, Any]:
    """The request's `latency`, in its object form."""
    return {"strategy": strategy, "providers": list(providers), **more}


def hedged(*providers: str, delay_ms: int = SOON, **more: int) -> dict[str, Any]:
    """A request that is hedged after `delay_ms`."""
    return latency("hedge", *providers, delay_ms=delay_ms, **more)


def raced(*providers: str, **more: int) -> dict[str, Any]:
    """A request that asks several at once."""
    return latency("race", *providers, **more)


def normal(*providers: str, **more: int) -> dict[str, Any]:
    """A request that asks one after the other."""
    return latency("normal", *providers, **more)


def attempts(told: Told) -> list[tuple[str, str]]:
    """Who was asked, in that order, and how it went."""
    return [(attempt["provider"], attempt["outcome"]) for attempt in told.end["attempts"]]


def ends(told: Told) -> dict[int, dict[str, Any]]:
    """Every attempt's end, by its number."""
    return {event["attempt"]: event for event in told.of("attempt.end")}


def together(seen: list[Seen]) -> int:
    """How many of these requests were open at once, at most.

    One that ended in the moment in which another came was not: a quick refusal takes no time on
    the loop's clock.
    """
    spans = [(one.arrived, one.left_at or one.last_at or one.arrived) for one in seen]
    return max(
        1 + sum(begun <= start < ended for begun, ended in spans if (begun, ended) != (start, end))
        for start, end in spans
    )


async def the_only(running: Stack, provider: str) -> Seen:
    """The one request that this provider got."""
    await running.double.until(
        lambda: bool(running.double.asked(provider)), lambda: f"a request to {provider}"
    )
    (seen,) = running.double.asked(provider)
    return seen


@pytest.fixture
async def several() -> AsyncIterator[Stack]:
    """The service with a provider of each dialect and one more."""
    async with stack(*SLOW, FAST) as running:
        yield running


# --- Only content wins -----------------------------------------------------------------------

HELD: Mapping[str, Callable[[Gate], Script]] = {
    "only its headers": lambda gate: reply("slow", before_preamble=Wait(gate)),
    "its role chunk, or what it has of that kind": lambda gate: reply(Wait(gate), "slow"),
    "the start of an empty thought": lambda gate: reply(reasoning(Wait(gate), "hm"), "slow"),
    "keep-alives": lambda _: reply(KeepAlives(0.002)),
}
"""What an early provider may send before anything of its answer."""


@pytest.mark.parametrize("strategy", ["race", "hedge"])
@pytest.mark.parametrize("early", HELD.values(), ids=HELD)
@each_dialect
async def test_whoever_sends_headers_first_and_content_late_does_not_win(
    slow: str, early: Callable[[Gate], Script], strategy: str, several: Stack
) -> None:
    late, quick = Gate(), Gate()
    several.double.on_provider(slow, early(late))
    several.double.on_provider(FAST, reply(Wait(quick), "fast"))
    fields = raced(slow, FAST) if strategy == "race" else hedged(slow, FAST)
    async with asking(several, latency=fields, budget_tier="enterprise") as live:
        early_bird = await the_only(several, slow)
        await several.double.until(
            lambda: early_bird.head_at is not None, lambda: "the early one's headers"
        )
        await quick.reached()
        quick.open()
        told = await live.told()

    assert (told.text, told.end["provider"], told.end["status"]) == ("fast", FAST, "completed")
    assert attempts(told) == [(slow, "lost_race"), (FAST, "completed")]
    await early_bird.left()


@each_dialect
async def test_an_error_frame_at_status_200_does_not_win(slow: str, several: Stack) -> None:
    quick = Gate()
    several.double.on_provider(slow, reply(Failure(Kind.OVERLOADED)))
    several.double.on_provider(FAST, reply(Wait(quick), "fast"))
    async with asking(several, latency=raced(slow, FAST), budget_tier="enterprise") as live:
        failed = await live.ended(1)
        await quick.reached()
        quick.open()
        told = await live.told()

    assert (failed["outcome"], failed["error"]["phase"]) == ("failed", "before_commit")
    assert (told.text, attempts(told)) == ("fast", [(slow, "failed"), (FAST, "completed")])


@each_dialect
async def test_content_that_comes_together_with_an_error_is_taken_over_and_never_whole(
    slow: str, several: Stack
) -> None:
    broken = reply("sl", Failure(Kind.OVERLOADED)).with_faults(in_one_write())
    several.double.on_provider(slow, broken)
    several.double.on_provider(FAST, reply("fast"))
    told = await several.ask("auto", latency=normal(slow, FAST))

    assert attempts(told) == [(slow, "failed"), (FAST, "completed")]
    (taken_over,) = told.of("failover")
    assert taken_over["error"]["code"] == ends(told)[1]["error"]["code"]
    assert (taken_over["mode"], told.text) == ("restart", "slfast")


@pytest.mark.parametrize(
    "first",
    [reply(reasoning("hm", Stall())), reply(tool_call("f", "{", Stall()))],
    ids=["a thought", "a call's name"],
)
async def test_a_thought_and_the_name_of_a_call_are_content(first: Script, several: Stack) -> None:
    gate = Gate()
    several.double.on_provider("claude", first)
    several.double.on_provider("openai", reply(Wait(gate), "late"))
    tools = [{"type": "function", "function": {"name": "f"}}]
    fields = {"latency": raced("claude", "openai"), "tools": tools, "budget_tier": "enterprise"}
    async with asking(several, on_disconnect="cancel_after:0", **fields) as live:
        await live.until(lambda e: e["type"] == "attempt.commit", "a commit")
        lost = await live.ended(2)
    assert lost["outcome"] == "lost_race"


# --- Hedging ---------------------------------------------------------------------------------


@each_dialect
async def test_a_hedge_starts_after_its_delay_and_the_loser_is_closed_and_accounted(
    slow: str, several: Stack
) -> None:
    gate = Gate()
    several.double.on_provider(slow, reply(Wait(gate), "slow"))
    several.double.on_provider(FAST, reply("fast"))
    async with asking(several, latency=hedged(slow, FAST)) as live:
        told = await live.told()

    first, second = told.of("attempt.start")
    assert (first["role"], second["role"]) == ("primary", "hedge")
    assert second["after_ms"] - first["after_ms"] >= SOON
    loser = await the_only(several, slow)
    winner = await the_only(several, FAST)
    assert winner.first_at is not None
    assert await loser.left() - winner.first_at < AT_ONCE
    lost = ends(told)[1]
    assert (lost["outcome"], "error" in lost) == ("lost_race", False)
    assert lost["usage"]["source"] == "estimated"
    assert lost["usage"]["input"] > 0
    assert lost["usage"]["output"] is not None
    assert told.end["usage"]["source"] == "provider"
    paid = told.end["usage_total"]
    assert (paid["requests"], paid["source"]) == (2, "estimated")
    assert paid["input"] == lost["usage"]["input"] + told.end["usage"]["input"]


async def test_an_answer_within_the_delay_is_not_hedged(several: Stack) -> None:
    several.double.on_provider("openai", reply("first"))
    told = await several.ask("auto", latency=hedged("openai", FAST, delay_ms=NEVER))
    assert (told.text, attempts(told)) == ("first", [("openai", "completed")])
    assert len(several.double.requests) == 1


async def test_a_primary_that_is_quicker_after_all_beats_its_hedge(several: Stack) -> None:
    first, second = Gate(), Gate()
    several.double.on_provider("openai", reply(Wait(first), "first"))
    several.double.on_provider(FAST, reply(Wait(second), "second"))
    async with asking(several, latency=hedged("openai", FAST)) as live:
        await second.reached()
        first.open()
        told = await live.told()
    assert (told.text, attempts(told)) == (
        "first",
        [("openai", "completed"), (FAST, "lost_race")],
    )
    await (await the_only(several, FAST)).left()


async def test_a_hedge_answers_where_its_primary_fails(several: Stack) -> None:
    first, second = Gate(), Gate()
    several.double.on_provider("openai", reply(Wait(first), Cut()))
    several.double.on_provider(FAST, reply(Wait(second), "second"))
    async with asking(several, latency=hedged("openai", FAST, "claude")) as live:
        await second.reached()
        first.open()
        assert (await live.ended(1))["error"]["code"] == "stream_interrupted"
        second.open()
        told = await live.told()
    assert attempts(told) == [("openai", "failed"), (FAST, "completed")]
    assert (told.text, len(several.double.requests)) == ("second", 2)


async def test_a_failing_hedge_does_not_disturb_its_primary(several: Stack) -> None:
    first, second = Gate(), Gate()
    several.double.on_provider("openai", reply(Wait(first), "first"))
    several.double.on_provider(FAST, reply(before_headers=Wait(second)).with_faults(cut_at(0)))
    async with asking(several, latency=hedged("openai", FAST, "claude")) as live:
        await second.reached()
        second.open()
        assert (await live.ended(2))["outcome"] == "failed"
        first.open()
        told = await live.told()
    assert attempts(told) == [("openai", "completed"), (FAST, "failed")]
    assert (told.text, len(several.double.requests)) == ("first", 2)


async def test_where_a_primary_and_its_hedge_both_fail_the_next_is_asked(several: Stack) -> None:
    first, second = Gate(), Gate()
    several.double.on_provider("openai", reply(Wait(first), Cut()))
    several.double.on_provider(FAST, reply(Wait(second), Cut()))
    several.double.on_provider("claude", reply("third"))
    request = {**hedged("openai", FAST, "claude"), "max_attempts": 3}
    async with asking(several, latency=request) as live:
        await second.reached()
        second.open()
        await live.ended(2)
        first.open()
        told = await live.told()
    assert attempts(told) == [("openai", "failed"), (FAST, "failed"), ("claude", "completed")]
    assert told.text == "third"
    assert told.of("attempt.start")[2]["role"] == "fallback"


async def test_a_client_that_leaves_takes_both_attempts_with_it(several: Stack) -> None:
    first, second = Gate(), Gate()
    several.double.on_provider("openai", reply(Wait(first), "first"))
    several.double.on_provider(FAST, reply(Wait(second), "second"))
    request = hedged("openai", FAST)
    async with asking(several, latency=request, on_disconnect="cancel_after:0") as live:
        await second.reached()
        await live.until(lambda e: e["type"] == "attempt.start" and e["attempt"] == 2, "a hedge")
    for seen in list(several.double.requests):
        await seen.left()
    (running,) = several.streams
    record = await several.fetch(running.id)
    assert attempts(record) == [("openai", "cancelled"), (FAST, "cancelled")]
    assert {end["usage"]["source"] for end in record.of("attempt.end")} == {"estimated"}


# --- Racing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("winner", THREE)
async def test_a_race_of_three_is_won_by_the_first_content_and_the_others_are_closed(
    winner: str, several: Stack
) -> None:
    gates = {name: Gate() for name in THREE}
    for name, gate in gates.items():
        several.double.on_provider(name, reply(Wait(gate), name))
    request = raced(*THREE, max_attempts=3)
    async with asking(several, latency=request, budget_tier="enterprise") as live:
        for gate in gates.values():
            await gate.reached()
        gates[winner].open()
        told = await live.told()

    assert told.text == winner
    assert {start["role"] for start in told.of("attempt.start")[1:]} == {"race"}
    assert attempts(told) == [
        (name, "completed" if name == winner else "lost_race") for name in THREE
    ]
    for name in THREE:
        seen = await the_only(several, name)
        await seen.over()
        assert seen.finished == (name == winner)
    lost = [end for end in told.of("attempt.end") if end["outcome"] == "lost_race"]
    assert [end["usage"]["source"] for end in lost] == ["estimated"] * 2


async def test_a_race_is_no_wider_than_max_attempts(several: Stack) -> None:
    several.double.on_provider("openai", http_error(Kind.SERVER))
    several.double.on_provider("claude", http_error(Kind.OVERLOADED))
    request = raced(*THREE, max_attempts=2)
    told = await several.ask("auto", latency=request, budget_tier="enterprise")
    assert told.error["code"] == "all_attempts_failed"
    assert len(several.double.requests) == 2


# --- One after the other ---------------------------------------------------------------------


class Cause(NamedTuple):
    """What a first provider does that another may not, and how it is named."""

    script: Script
    code: str


RECOVERABLE: Mapping[str, Cause] = {
    "401": Cause(http_error(Kind.AUTH), "auth_provider"),
    "402": Cause(http_answer(402, {"error": {"message": "Insufficient"}}), "quota_provider"),
    "403": Cause(http_error(Kind.PERMISSION), "auth_provider"),
    "404": Cause(http_error(Kind.NOT_FOUND), "model_unavailable"),
    "408": Cause(http_answer(408, {"error": {"message": "Timeout"}}), "upstream_5xx"),
    "410": Cause(http_answer(410, {"error": {"message": "Gone"}}), "model_unavailable"),
    "429": Cause(http_error(Kind.RATE_LIMIT), "rate_limit_provider"),
    "500": Cause(http_error(Kind.SERVER), "upstream_5xx"),
    "502": Cause(http_answer(502, b"<html>Bad Gateway</html>"), "upstream_5xx"),
    "an overload": Cause(http_error(Kind.OVERLOADED), "overloaded"),
    "an error frame": Cause(reply(Failure(Kind.SERVER)), "upstream_5xx"),
    "no answer": Cause(dropped(), "upstream_connect"),
    "malformed": Cause(reply(b"data: {not json\n\n", Stall()), "upstream_malformed"),
    "another content type": Cause(
        reply("Hello").with_faults(header("content-type", "text/html")), "upstream_malformed"
    ),
    "an empty body": Cause(stream(b""), "stream_interrupted"),
    "a cut before content": Cause(reply("no").with_faults(cut_at(0)), "stream_interrupted"),
}


@pytest.mark.parametrize("cause", RECOVERABLE.values(), ids=RECOVERABLE)
@pytest.mark.parametrize("first", ["openai", "claude", "gemini", "mistral"])
async def test_what_another_provider_may_not_do_sends_the_request_there_at_once(
    first: str, cause: Cause, several: Stack
) -> None:
    several.double.on_provider(first, cause.script)
    several.double.on_provider(FAST, reply("Hello"))
    told = await several.ask("auto", latency=normal(first, FAST))

    assert (told.text, told.end["status"]) == ("Hello", "completed")
    assert attempts(told) == [(first, "failed"), (FAST, "completed")]
    assert ends(told)[1]["error"]["code"] == cause.code
    start, again = told.of("attempt.start")
    assert (start["role"], again["role"]) == ("primary", "fallback")
    # Rate limits here ask for seven seconds.
    assert several.double.asked(FAST)[0].arrived - several.double.asked(first)[0].arrived < AT_ONCE


async def test_a_refused_connection_sends_the_request_elsewhere() -> None:
    with closed_address() as address:
        async with stack("openai", "groq", environ={"OPENAI_BASE_URL": address}) as running:
            told = await running.ask("auto", latency=normal("openai", "groq"))
    assert attempts(told) == [("openai", "failed"), ("groq", "completed")]
    assert ends(told)[1]["error"]["code"] == "upstream_connect"


async def test_a_silent_provider_is_left_at_its_deadline_and_the_next_is_asked(
    several: Stack,
) -> None:
    several.double.on_provider("openai", reply(Stall(), "no"))
    told = await several.ask(
        "auto", latency=normal("openai", FAST), deadlines={"first_content_ms": 60}
    )
    assert attempts(told) == [("openai", "timeout"), (FAST, "completed")]
    assert ends(told)[1]["error"]["code"] == "timeout_first_token"
    await (await the_only(several, "openai")).left()
    assert together(several.double.requests) == 1


async def test_where_all_fail_the_error_names_each_cause(several: Stack) -> None:
    several.double.on_provider("openai", http_error(Kind.AUTH))
    several.double.on_provider("claude", http_error(Kind.RATE_LIMIT))
    several.double.on_provider("groq", reply("no").with_faults(cut_at(0)))
    told = await several.ask("auto", latency=normal(*THREE, max_attempts=3))

    assert (told.status, told.error["code"]) == (502, "all_attempts_failed")
    causes = [(cause["provider"], cause["code"]) for cause in told.error["causes"]]
    assert causes == [
        ("openai", "auth_provider"),
        ("claude", "rate_limit_provider"),
        ("groq", "stream_interrupted"),
    ]
    for provider, code in causes:
        assert provider in told.error["message"]
        assert code in told.error["message"]
    record = await several.fetch(told.stream)
    assert [provider for provider, _ in attempts(record)] == list(THREE)
    assert together(several.double.requests) == 1


async def test_normal_never_runs_two_attempts_at_once(several: Stack) -> None:
    gate = Gate()
    several.double.on_provider("openai", reply(Wait(gate), Cut()))
    several.double.on_provider("claude", reply(Wait(gate), Cut()))
    several.double.on_provider("groq", reply("third"))
    async with asking(several, latency=normal(*THREE, delay_ms=1, max_attempts=3)) as live:
        await gate.reached()
        assert len(several.double.requests) == 1
        gate.open()
        told = await live.told()
    order = [e["type"] for e in told.events if e["type"] in {"attempt.start", "attempt.end"}]
    assert order == ["attempt.start", "attempt.end"] * 3
    assert together(several.double.requests) == 1


OWN_FAULT: Mapping[str, tuple[Kind, str, int]] = {
    "an invalid request": (Kind.INVALID_REQUEST, "invalid_request", 400),
    "a blocked prompt": (Kind.CONTENT_FILTER, "content_blocked_input", 400),
}


@pytest.mark.parametrize(("kind", "code", "http"), OWN_FAULT.values(), ids=OWN_FAULT)
@pytest.mark.parametrize("strategy", ["normal", "hedge"])
async def test_the_caller_s_own_fault_is_not_sent_to_everybody_in_turn(
    strategy: str, kind: Kind, code: str, http: int, several: Stack
) -> None:
    several.double.on_provider("openai", http_error(kind))
    request = latency(strategy, *THREE, delay_ms=NEVER, max_attempts=3)
    told = await several.ask("auto", latency=request)
    assert (told.status, told.error["code"]) == (http, code)
    assert len(several.double.requests) == 1


@pytest.mark.parametrize("kind", [Kind.CONTEXT_LENGTH, Kind.UNSUPPORTED_PARAMETER])
async def test_what_only_this_model_cannot_take_is_sent_to_another(
    kind: Kind, several: Stack
) -> None:
    several.double.on_provider("openai", http_error(kind))
    told = await several.ask("auto", latency=normal(*THREE))
    assert attempts(told) == [("openai", "failed"), ("claude", "completed")]


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("strategy", ["normal", "hedge", "race"])
async def test_max_attempts_caps_all_of_them(strategy: str, most: int, several: Stack) -> None:
    several.double.default = http_error(Kind.SERVER)
    request = latency(strategy, *THREE, delay_ms=SOON, max_attempts=most)
    told = await several.ask("auto", latency=request, budget_tier="enterprise")
    assert told.status == 502
    assert [s.provider for s in several.double.requests] == list(THREE[:most])
    assert len(attempts(await several.fetch(told.stream))) == most


async def test_max_attempts_counts_those_that_recover_an_answer(several: Stack) -> None:
    several.double.on_provider("openai", http_error(Kind.SERVER))
    several.double.on_provider("claude", reply("Hel", Cut()))
    told = await several.ask("auto", latency=normal(*THREE, max_attempts=2))
    assert (told.text, told.end["error"]["code"]) == ("Hel", "failover_impossible")
    assert len(several.double.requests) == 2


@pytest.mark.parametrize("strategy", ["normal", "hedge"])
async def test_without_fallback_one_is_asked(strategy: str, several: Stack) -> None:
    several.double.on_provider("openai", http_error(Kind.SERVER))
    request = latency(strategy, *THREE, delay_ms=NEVER, max_attempts=3)
    told = await several.ask("auto", latency=request, fallback=False)
    assert (told.status, told.error["code"]) == (502, "upstream_5xx")
    assert [seen.provider for seen in several.double.requests] == ["openai"]


@pytest.mark.parametrize("order", [THREE, THREE[::-1], ("claude", "openai", "groq")])
async def test_the_named_providers_are_asked_in_their_order(
    order: tuple[str, ...], several: Stack
) -> None:
    several.double.default = http_error(Kind.SERVER)
    await several.ask("auto", latency=normal(*order, max_attempts=3))
    assert [seen.provider for seen in several.double.requests] == list(order)


async def test_a_named_provider_without_a_key_is_skipped(several: Stack) -> None:
    told = await several.ask("auto", latency=normal("deepseek", "openai", "groq"))
    assert attempts(told) == [("openai", "completed")]
