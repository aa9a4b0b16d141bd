"""What the Responses API takes, as far as it is spoken here: items, tools, and two requests.

The structs are the items that have one form; what `service.dialects.responses_request` reads more
freely than a struct can say (a message with or without its type) is written out.
"""

from typing import Final, Literal, get_args

from msgspec import UNSET, Struct, UnsetType

from adapters.request import MAX_TOOLS, Effort
from service.description import sent
from service.description.components import Schema, merged, nullable, of_model, of_structs, ref
from service.dialects import responses_compaction
from service.dialects.responses_request import PREVIOUS, Echoed

REQUEST: Final = "ResponseRequest"
COMPACTION_REQUEST: Final = "CompactionRequest"

_MESSAGE: Final = "InputMessage"
_RESULT: Final = "InputCallOutput"
_TOOL: Final = "ResponseTool"


class InputText(Struct):
    """Words."""

    type: Literal["input_text", "output_text", "text", "summary_text", "reasoning_text"]
    text: str


class InputRefusal(Struct, tag_field="type", tag="refusal"):
    """Words of refusal, in an earlier answer."""

    refusal: str


class InputImage(Struct, tag_field="type", tag="input_image"):
    """A picture that the user shows: an http(s) address or a data URL."""

    image_url: str
    detail: str | UnsetType | None = UNSET


class InputCall(Struct, tag_field="type", tag="function_call"):
    """A call that an earlier answer made."""

    call_id: str
    name: str
    arguments: str


class InputReasoning(Struct, tag_field="type", tag="reasoning"):
    """Thoughts of an earlier answer: send them back as they came."""

    summary: list[InputText] | UnsetType = UNSET
    content: list[InputText] | UnsetType | None = UNSET
    encrypted_content: str | UnsetType | None = UNSET


class ItemReference(Struct, tag_field="type", tag="item_reference"):
    """An item of an earlier response that is still kept."""

    id: str


class CompactionItem(Struct, tag_field="type", tag="compaction"):
    """A conversation, summed up here: send it back as it came."""

    encrypted_content: str
    id: str | UnsetType | None = UNSET


def schemas() -> dict[str, Schema]:
    """The components of what is taken."""
    items = of_structs(
        InputText,
        InputRefusal,
        InputImage,
        InputCall,
        InputReasoning,
        ItemReference,
        CompactionItem,
    )
    return merged(items, sent.components(), _objects(), _request())


def _parts(*kinds: type) -> Schema:
    return {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"anyOf": [ref(kind) for kind in kinds]}},
        ]
    }


def _objects() -> dict[str, Schema]:
    """What the request is made of, beside the structs above."""
    message = {
        "type": "object",
        "description": "What somebody said.",
        "properties": {
            "type": {"const": "message"},
            "role": {"enum": ["user", "assistant", "system", "developer"]},
            "content": _parts(InputText, InputImage, InputRefusal),
        },
        "required": ["role", "content"],
    }
    result = {
        "type": "object",
        "description": "What a call gave; the call is among the items before, or continued.",
        "properties": {
            "type": {"const": "function_call_output"},
            "call_id": {"type": "string"},
            "output": _parts(InputText),
        },
        "required": ["type", "call_id", "output"],
    }
    function = sent.components()[f"{sent.PREFIX}FunctionSpec"]
    tool = {
        "type": "object",
        "description": "A function that the model may call.",
        "properties": {"type": {"const": "function"}, **function["properties"]},
        "required": ["type", "name"],
    }
    return {_MESSAGE: message, _RESULT: result, _TOOL: tool}


def _request() -> dict[str, Schema]:
    boolean = nullable({"type": "boolean"})
    items = [ref(kind) for kind in (InputCall, InputReasoning, ItemReference, CompactionItem)]
    echoed = of_model(Echoed)[Echoed.__name__]["properties"]
    properties = {
        "input": nullable(
            {
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"anyOf": [ref(_MESSAGE), ref(_RESULT), *items]}},
                ]
            }
        ),
        "model": sent.field("model"),
        "stream": boolean,
        "background": boolean,
        "instructions": nullable({"type": "string"}),
        PREVIOUS: nullable({"type": "string"}),
        "max_output_tokens": sent.field("max_tokens"),
        "temperature": sent.field("temperature"),
        "top_p": sent.field("top_p"),
        "parallel_tool_calls": sent.field("parallel_tool_calls"),
        "metadata": sent.field("metadata"),
        "user": sent.field("user"),
        "reasoning": nullable(
            {
                "type": "object",
                "properties": {"effort": nullable({"enum": list(get_args(Effort))})},
            }
        ),
        "text": nullable({"type": "object", "properties": {"format": nullable(_format())}}),
        "tools": nullable({"type": "array", "maxItems": MAX_TOOLS, "items": ref(_TOOL)}),
        "tool_choice": nullable(_choice()),
        **echoed,
    }
    request = {
        "type": "object",
        "description": "Items to go on with. Fields that are not named are passed over.",
        "properties": properties,
    }
    compaction = {
        "type": "object",
        "description": "A conversation to be summed up.",
        "properties": {name: properties[name] for name in responses_compaction.TAKEN},
        "required": ["model"],
    }
    return {REQUEST: request, COMPACTION_REQUEST: compaction}


def _format() -> Schema:
    spec = sent.components()[f"{sent.PREFIX}JsonSchema"]
    plain = {"type": "object", "properties": {"type": {"enum": ["text", "json_object"]}}}
    typed = {
        "type": "object",
        "properties": {"type": {"const": "json_schema"}, **spec["properties"]},
        "required": ["type", *spec["required"]],
    }
    return {"anyOf": [plain | {"required": ["type"]}, typed]}


def _choice() -> Schema:
    function = {
        "type": "object",
        "properties": {"type": {"const": "function"}, "name": {"type": "string"}},
        "required": ["type", "name"],
    }
    allowed = {
        "type": "object",
        "properties": {
            "type": {"const": "allowed_tools"},
            "mode": {"enum": ["auto", "required"]},
            "tools": {"type": "array", "items": {"type": "object"}},
        },
        "required": ["type", "tools"],
    }
    return {"anyOf": [{"enum": ["none", "auto", "required"]}, function, allowed]}
