"""A conversation to be summed up, and what of it a client gets back."""

from typing import Any

import pytest
from openai.types.responses import CompactedResponse, ResponseCompactionItem

from adapters.errors import RequestError, UpstreamError
from adapters.events import BlockEnd, BlockKind, BlockStart, Status, StreamEnd, TextDelta
from adapters.request import SystemMessage, UseCase, UserMessage
from service.dialects.projection import Asked
from service.dialects.responses_compaction import TASK, Compaction
from service.dialects.responses_request import SUMMED_UP, Turn, read
from service.dialects.seal import packed
from service.streams.fold import Fold
from tests.service.dialects.responses_streams import NAMED, ending, no_turn

PICTURE = "data:image/png;base64,AAAA"
CONVERSATION = [
    {"role": "user", "content": "What is 2 + 2?"},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
    {"role": "assistant", "content": "I look it up."},
    {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a":2}'},
    {"type": "function_call_output", "call_id": "c1", "output": "4"},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "No more."}]},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "And this?"},
            {"type": "input_image", "image_url": PICTURE},
        ],
    },
]


def asked(routing: dict[str, str] | None = None, **body: object) -> Asked:
    given = {"model": "auto", "input": CONVERSATION, **body}
    return Compaction(no_turn).read(given, routing or {})


def summed_up(*texts: str, of: Asked | None = None, end: StreamEnd | None = None) -> dict[str, Any]:
    fold = Fold()
    fold.add(BlockStart(block="b", index=0, attempt=0, kind=BlockKind.TEXT))
    for text in texts:
        fold.add(TextDelta("b", text))
    fold.add(BlockEnd(block="b", status="complete"))
    return Compaction(no_turn).document(of or asked(), NAMED, fold, end or ending())


def test_the_conversation_is_quoted_in_one_message() -> None:
    task, quoted = asked(instructions="Be brief.").chat.messages
    assert task == SystemMessage(role="system", content=TASK)
    assert quoted == UserMessage(
        role="user",
        content="[developer]\nBe brief.\n\n[user]\nWhat is 2 + 2?\n\n[assistant]\nI look it up."
        '\n\n[call c1]\nadd({"a":2})\n\n[result of c1]\n4\n\n[assistant]\nNo more.'
        "\n\n[user]\nAnd this?",
    )


def test_it_is_a_summary_that_is_asked_for_unless_the_client_says_what_for() -> None:
    assert asked().chat.use_case is UseCase.SUMMARIZATION
    assert asked({"use_case": "analysis"}).chat.use_case is UseCase.ANALYSIS


def test_only_what_makes_the_conversation_is_taken() -> None:
    request = asked(stream=True, tools=[{"type": "web_search"}], max_output_tokens=1)
    assert (request.streams, request.chat.tools, request.chat.max_tokens) == (False, None, None)


def test_without_a_model_it_is_refused() -> None:
    with pytest.raises(RequestError, match="model: missing"):
        Compaction(no_turn).read({"input": "hi"}, {})


def test_an_earlier_response_is_summed_up_with_what_led_to_it() -> None:
    before = Turn(
        [UserMessage(role="user", content="Hi")], [{"role": "assistant", "content": "Yo"}]
    )
    request = Compaction(lambda _: before).read(
        {"model": "auto", "previous_response_id": "resp_1"}, {}
    )
    quoted = request.chat.messages[-1]
    assert quoted.content == "[user]\nHi\n\n[assistant]\nYo"


def test_what_the_user_said_is_given_back_before_the_summary() -> None:
    document = summed_up("They ", "added.")
    assert set(document) == {name for name in CompactedResponse.model_fields if name != "image"}
    first, second, summary = document["output"]
    assert (first["type"], first["role"], first["status"]) == ("message", "user", "completed")
    ResponseCompactionItem.model_validate(summary)
    assert first["content"] == [{"type": "input_text", "text": "What is 2 + 2?"}]
    assert second["content"][1]["image_url"] == PICTURE
    assert summary["encrypted_content"] == packed("They added.")
    assert len({item["id"] for item in document["output"]}) == 3
    assert document["usage"]["total_tokens"] == 50


def test_a_conversation_goes_on_from_it_and_can_be_compacted_again() -> None:
    again = [*summed_up("Four.")["output"], {"role": "user", "content": "And 3?"}]
    messages = read({"input": again}, {}, no_turn).chat.messages
    assert messages[2] == UserMessage(role="user", content=f"{SUMMED_UP}Four.")
    request = asked(input=again)
    assert f"[user]\n{SUMMED_UP}Four." in str(request.chat.messages[1].content)
    output = summed_up("Seven.", of=request)["output"]
    said = [item["content"][0]["text"] for item in output[:-1]]
    assert said == ["What is 2 + 2?", "And this?", "And 3?"]


def test_what_others_compacted_is_refused_by_name() -> None:
    with pytest.raises(
        RequestError, match=r"input\[0\].encrypted_content: only what was compacted"
    ):
        read({"input": [{"type": "compaction", "encrypted_content": "gAAAA"}]}, {}, no_turn)


def test_what_was_cut_on_its_way_is_refused_by_name() -> None:
    cut = {"type": "compaction", "encrypted_content": packed("They added 2 and 2.")[:-4]}
    with pytest.raises(RequestError, match=r"input\[0\].encrypted_content: .* were lost, added"):
        read({"input": [cut]}, {}, no_turn)


@pytest.mark.parametrize(
    ("texts", "status"), [([], Status.COMPLETED), (["Half of"], Status.INCOMPLETE)]
)
def test_a_summary_that_is_none_or_was_cut_is_an_error(texts: list[str], status: Status) -> None:
    with pytest.raises(UpstreamError, match="wrote no summary"):
        summed_up(*texts, end=ending(status=status))
