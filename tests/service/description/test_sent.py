"""What the borrowed APIs' clients send in native parts."""

from jsonschema import Draft202012Validator

from adapters.request import ChatRequest
from service.description import sent

MESSAGE = {"role": "user", "content": "hi"}


def accepts(schema: dict[str, object], value: object) -> bool:
    document = {**schema, "components": {"schemas": sent.components()}}
    return Draft202012Validator(document).is_valid(value)


def test_fields_that_nobody_knows_are_passed_over() -> None:
    messages = sent.required("messages")
    assert accepts(messages, [MESSAGE | {"cache": True}])
    assert not accepts(messages, [MESSAGE | {"content": 1}])
    assert ChatRequest.model_json_schema()["additionalProperties"] is False


def test_null_is_as_good_as_left_out() -> None:
    for name in ("max_tokens", "parallel_tool_calls", "model", "metadata"):
        assert accepts(sent.field(name), None)
    assert not accepts(sent.required("model"), None)
    assert "default" not in sent.field("model")
