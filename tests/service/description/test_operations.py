"""A row of a table as OpenAPI has it."""

from adapters.errors import RULES
from adapters.events import ErrorCode
from service.description.operations import (
    Answer,
    Link,
    Operation,
    Parameter,
    asking,
    described,
    item,
    json,
    refusing,
    text,
)

DATA = {"type": "object"}
HELD = {"type": "string", "contentMediaType": "application/json", "contentSchema": DATA}


def test_an_operation_says_all_that_there_is_to_it() -> None:
    operation = Operation(
        method="post",
        path="/fruit/{id}",
        id="pick",
        said="Pick a fruit",
        more="It has to be ripe.",
        parameters=(Parameter(name="id", where="path", said="Which."),),
        body=json(DATA),
        examples={"an apple": {"kind": "apple"}},
        answers={
            201: Answer(
                said="Picked.",
                content=json(DATA),
                headers={"Location": "Where it is."},
                links=(Link("eat", {"id": "$response.body#/id"}),),
            )
        },
        refusal=refusing(text(), ErrorCode.NOT_FOUND),
    )
    told = described(operation, "Fruit")
    assert told["operationId"] == "pick"
    assert told["tags"] == ["Fruit"]
    assert told["description"] == "It has to be ripe."
    assert told["parameters"][0]["required"] is True
    body = told["requestBody"]["content"]["application/json"]
    assert body == {"schema": DATA, "examples": {"an apple": {"value": {"kind": "apple"}}}}
    assert list(told["responses"]) == ["201", "400", "403", "404", "500"]
    assert told["responses"]["201"]["links"]["eat"]["operationId"] == "eat"
    assert told["responses"]["404"]["content"] == text()
    assert "Retry-After" in told["responses"]["500"]["headers"]
    assert "headers" not in told["responses"]["404"]


def test_what_is_asked_for_an_answer_may_fail_with_any_status_that_an_attempt_may() -> None:
    statuses = asking(text()).statuses
    assert {RULES[code].http for code in ErrorCode if code.startswith("upstream")} <= statuses
    assert statuses >= {400, 403, 413, 422, 429, 500, 502, 503, 504}
    assert statuses & {200, 401, 410} == set()
    assert 410 in asking(text(), ErrorCode.STREAM_EXPIRED).statuses


def test_an_item_is_a_server_sent_event_that_holds_json() -> None:
    assert item(DATA) == {"type": "object", "properties": {"data": HELD}, "required": ["data"]}
    ended = item(DATA, last="[DONE]", event={"type": "string"})
    assert ended["properties"]["data"] == {"anyOf": [{"const": "[DONE]"}, HELD]}
    assert ended["required"] == ["data"], "what ends the stream has no name"
    named = item(DATA, event={"type": "string"}, identified="where to go on")
    assert named["required"] == ["data", "event"]
    assert set(named["properties"]) == {"data", "event", "id", "retry"}
