"""The Responses API's routes, asked by OpenAI's own client."""

import pytest
from openai import APIStatusError, BadRequestError, ConflictError, NotFoundError
from openai.types.responses import Response

from adapters.errors import UpstreamError, make
from adapters.events import ErrorCode
from adapters.request import ChatRequest
from service.dialects.responses_resource import response_id
from service.http.turns import Turns
from service.relay import Ask
from tests.double.steps import Gate
from tests.service.http.responding import MODEL, Bench, calling, responding
from tests.service.http.serving import parsed, until
from tests.service.http.ui_served import said
from tests.service.scripted import Scripted, chat

CUT = UpstreamError(make(ErrorCode.STREAM_INTERRUPTED, "the connection was reset"))
REFUSED = UpstreamError(make(ErrorCode.RATE_LIMIT_PROVIDER, "slow down", retry_after_ms=1500))
TOOL = {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": False}


def sent(provider: Scripted) -> list[dict[str, object]]:
    """The messages of the last request that went out."""
    messages: list[dict[str, object]] = provider.sent[-1].body["messages"]
    return messages


async def answered(bench: Bench, **body: object) -> Response:
    response = await bench.client.responses.create(model=MODEL, **{"input": "hi", **body})
    assert isinstance(response, Response)
    return response


# --- Asking ---------------------------------------------------------------------------------


async def test_a_whole_response_is_the_answer() -> None:
    async with responding(Scripted(*chat("Hello", " you"))) as bench:
        raw = await bench.client.responses.with_raw_response.create(model=MODEL, input="hi")
        response = raw.parse()
    assert response.output_text == "Hello you"
    assert response.status == "completed"
    assert response.usage is not None
    assert response.usage.total_tokens == 5
    assert raw.headers["tailrace-provider"] == "openai"
    assert response.id == f"resp_{raw.headers['tailrace-stream-id'].removeprefix('st_')}"


async def test_a_failure_before_content_is_an_error_the_client_knows() -> None:
    async with responding(Scripted(REFUSED)) as bench:
        with pytest.raises(APIStatusError) as caught:
            await answered(bench, stream=True)
    assert caught.value.body is not None
    assert caught.value.status_code >= 400


async def test_a_field_that_is_wrong_is_named() -> None:
    async with responding(Scripted(*chat("x"))) as bench:
        with pytest.raises(BadRequestError) as caught:
            await answered(bench, temperature=9)
    assert caught.value.param == "temperature"


# --- Coming back ----------------------------------------------------------------------------


async def test_events_are_told_again_after_any_number_of_them() -> None:
    async with responding(Scripted(*chat("a", "b", "c"))) as bench:
        stream = await bench.client.responses.create(model=MODEL, input="hi", stream=True)
        first = [event async for event in stream]
        name = first[0].response.id
        for after in range(len(first)):
            again = await bench.client.responses.retrieve(name, stream=True, starting_after=after)
            assert [event async for event in again] == first[after + 1 :]


async def test_a_response_under_way_is_followed_to_its_end() -> None:
    gate = Gate()
    async with responding(Scripted(*chat("a", gate, "b"))) as bench:
        body = {"model": MODEL, "input": "hi", "stream": True, "background": True}
        async with bench.session.post(bench.url, json=body) as first:
            head = await until(first, b"output_text.delta")
            name = parsed(head)[0].data["response"]["id"]
        shown = await bench.client.responses.retrieve(name)
        assert (shown.status, shown.output_text) == ("in_progress", "a")
        again = await bench.client.responses.retrieve(name, stream=True, starting_after=4)
        gate.open()
        told = [event async for event in again]
    assert told[0].sequence_number == 5
    assert told[-1].type == "response.completed"
    assert told[-1].response.output_text == "ab"


async def test_what_runs_in_the_background_is_shown_at_once_and_asked_for_until_it_has_ended() -> (
    None
):
    gate = Gate()
    async with responding(Scripted(*chat("a", gate, "b"))) as bench:
        begun = await answered(bench, background=True)
        assert (begun.status, begun.background, begun.output) == ("in_progress", True, [])
        under_way = await bench.client.responses.retrieve(begun.id, stream=True)
        async for event in under_way:
            if event.type == "response.output_text.delta":
                break
        shown = await bench.client.responses.retrieve(begun.id)
        assert (shown.status, shown.output_text) == ("in_progress", "a")
        gate.open()
        async for _ in under_way:
            pass
        ended = await bench.client.responses.retrieve(begun.id)
    assert (ended.status, ended.output_text) == ("completed", "ab")


async def test_what_fails_in_the_background_is_a_response_that_failed() -> None:
    async with responding(Scripted(*chat("a")[:1], CUT)) as bench:
        begun = await answered(bench, background=True)
        async for event in await bench.client.responses.retrieve(begun.id, stream=True):
            last = event
        failed = await bench.client.responses.retrieve(begun.id)
    assert last.type == "response.failed"
    assert (failed.status, failed.error.code) == ("failed", "server_error")


async def test_a_response_is_cancelled_as_it_stands() -> None:
    gate = Gate()
    async with responding(Scripted(*chat("a", gate, "b"))) as bench:
        stream = await bench.client.responses.create(model=MODEL, input="hi", stream=True)
        told = []
        async for event in stream:
            told.append(event)
            if event.type == "response.output_text.delta":
                name = told[0].response.id
                cancelled = await bench.client.responses.cancel(name)
                assert (cancelled.status, cancelled.output_text) == ("cancelled", "a")
    assert told[-1].type == "response.failed"
    assert told[-1].response.status == "cancelled"


async def test_a_broken_answer_ends_with_a_failed_response_and_no_mark_of_an_end() -> None:
    async with responding(Scripted(*chat("a")[:1], CUT)) as bench:
        body = {"model": MODEL, "input": "hi", "stream": True}
        async with bench.session.post(bench.url, json=body) as response:
            told = await response.read()
    assert b"[DONE]" not in told
    last = parsed(told)[-1]
    assert last.event == "response.failed"
    assert last.data["response"]["error"]["code"] == "server_error"
    assert b"event: error" not in told


async def test_of_a_response_whose_beginning_is_gone_there_is_all_or_nothing() -> None:
    words = [f"{number} " for number in range(40)]
    async with responding(Scripted(*chat(*words)), max_events=16) as bench:
        response = await answered(bench)
        again = await bench.client.responses.retrieve(response.id, stream=True)
        told = [event async for event in again]
        assert told[-1].type == "response.completed"
        assert told[-1].response.output_text == "".join(words)
        with pytest.raises(APIStatusError) as caught:
            await bench.client.responses.retrieve(response.id, stream=True, starting_after=3)
    assert (caught.value.status_code, caught.value.code) == (410, "stream_expired")


async def test_a_stream_of_another_dialect_is_no_response() -> None:
    async with responding(Scripted(*chat("a"))) as bench:
        chat_request = ChatRequest.model_validate(
            {"messages": [{"role": "user", "content": "hi"}], "model": MODEL}
        )
        ask = Ask(request=chat_request, dialect="native", cancel_after=None, arrived=0)
        stream, _ = bench.relay.open(ask)
        with pytest.raises(NotFoundError):
            await bench.client.responses.retrieve(f"resp_{stream.id.removeprefix('st_')}")
        await stream.over()


@pytest.mark.parametrize("name", ["resp_0", "st_1", "nonsense"])
async def test_a_response_that_is_not_known_is_a_404(name: str) -> None:
    async with responding(Scripted(*chat("a"))) as bench:
        with pytest.raises(NotFoundError):
            await bench.client.responses.retrieve(name)


async def test_a_response_that_was_not_stored_is_not_there_later() -> None:
    async with responding(Scripted(*chat("a"))) as bench:
        response = await answered(bench, store=False)
        with pytest.raises(NotFoundError):
            await bench.client.responses.retrieve(response.id)
        with pytest.raises(BadRequestError, match="not found") as caught:
            await answered(bench, previous_response_id=response.id)
    assert caught.value.code == "previous_response_not_found"


async def test_a_key_does_not_give_a_response_that_is_stored_for_one_that_is_not() -> None:
    named = {"extra_headers": {"Idempotency-Key": "k"}}
    async with responding(Scripted(*chat("a"))) as bench:
        first = await answered(bench, store=False, **named)
        assert (await answered(bench, store=False, **named)).id == first.id
        with pytest.raises(ConflictError):
            await bench.client.with_options(max_retries=0).responses.create(
                model=MODEL, input="hi", extra_headers={"Idempotency-Key": "k"}
            )


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("stream=true&starting_after=x", "starting_after"),
        ("starting_after=false", "starting_after"),
        ("starting_after=99999999999999999999", "starting_after"),
        ("stream=yes", "stream"),
    ],
)
async def test_a_parameter_that_is_none_is_refused(query: str, param: str) -> None:
    async with responding(Scripted(*chat("a"))) as bench:
        response = await answered(bench)
        async with bench.session.get(f"{bench.url}/{response.id}?{query}") as refusal:
            assert refusal.status == 400
            assert (await refusal.json())["error"]["param"] == param


async def test_a_number_that_no_event_has_is_told_the_range() -> None:
    async with responding(Scripted(*chat("a"))) as bench:
        response = await answered(bench)
        url = f"{bench.url}/{response.id}?starting_after={10**19}"
        async with bench.session.get(url) as refusal:
            message = (await refusal.json())["error"]["message"]
    assert message.endswith("must be a whole number from -1 to 999999999999999")


async def test_what_another_dialect_was_asked_is_no_response() -> None:
    provider = Scripted(*chat("a"))
    async with responding(provider) as bench:
        turn, stream = await Turns(bench.relay).begin(said(), {})
        await stream.over()
        name = response_id(stream.id)
        with pytest.raises(NotFoundError):
            await bench.client.responses.retrieve(name)
        with pytest.raises(BadRequestError, match="not found"):
            await answered(bench, previous_response_id=name)
    assert turn.chat == "c1"


# --- Going on -------------------------------------------------------------------------------


async def test_a_response_is_continued_without_its_instructions() -> None:
    provider = Scripted(*chat("four"))
    async with responding(provider) as bench:
        first = await answered(bench, input="2+2?", instructions="Be brief.")
        await answered(bench, input="twice?", previous_response_id=first.id)
    said = [(one["role"], one["content"]) for one in sent(provider)]
    assert said == [("user", "2+2?"), ("assistant", "four"), ("user", "twice?")]


async def test_a_tool_s_result_finds_its_call_in_the_response_before() -> None:
    provider = Scripted(*calling("call_1", "add", '{"a":1}'))
    async with responding(provider) as bench:
        first = await answered(bench, tools=[TOOL])
        (call,) = first.output
        assert call.type == "function_call"
        provider.pieces = chat("two")
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "2"}
        second = await answered(bench, input=[result], previous_response_id=first.id, tools=[TOOL])
        assert second.output_text == "two"
        assert second.previous_response_id == first.id
        assert [one["role"] for one in sent(provider)] == ["user", "assistant", "tool"]
        orphan = {**result, "call_id": "call_2"}
        with pytest.raises(BadRequestError, match="no tool call found"):
            await answered(bench, input=[orphan], previous_response_id=first.id)


async def test_a_response_that_is_still_coming_or_broke_is_not_continued() -> None:
    gate = Gate()
    provider = Scripted(*chat("a", gate, "b")[:2], CUT)
    async with responding(provider) as bench:
        stream = await bench.client.responses.create(model=MODEL, input="hi", stream=True)
        created = await anext(aiter(stream))
        with pytest.raises(BadRequestError, match="in progress"):
            await answered(bench, previous_response_id=created.response.id)
        gate.open()
        assert [event async for event in stream][-1].type == "response.failed"
        with pytest.raises(BadRequestError, match="failed") as caught:
            await answered(bench, previous_response_id=created.response.id)
    assert caught.value.code == "previous_response_not_found"


async def test_a_request_is_remembered_as_long_as_its_stream() -> None:
    async with responding(Scripted(*chat("a"))) as bench:
        response = await answered(bench)
        bench.relay.store.sweep(float("inf"))
        with pytest.raises(BadRequestError, match="not found") as caught:
            await answered(bench, previous_response_id=response.id)
    assert caught.value.code == "previous_response_not_found"


async def test_an_item_is_referred_to_by_its_name_alone() -> None:
    provider = Scripted(*chat("four"))
    async with responding(provider) as bench:
        first = await answered(bench, input="2+2?")
        reference = {"type": "item_reference", "id": first.output[0].id}
        asked = [{"role": "user", "content": "2+2?"}, reference]
        await answered(bench, input=[*asked, {"role": "user", "content": "twice?"}])
    assert [one["content"] for one in sent(provider)] == ["2+2?", "four", "twice?"]
