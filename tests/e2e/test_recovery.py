"""Cut after any byte, an answer is whole in the end, or it ends with one honest error.

The first provider's answer is cut after each of its bytes in turn; the second one's is always
whole. What the client ends with is folded from its events by the rules of the schema, and compared
with what was meant: never half an answer that calls itself complete, never two answers in one,
never a tool call made of two halves.

Each cut is asked for under a model name of its own: health is kept by model, and a provider that
breaks as often as this one does is not asked any more. As in `test_cuts`, the events are read from
the log: the way from there to a client changes none of them, and it is half of a request's time.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson
import pytest

from adapters.request import ChatRequest
from tests.double.answer import tool_call
from tests.double.faults import cut_at
from tests.double.script import Script, reply, stream
from tests.double.seen import Seen
from tests.e2e.stack import Stack, Told, question, stack
from tests.e2e.test_cuts import events, told_of
from tests.unmeasured import unmeasured

pytestmark = pytest.mark.timeout(180)  # the longest takes 15 s where nothing else runs

AT_ONCE = 24
"""Requests under way at a time."""

MEANT = "The caf\u00e9 is off, he said."
PIECES = ("The ", "caf\u00e9 is", " off,", " he said.")
"""One of them ends in white space, which a provider that goes on is not given."""

OTHER = "Another answer."
CALLS = (("f", '{"a":1}'), ("g", '{"b":2}'))
OTHER_CALL = ("h", '{"c":3}')
TOOLS = [{"type": "function", "function": {"name": name}} for name in "fgh"]

Standing = tuple[str, list[tuple[str, str]]]
"""Text and finished tool calls, without what was taken back."""


class Breaking(NamedTuple):
    """An answer to be cut, and where in its bytes the events are that matter."""

    provider: str
    body: bytes
    first: bytes
    """In the event with the first content, and in none before it."""
    finish: bytes
    """In the event that says the answer is over, and in none before it."""
    text: str = MEANT
    calls: tuple[tuple[str, str], ...] = ()

    def at(self, mark: bytes) -> int:
        """How many bytes it takes to know the event with that in it."""
        return self.body.index(b"\n\n", self.body.index(mark)) + 2


def chat(*deltas: str, finish: str) -> bytes:
    """An answer of the chat format; the deltas are written out."""
    chunks = [f'{{"choices":[{{"delta":{delta}}}]}}' for delta in ('{"role":"assistant"}', *deltas)]
    ending = f'{{"choices":[{{"delta":{{}},"finish_reason":"{finish}"}}]}}'
    return events(*chunks, ending, "[DONE]")


def chat_call(index: int, name: str, arguments: str) -> Iterator[str]:
    """A call in two deltas, its arguments cut in the middle."""
    yield (
        f'{{"tool_calls":[{{"index":{index},"id":"c{index}","function":'
        f'{{"name":"{name}","arguments":{quoted(arguments[:4])}}}}}]}}'
    )
    yield (
        f'{{"tool_calls":[{{"index":{index},"function":{{"arguments":{quoted(arguments[4:])}}}}}]}}'
    )


def block(index: int, start: str, *deltas: str) -> Iterator[str]:
    """A block of the Messages format."""
    yield f'{{"type":"content_block_start","index":{index},"content_block":{start}}}'
    for delta in deltas:
        yield f'{{"type":"content_block_delta","index":{index},"delta":{delta}}}'
    yield f'{{"type":"content_block_stop","index":{index}}}'


def messages(*blocks: Iterator[str], finish: str) -> bytes:
    """An answer of the Messages format, which is read by type where an event has no name."""
    return events(
        '{"type":"message_start","message":{"id":"m","usage":{"input_tokens":1}}}',
        *(event for one in blocks for event in one),
        f'{{"type":"message_delta","delta":{{"stop_reason":"{finish}"}}}}',
        '{"type":"message_stop"}',
    )


def item(index: int, kind: str, *inside: str) -> Iterator[str]:
    """An output item of the Responses format."""
    yield f'{{"type":"response.output_item.added","output_index":{index},"item":{kind}}}'
    yield from inside
    yield f'{{"type":"response.output_item.done","output_index":{index},"item":{kind}}}'


def responses(*items: Iterator[str]) -> bytes:
    """An answer of the Responses format."""
    return events(
        '{"type":"response.created","response":{"id":"r"}}',
        *(event for one in items for event in one),
        '{"type":"response.completed","response":{"id":"r","status":"completed"}}',
    )


def responses_call(index: int, name: str, arguments: str) -> Iterator[str]:
    """A call whose arguments come in one delta."""
    kind = (
        f'{{"type":"function_call","id":"i{index}","call_id":"c{index}","name":"{name}",'
        f'"arguments":{quoted(arguments)}}}'
    )
    delta = (
        f'{{"type":"response.function_call_arguments.delta","output_index":{index},'
        f'"item_id":"i{index}","delta":{quoted(arguments)}}}'
    )
    return item(index, kind, delta)


def quoted(text: str) -> str:
    """As a JSON string."""
    return orjson.dumps(text).decode()


_TEXTS = [quoted(piece) for piece in PIECES]

TEXTS: Mapping[str, Breaking] = {
    "chat": Breaking(
        "openai",
        chat(*(f'{{"content":{text}}}' for text in _TEXTS), finish="stop"),
        b'"The ',
        b'"stop"',
    ),
    "messages": Breaking(
        "claude",
        messages(
            block(
                0,
                '{"type":"text","text":""}',
                *(f'{{"type":"text_delta","text":{text}}}' for text in _TEXTS),
            ),
            finish="end_turn",
        ),
        b'"The ',
        b"end_turn",
    ),
    "responses": Breaking(
        "perplexity",
        responses(
            item(
                0,
                '{"type":"message","id":"i"}',
                *(
                    '{"type":"response.output_text.delta","output_index":0,"content_index":0,'
                    f'"item_id":"i","delta":{text}}}'
                    for text in _TEXTS
                ),
            )
        ),
        b'"The ',
        b"response.completed",
    ),
    "gemini": Breaking(
        "gemini",
        events(
            *(
                f'{{"candidates":[{{"content":{{"parts":[{{"text":{text}}}]}}}}]}}'
                for text in _TEXTS
            ),
            '{"candidates":[{"content":{"parts":[]},"finishReason":"STOP"}]}',
        ),
        b'"The ',
        b"STOP",
    ),
}

WITH_CALLS: Mapping[str, Breaking] = {
    "chat": Breaking(
        "mistral",
        chat(
            '{"content":"Hm. "}',
            *(
                delta
                for index, (name, arguments) in enumerate(CALLS)
                for delta in chat_call(index, name, arguments)
            ),
            finish="tool_calls",
        ),
        b'"Hm. ',
        b'"tool_calls"}',
        "Hm. ",
        CALLS,
    ),
    "messages": Breaking(
        "claude",
        messages(
            block(0, '{"type":"text","text":""}', '{"type":"text_delta","text":"Hm. "}'),
            *(
                block(
                    index,
                    f'{{"type":"tool_use","id":"t{index}","name":"{name}","input":{{}}}}',
                    f'{{"type":"input_json_delta","partial_json":{quoted(arguments[:4])}}}',
                    f'{{"type":"input_json_delta","partial_json":{quoted(arguments[4:])}}}',
                )
                for index, (name, arguments) in enumerate(CALLS, 1)
            ),
            finish="tool_use",
        ),
        b'"Hm. ',
        b'"stop_reason"',
        "Hm. ",
        CALLS,
    ),
    "responses, without a text": Breaking(
        "perplexity",
        responses(*(responses_call(i, name, args) for i, (name, args) in enumerate(CALLS))),
        b"output_item.added",
        b"response.completed",
        "",
        CALLS,
    ),
    "gemini, without a text": Breaking(
        "gemini",
        events(
            *(
                '{"candidates":[{"content":{"parts":[{"functionCall":'
                f'{{"name":"{name}","args":{arguments}}}}}]}}}}]}}'
                for name, arguments in CALLS
            ),
            '{"candidates":[{"content":{"parts":[]},"finishReason":"STOP"}]}',
        ),
        b'"functionCall"',
        b"STOP",
        "",
        CALLS,
    ),
}

ANSWERS = {
    **{f"{name}, text": answer for name, answer in TEXTS.items()},
    **{f"{name}, calls": answer for name, answer in WITH_CALLS.items()},
}


# --- Whoever takes over ----------------------------------------------------------------------

Rescue = Callable[[str, Breaking], Script]
"""What a second provider says, given the beginning it was asked to go on with, if it was."""


def goes_on(beginning: str, answer: Breaking) -> Script:
    """It writes what is missing, from the very next character on, or another answer."""
    call = [tool_call(*OTHER_CALL)] if answer.calls else []
    if not beginning:
        return reply(OTHER, *call)
    return reply(*filter(None, [answer.text[len(beginning) :]]), *call)


def repeats_some(beginning: str, answer: Breaking) -> Script:
    """It begins with the last words once more."""
    assert answer.text.startswith(beginning)
    if not beginning:
        return goes_on(beginning, answer)
    again = answer.text[max(0, len(beginning) - 9) :]
    return reply(again[:5], again[5:])


def repeats_all(beginning: str, answer: Breaking) -> Script:
    """It begins with all that it was given, as Mistral's API does."""
    return goes_on("", answer) if not beginning else reply(answer.text[:7], answer.text[7:])


def beginning_of(body: Mapping[str, Any]) -> str:
    """What a chat or Messages request says that the assistant has already said."""
    for message in reversed(body["messages"]):
        if message["role"] == "assistant":
            content = message["content"]
            return content if isinstance(content, str) else "".join(p["text"] for p in content)
    return ""


async def cut_everywhere(
    running: Stack,
    answer: Breaking,
    rescuer: str,
    check: Callable[[Told, int], None],
    *,
    rescue: Rescue = goes_on,
    **fields: object,
) -> None:
    """Ask once for each byte, many at a time; `check` gets what was told, and the byte."""

    def chosen(seen: Seen) -> Script:
        if seen.provider == answer.provider:
            return stream(answer.body).with_faults(cut_at(int(seen.model.rpartition("-")[2])))
        return rescue(beginning_of(seen.body), answer)

    running.double.choose(chosen)
    tools = {"tools": TOOLS} if answer.calls else {}
    room = asyncio.Semaphore(AT_ONCE)
    # A machine that stands still for seconds is none of what is tested here.
    patient = {"connect_ms": 60_000}

    async def one(size: int) -> None:
        second = rescuer if "/" in rescuer else f"{rescuer}/rescue-{size}"
        latency = {"providers": [f"{answer.provider}/cut-{size}", second]}
        async with room:
            asked = question("auto", latency=latency, deadlines=patient, **tools, **fields)
            told = await told_of(running, ChatRequest.model_validate(asked))
        try:
            check(told, size)
        except AssertionError as wrong:
            wrong.add_note(f"cut after {size} of {len(answer.body)}: {answer.body[:size]!r}")
            wrong.add_note("\n".join(str(event) for event in told.events))
            raise

    seldom = range(0, len(answer.body) + 1, 50)
    await asyncio.gather(*map(one, seldom))
    with unmeasured():
        await asyncio.gather(*map(one, set(range(len(answer.body) + 1)) - set(seldom)))


# --- What stands in the end ------------------------------------------------------------------


def standing(told: Told) -> Standing:
    """Fold a stream: what a reader has that did as it was told."""
    blocks: dict[str, dict[str, Any]] = {}
    for event in told.events:
        match event["type"]:
            case "block.start":
                blocks[event["block"]] = {**event, "text": "", "done": False}
            case "text.delta" | "tool.delta":
                blocks[event["block"]]["text"] += event["delta"]
            case "block.end":
                blocks[event["block"]]["done"] = event["status"] == "complete"
            case "failover":
                for name in event.get("drop", ()):
                    del blocks[name]
            case _:
                pass
    if told.end["status"] == "completed":
        assert all(block["done"] for block in blocks.values()), "an open block in a whole answer"
    text = "".join(block["text"] for block in blocks.values() if block["kind"] == "text")
    calls = [
        (block["name"], block["text"])
        for block in blocks.values()
        if block["kind"] == "tool_call" and block["done"]
    ]
    return text, calls


def is_whole(told: Told, answer: Breaking) -> None:
    """The first provider's answer, and nobody else was asked."""
    assert told.end["status"] == "completed"
    assert told.end["provider"] == answer.provider
    assert standing(told) == (answer.text, list(answer.calls))
    assert len(told.end["attempts"]) == 1


def is_another(told: Told, answer: Breaking) -> None:
    """The second provider's answer, whole, and nothing of the first."""
    assert told.end["status"] == "completed", told.end
    assert told.end["provider"] != answer.provider
    assert standing(told) == (OTHER, [OTHER_CALL] if answer.calls else [])


def is_honest(told: Told, answer: Breaking, code: str) -> None:
    """An error, and of the answer what had come."""
    assert told.end["status"] == "failed", told.end
    assert told.end["error"]["code"] == code
    text, calls = standing(told)
    assert answer.text.startswith(text)
    assert calls == list(answer.calls[: len(calls)])
    assert not told.of("failover")


def finished_call(told: Told) -> bool:
    """Whether a reader may have run a call of the first provider's answer."""
    names = {e["block"] for e in told.of("block.start") if e["attempt"] == 1 and "call_id" in e}
    return any(e["block"] in names and e["status"] == "complete" for e in told.of("block.end"))


# --- The proof -------------------------------------------------------------------------------

RESCUER = "glm"
"""It states no rate limits, which so many requests at once would run into."""

each_answer = pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)


@each_answer
async def test_restarted_an_answer_is_whole_wherever_it_was_cut(answer: Breaking) -> None:
    def check(told: Told, size: int) -> None:
        if size >= answer.at(answer.finish):
            return is_whole(told, answer)
        if finished_call(told):
            return is_honest(told, answer, "failover_impossible")
        is_another(told, answer)
        assert bool(told.of("failover")) == (size >= answer.at(answer.first))
        return None

    async with stack(answer.provider, RESCUER) as running:
        await cut_everywhere(running, answer, RESCUER, check, after_commit="restart")


@pytest.mark.parametrize("name", ["chat, text", "messages, text", "chat, calls"])
async def test_where_a_break_shall_end_it_an_answer_is_whole_or_ends_with_one_error(
    name: str,
) -> None:
    answer = ANSWERS[name]

    def check(told: Told, size: int) -> None:
        if size >= answer.at(answer.finish):
            return is_whole(told, answer)
        if size < answer.at(answer.first):
            return is_another(told, answer)  # nothing was committed: that is no break
        is_honest(told, answer, "stream_interrupted")
        assert len(told.end["attempts"]) == 1
        return None

    async with stack(answer.provider, RESCUER) as running:
        await cut_everywhere(running, answer, RESCUER, check, after_commit="fail")


@pytest.mark.parametrize(
    ("name", "rescue"),
    [("chat", goes_on), ("chat", repeats_some), ("messages", goes_on), ("gemini", goes_on)],
)
async def test_continued_by_a_user_turn_a_text_is_the_text_that_was_meant(
    name: str, rescue: Rescue
) -> None:
    answer = TEXTS[name]
    async with stack(answer.provider, RESCUER) as running:
        await cut_everywhere(
            running,
            answer,
            RESCUER,
            lambda told, size: _continued(told, answer, size),
            rescue=rescue,
            after_commit="continue",
        )


@pytest.mark.parametrize(
    ("prefilled", "rescue"), [("mistral/large", repeats_all), ("deepseek/flash", goes_on)]
)
async def test_continued_by_a_prefill_a_text_is_the_text_that_was_meant(
    prefilled: str, rescue: Rescue
) -> None:
    answer = TEXTS["chat"]
    async with stack(answer.provider, prefilled.partition("/")[0]) as running:
        await cut_everywhere(
            running,
            answer,
            prefilled,
            lambda told, size: _continued(told, answer, size),
            rescue=rescue,
            after_commit="continue",
        )
        asked = [seen for seen in running.double.requests if seen.provider != answer.provider]
        assert any(seen.body["messages"][-1]["role"] == "assistant" for seen in asked)


def _continued(told: Told, answer: Breaking, size: int) -> None:
    if size >= answer.at(answer.finish):
        is_whole(told, answer)
    elif size < answer.at(answer.first):
        is_another(told, answer)
    else:
        assert told.end["status"] == "completed", told.end
        assert standing(told) == (answer.text, [])
        (failover,) = told.of("failover")
        assert failover["mode"] == "continue"


@pytest.mark.parametrize("name", ["chat", "gemini, without a text"])
async def test_a_continued_answer_is_never_continued_inside_a_call(name: str) -> None:
    answer = WITH_CALLS[name]

    def check(told: Told, size: int) -> None:
        if size >= answer.at(answer.finish):
            return is_whole(told, answer)
        if finished_call(told):
            return is_honest(told, answer, "failover_impossible")
        modes = [failover["mode"] for failover in told.of("failover")]
        if modes == ["continue"]:
            # Before the first call began: its text goes on, and another makes the call.
            assert standing(told) == (answer.text, [OTHER_CALL])
            return None
        return is_another(told, answer)

    async with stack(answer.provider, RESCUER) as running:
        await cut_everywhere(running, answer, RESCUER, check, after_commit="continue")


async def test_folded_by_the_service_an_answer_is_whole_wherever_it_was_cut() -> None:
    answer = TEXTS["messages"]
    whole = answer.at(answer.finish)

    async with stack(answer.provider, RESCUER) as running:
        for size in range(0, len(answer.body) + 1, 7):
            running.double.on_provider(
                answer.provider, stream(answer.body).with_faults(cut_at(size))
            )
            running.double.on_provider(RESCUER, reply(OTHER))
            latency = {"providers": [f"{answer.provider}/cut-{size}", RESCUER]}
            body = question("auto", latency=latency, after_commit="restart")
            accept = {"Accept": "application/json"}
            url = f"{running.url}/v1/streams"
            async with running.client.post(url, json=body, headers=accept) as response:
                folded = await response.json()
            assert (response.status, folded["status"]) == (200, "completed")
            assert folded["content"] == (answer.text if size >= whole else OTHER)
