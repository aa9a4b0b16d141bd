"""A conversation compacted by OpenAI's own client, and gone on from."""

import pytest
from openai import APIStatusError, BadRequestError

from tests.service.http.responding import MODEL, responding
from tests.service.scripted import Scripted, chat

TALK = [
    {"type": "message", "role": "user", "content": "We launch on Tuesday."},
    {"type": "message", "role": "assistant", "content": "Understood."},
]


def texts(provider: Scripted) -> list[str]:
    """What the messages of the last request that went out say."""
    return [message["content"] for message in provider.sent[-1].body["messages"]]


async def test_a_compacted_conversation_is_gone_on_from() -> None:
    provider = Scripted(*chat("Launch ", "is settled."))
    async with responding(provider) as bench:
        compacted = await bench.client.responses.compact(model=MODEL, input=TALK)
        assert "[assistant]\nUnderstood." in texts(provider)[-1]
        assert [item.type for item in compacted.output] == ["message", "compaction"]
        assert compacted.usage.total_tokens == 5
        # The SDK's types take every message of an output for the assistant's, and warn.
        window = [item.model_dump(mode="json", warnings=False) for item in compacted.output]
        answer = await bench.client.responses.create(
            model=MODEL, input=[*window, {"role": "user", "content": "When?"}]
        )
    assert answer.output_text
    assert texts(provider) == [
        "We launch on Tuesday.",
        "What we said so far, in short:\n\nLaunch is settled.",
        "When?",
    ]


async def test_a_response_is_compacted_by_its_id() -> None:
    provider = Scripted(*chat("Hello"))
    async with responding(provider) as bench:
        first = await bench.client.responses.create(model=MODEL, input="Hi")
        compacted = await bench.client.responses.compact(model=MODEL, previous_response_id=first.id)
    assert texts(provider)[-1] == "[user]\nHi\n\n[assistant]\nHello"
    assert len(compacted.output) == 2


async def test_a_summary_is_no_response_to_come_back_to() -> None:
    async with responding(Scripted(*chat("Short."))) as bench:
        compacted = await bench.client.responses.compact(model=MODEL, input=TALK)
        with pytest.raises(APIStatusError) as caught:
            await bench.client.responses.retrieve(compacted.id)
    assert caught.value.status_code == 404


async def test_what_cannot_be_compacted_is_refused_in_openai_s_shape() -> None:
    async with responding(Scripted(*chat("x"))) as bench:
        async with bench.session.post(f"{bench.url}/compact", json={"input": TALK}) as response:
            assert response.status == 400
            refusal = (await response.json())["error"]
        assert (refusal["type"], refusal["param"]) == ("invalid_request_error", "model")
        with pytest.raises(BadRequestError) as caught:
            await bench.client.responses.compact(model=MODEL, previous_response_id="resp_none")
    assert caught.value.code == "previous_response_not_found"


async def test_a_model_that_writes_no_summary_is_an_error() -> None:
    async with responding(Scripted(*chat())) as bench:
        with pytest.raises(APIStatusError) as caught:
            await bench.client.responses.compact(model=MODEL, input=TALK)
    assert caught.value.status_code == 502
