"""The WebSocket client of docs/examples on Node: nothing comes twice, and nothing is missed."""

import asyncio
from functools import partial

import msgspec
from hypothesis import HealthCheck, given, settings

from adapters.errors import make
from adapters.events import BlockKind, ErrorCode, Failover, SequencedEvent, StreamSnapshot
from service.settings import Settings, Streams, Websocket
from service.streams.fold import Fold
from tests.clients.cut_lines import reading, without_a_gap
from tests.clients.nodes import program
from tests.double.answer import Citation, reasoning, text, tool_call
from tests.double.script import reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import question, stack
from tests.service.dialects.messages_streams import answers
from tests.service.http.serving import becomes

WORDS = [f"word{number} " for number in range(300)]

ASKED = question("claude/auto")

page = partial(reading, "socket")


# --- Answers --------------------------------------------------------------------------------


async def test_an_answer_is_folded_as_it_comes() -> None:
    call = tool_call("weather", '{"city":', '"Oslo"}', call_id="call_1")
    cited = text("It is cold.", citations=(Citation("https://a.test", "A", 0, 5),))
    async with page() as (running, _, client):
        running.double.script(reply(reasoning("Let me ", "see."), cited, call))
        await client.do("start", name="a", request=ASKED)
        seen = await client.do("ends", name="a")
    assert (seen["text"], seen["reasoning"]) == ("It is cold.", "Let me see.")
    assert seen["calls"] == [{"id": "call_1", "name": "weather", "arguments": '{"city":"Oslo"}'}]
    assert [each["citation"]["url"] for each in seen["citations"]] == ["https://a.test"]
    assert (seen["status"], seen["error"]) == ("completed", None)
    assert without_a_gap(seen)


async def test_two_answers_run_side_by_side_over_one_socket() -> None:
    gate = Gate()
    async with page() as (running, _, client):
        running.double.script(reply("Slow", Wait(gate), "ly."), reply("Fast."))
        await client.do("start", name="slow", request=ASKED)
        await client.do("shows", name="slow", text="Slow")
        await client.do("start", name="fast", request=ASKED)
        assert (await client.do("ends", name="fast"))["text"] == "Fast."
        gate.open()
        assert (await client.do("ends", name="slow"))["text"] == "Slowly."
        assert (await client.do("look", name="slow"))["sockets"] == 1


async def test_what_a_broken_provider_had_said_is_taken_back() -> None:
    gate = Gate()
    async with page("openai", "groq") as (running, _, client):
        running.double.on_provider("openai", reply("The capital", " of Fr", Wait(gate), Cut()))
        running.double.on_provider("groq", reply("Paris is", " the capital."))
        order = {"providers": ["openai", "groq"]}
        await client.do("start", name="a", request=question("auto", latency=order))
        await client.do("shows", name="a", text="The capital of Fr")
        gate.open()
        seen = await client.do("ends", name="a")
    assert (seen["text"], seen["status"]) == ("Paris is the capital.", "completed")


async def test_a_refused_request_is_an_error_that_names_its_field_and_harms_no_other() -> None:
    async with page() as (running, _, client):
        running.double.script(reply("Hello."))
        await client.do("start", name="bad", request=ASKED | {"temperature": "hot"})
        await client.do("start", name="good", request=ASKED)
        error = (await client.do("ends", name="bad"))["error"]
        assert (error["code"], error["param"]) == ("invalid_request", "temperature")
        assert error["retryable"] is False
        assert (await client.do("ends", name="good"))["text"] == "Hello."


# --- Lost connections -----------------------------------------------------------------------


async def test_answers_whose_connection_is_cut_go_on_without_loss_or_repetition() -> None:
    gates = [Gate(), Gate()]
    first, second = gates
    script = reply("Hello ", Wait(first), "you, ", Wait(second), "still ", "there?")
    async with page() as (running, line, client):
        running.double.script(script, script)
        for name in ("a", "b"):
            await client.do("start", name=name, request=ASKED)
        for gate, said in zip(gates, ("Hello ", "Hello you, "), strict=True):
            for name in ("a", "b"):
                await client.do("shows", name=name, text=said)
            line.cut()
            gate.open()
        for name in ("a", "b"):
            seen = await client.do("ends", name=name)
            assert (seen["text"], seen["status"]) == ("Hello you, still there?", "completed")
            assert without_a_gap(seen)
        assert (await client.do("look", name="a"))["sockets"] == 3
        assert len(running.double.requests) == 2


async def test_a_request_whose_acknowledgement_was_lost_is_answered_once() -> None:
    gate = Gate()
    async with page() as (running, line, client):
        running.double.script(reply("First."), reply("Hello ", Wait(gate), "you."))
        await client.do("start", name="first", request=ASKED)
        await client.do("ends", name="first")
        line.hush()
        await client.do("start", name="a", request=ASKED)
        await running.double.seen(2)
        assert (await client.do("look", name="a"))["stream"] is None
        line.cut()
        await client.do("shows", name="a", text="Hello ")
        gate.open()
        seen = await client.do("ends", name="a")
        assert seen["text"] == "Hello you."
        assert without_a_gap(seen)
        assert len(running.double.requests) == 2


async def test_a_connection_that_died_without_a_word_is_replaced() -> None:
    gate = Gate()
    settings = Settings(websocket=Websocket(heartbeat_s=0.2))
    async with page(settings=settings) as (running, line, client):
        running.double.script(reply("Hello ", Wait(gate), "you."))
        await client.do("start", name="a", request=ASKED)
        await client.do("shows", name="a", text="Hello ")
        line.hush()
        gate.open()
        seen = await client.do("ends", name="a")
    assert seen["text"] == "Hello you."
    assert without_a_gap(seen)


async def test_an_answer_that_cannot_be_followed_now_is_followed_later() -> None:
    gate = Gate()
    settings = Settings(websocket=Websocket(max_streams=1))
    async with page(settings=settings) as (running, _, client):
        running.double.script(reply("Hello ", Wait(gate), "you."))
        await client.do("start", name="a", request=ASKED)
        begun = await client.do("shows", name="a", text="Hello ")
        await client.do("attach", name="b", stream=begun["stream"])
        await client.do("start", name="c", request=ASKED)
        refused = await client.do("ends", name="c")
        gate.open()
        seen = await client.do("ends", name="b")
    assert (refused["error"]["code"], refused["error"]["retryable"]) == ("rate_limit_client", True)
    assert (seen["text"], seen["error"]) == ("Hello you.", None)
    assert without_a_gap(seen)


async def test_a_service_that_stops_keeps_what_runs_and_the_next_one_gets_what_is_new() -> None:
    gate = Gate()
    async with stack("claude") as other, page() as (running, line, client):
        running.double.script(reply("Hello ", Wait(gate), "you."))
        # Nor does the other service keep a connection, which would be counted as this one's.
        other.double.script(reply("New.", headers=(("connection", "close"),)))
        await client.do("start", name="old", request=ASKED)
        await client.do("shows", name="old", text="Hello ")
        line.lead(other.url)
        async with asyncio.TaskGroup() as group:
            group.create_task(running.service.drain())
            await becomes(lambda: running.service.relay.draining)
            await client.do("start", name="new", request=ASKED)
            assert (await client.do("ends", name="new"))["text"] == "New."
            gate.open()
            seen = await client.do("ends", name="old")
    assert (seen["text"], seen["status"]) == ("Hello you.", "completed")
    assert len(other.double.requests) == 1


# --- Leaving and cancelling -----------------------------------------------------------------


async def test_a_cancelled_answer_is_cancelled_at_its_provider_and_ends_so() -> None:
    async with page() as (running, _, client):
        running.double.script(reply("Hello ", Wait(Gate()), "you."))
        await client.do("start", name="a", request=ASKED)
        await client.do("shows", name="a", text="Hello ")
        await client.do("cancel", name="a")
        seen = await client.do("ends", name="a")
        await running.double.requests[0].left()
    assert (seen["text"], seen["status"], seen["error"]) == ("Hello ", "cancelled", None)
    assert without_a_gap(seen)


async def test_cancelling_while_the_connection_is_lost_is_done_when_it_is_back() -> None:
    async with page() as (running, line, client):
        running.double.script(reply("Hello ", Wait(Gate()), "you."))
        await client.do("start", name="a", request=ASKED)
        await client.do("shows", name="a", text="Hello ")
        line.lead("http://127.0.0.1:9")
        line.cut()
        await client.do("cancel", name="a")
        line.lead(running.url)
        seen = await client.do("ends", name="a")
        await running.double.requests[0].left()
    assert seen["status"] == "cancelled"


async def test_leaving_the_loop_cancels_nothing_and_the_rest_can_be_had_later() -> None:
    gate = Gate()
    async with page() as (running, _, client):
        running.double.script(reply("Hello ", Wait(gate), "you, ", "again."))
        await client.do("start", name="a", request=ASKED)
        begun = await client.do("shows", name="a", text="Hello ")
        await client.do("leave", name="a")
        gate.open()
        left = await client.do("ends", name="a")
        await becomes(lambda: not running.service.relay.store.live)
        last = left["seqs"][-1][-1]
        await client.do("attach", name="b", stream=begun["stream"], options={"after": last})
        rest = await client.do("ends", name="b")
        await client.do("attach", name="c", stream=begun["stream"])
        whole = await client.do("ends", name="c")
    assert (whole["text"], whole["status"]) == ("Hello you, again.", "completed")
    assert without_a_gap({**rest, "seqs": left["seqs"] + rest["seqs"]})


async def test_what_is_cancelled_before_it_was_sent_is_never_asked() -> None:
    async with page() as (running, line, client):
        line.lead("http://127.0.0.1:9")
        await client.do("start", name="a", request=ASKED)
        await client.do("cancel", name="a")
        error = (await client.do("ends", name="a"))["error"]
        line.lead(running.url)
        await client.do("start", name="b", request=ASKED)
        await client.do("ends", name="b")
        assert len(running.double.requests) == 1
    assert error["code"] == "cancelled"


async def test_a_closed_client_listens_no_more_and_cancels_nothing() -> None:
    gate = Gate()
    async with page() as (running, _, client):
        running.double.script(reply("Hello ", Wait(gate), "you."))
        await client.do("start", name="a", request=ASKED)
        begun = await client.do("shows", name="a", text="Hello ")
        await client.do("close")
        assert (await client.do("ends", name="a"))["error"]["code"] == "closed"
        gate.open()
        told = await running.fetch(begun["stream"])
    assert (told.text, told.end["status"]) == ("Hello you.", "completed")


async def test_a_request_that_is_too_large_for_the_socket_harms_no_other() -> None:
    gate = Gate()
    async with page() as (running, _, client):
        running.double.script(reply("Hello ", Wait(gate), "you."))
        await client.do("start", name="a", request=ASKED)
        await client.do("shows", name="a", text="Hello ")
        await client.do("start", name="b", request=ASKED | {"user": "x" * (1 << 20)})
        error = (await client.do("ends", name="b"))["error"]
        gate.open()
        await client.do("ends", name="a")
        sockets = (await client.do("look", name="a"))["sockets"]
    assert (error["code"], error["retryable"], sockets) == ("payload_too_large", False, 1)


# --- Readers that are slow, or late ---------------------------------------------------------


async def test_a_slow_loop_holds_up_no_other_and_gets_the_rest_when_it_wants_it() -> None:
    gate = Gate()
    settings = Settings(streams=Streams(slow_reader_s=0.2))
    async with page(settings=settings) as (running, _, client):
        running.double.script(reply("First ", Wait(gate), *WORDS), reply("Fast."))
        await client.do("start", name="slow", request=ASKED, options={"window": 4096})
        await client.do("shows", name="slow", text="First ")
        await client.do("hold", name="slow")
        gate.open()
        await client.do("start", name="fast", request=ASKED)
        assert (await client.do("ends", name="fast"))["text"] == "Fast."
        # It was detached: nobody reads that stream.
        await becomes(lambda: all(stream.log.readers == 0 for stream in running.streams))
        assert (await client.do("look", name="slow"))["status"] is None
        await client.do("go", name="slow")
        seen = await client.do("ends", name="slow")
        sockets = (await client.do("look", name="slow"))["sockets"]
    assert seen["text"] == "First " + "".join(WORDS)
    assert without_a_gap(seen)
    assert sockets == 1


async def test_a_window_that_is_used_up_is_given_back_as_events_are_taken() -> None:
    """A stream many windows long is not once held up until it counts as slow."""
    async with page() as (running, _, client):
        running.double.script(reply(*WORDS), reply(*WORDS))
        for name in ("a", "b"):
            await client.do("start", name=name, request=ASKED, options={"window": 2048})
        for name in ("a", "b"):
            seen = await client.do("ends", name=name)
            assert seen["text"] == "".join(WORDS)
            assert without_a_gap(seen)


async def test_what_is_no_longer_kept_comes_as_what_it_was() -> None:
    settings = Settings(streams=Streams(max_events=50))
    async with page(settings=settings) as (running, _, client):
        whole = tool_call("weather", "{}", call_id="call_1")
        told = await running.ask("claude/auto", reply(reasoning("Hm."), whole, *WORDS))
        await client.do("attach", name="late", stream=told.stream)
        seen = await client.do("ends", name="late")
    assert seen["text"] == "".join(WORDS)
    assert seen["reasoning"] == "Hm."
    assert [call["id"] for call in seen["calls"]] == ["call_1"]
    assert seen["status"] == "completed"


# --- The fold -------------------------------------------------------------------------------


def _some_streams() -> list[list[SequencedEvent]]:
    """Streams; every other one begins with an answer that is taken back."""
    made: list[list[SequencedEvent]] = []

    @settings(max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(answers(), answers())
    def draw(first: list[SequencedEvent], second: list[SequencedEvent]) -> None:
        made.append([*first[:-1], _restart(first), *second] if len(made) % 2 else second)

    draw()
    return made


def _restart(events: list[SequencedEvent]) -> Failover:
    fold = _folded(events)
    error = make(ErrorCode.STREAM_INTERRUPTED, "it broke")
    return Failover(
        from_attempt=1,
        to=2,
        mode="restart",
        drop=list(fold.blocks),
        error=error,
        must_understand=True,
    )


def _folded(events: list[SequencedEvent]) -> Fold:
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold


async def test_any_stream_folds_to_what_the_service_makes_of_it() -> None:
    streams = _some_streams()
    async with program("socket", "http://nowhere.invalid") as client:
        bodies = [msgspec.to_builtins(events) for events in streams]
        seen = (await client.do("fold", streams=bodies))["folded"]
    assert len(seen) == 60
    for events, folded in zip(streams, seen, strict=True):
        fold = _folded(events)
        assert folded["text"] == fold.text(BlockKind.TEXT)
        assert folded["reasoning"] == fold.text(BlockKind.REASONING)
        assert folded["refusal"] == fold.text(BlockKind.REFUSAL)
        assert folded["calls"] == fold.tool_calls()
        assert folded["citations"] == len(fold.citations)


async def test_a_snapshot_stands_for_what_it_is_in_the_place_of() -> None:
    streams = _some_streams()
    bodies = []
    for events in streams:
        middle = len(events) // 2
        standing = StreamSnapshot(as_of=middle - 1, blocks=_folded(events[:middle]).snapshot())
        # Something that was seen before goes, too.
        bodies.append([*events[: middle // 2], standing, *events[middle:]])
    async with program("socket", "http://nowhere.invalid") as client:
        seen = (await client.do("fold", streams=[msgspec.to_builtins(b) for b in bodies]))["folded"]
    for events, folded in zip(streams, seen, strict=True):
        fold = _folded(events)
        assert folded["text"] == fold.text(BlockKind.TEXT)
        assert folded["reasoning"] == fold.text(BlockKind.REASONING)
        assert folded["refusal"] == fold.text(BlockKind.REFUSAL)
        assert folded["calls"] == fold.tool_calls()
