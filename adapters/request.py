"""What a client may ask: the one validation, at the edge.

`ChatRequest` is the body of `POST /v1/streams`, field by field as the public interface fixes it.
It is strict (no "5" for 5), refuses unknown fields by name and is frozen; everything behind it
trusts it. A validator's message says what is allowed and nothing else: the field and its value are
told around it (`service.complaints`). Limits that protect the service (2,000 messages, string
lengths) sit here; the body's size is bounded before it is parsed.
"""

import base64
import binascii
import re
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    field_validator,
    model_validator,
)

MAX_MESSAGES = 2_000
MAX_PARTS = 2_000
"""Of one message: what is wrong with each of 300,000 would take seconds to say."""

MAX_TOOLS = 256
MAX_STOP = 16


class UseCase(StrEnum):
    """What the answer is for; routing ranks candidates by it."""

    CLASSIFICATION = "classification"
    SUMMARIZATION = "summarization"
    ANALYSIS = "analysis"
    CODE_GENERATION = "code_generation"
    TRANSLATION = "translation"
    QUESTION_ANSWERING = "question_answering"
    CREATIVE_WRITING = "creative_writing"
    DATA_EXTRACTION = "data_extraction"
    CONVERSATION = "conversation"
    WEB_SEARCH = "web_search"
    LONG_CONTEXT = "long_context"
    EXPERT = "expert"


class Tier(StrEnum):
    """Which estimated cost a request may have."""

    ULTRA_ECONOMY = "ultra_economy"
    ECONOMY = "economy"
    STANDARD = "standard"
    PREMIUM = "premium"
    ENTERPRISE = "enterprise"


class Complexity(StrEnum):
    """How hard the task is, in the caller's eyes."""

    SIMPLE = "simple"
    MODERATE = "moderate"
    COMPLEX = "complex"
    EXPERT = "expert"


class Strategy(StrEnum):
    """How much to spend on a fast first token."""

    NORMAL = "normal"
    HEDGE = "hedge"
    RACE = "race"


class AfterCommit(StrEnum):
    """What to do when the answering provider breaks mid-answer."""

    RESTART = "restart"
    CONTINUE = "continue"
    FAIL = "fail"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


# --- Messages -------------------------------------------------------------------------------


class TextPart(_Model):
    """A piece of text."""

    type: Literal["text"]
    text: str


_DATA_URL = re.compile(r"data:(image/(?:png|jpeg|gif|webp));base64,")
_BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_ADDRESS = rf"^(?:https?://|{_DATA_URL.pattern}{_BASE64}$)"
"""What the validator below lets through, for the schema alone: of a megabyte, a pattern is slow."""


class ImageUrl(_Model):
    """Where an image is: an http(s) address the provider fetches, or a data URL."""

    url: str = Field(json_schema_extra={"pattern": _ADDRESS})
    detail: Literal["auto", "low", "high"] | None = None

    @field_validator("url")
    @classmethod
    def _known_form(cls, url: str) -> str:
        if url.startswith(("https://", "http://")):
            return url
        match = _DATA_URL.match(url)
        if match is None:
            message = "an http(s) address or a base64 data URL of a png, jpeg, gif or webp image"
            raise ValueError(message)
        try:
            base64.b64decode(url[match.end() :], validate=True)
        except binascii.Error:
            message = "a data URL whose payload is base64"
            raise ValueError(message) from None
        return url

    def data(self) -> tuple[str, str] | None:
        """(media type, base64 payload) of a data URL, else None."""
        match = _DATA_URL.match(self.url)
        return (match.group(1), self.url[match.end() :]) if match else None


class ImagePart(_Model):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


Texts = Annotated[list[TextPart], Field(max_length=MAX_PARTS)]
Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Signature(_Model):
    """A value a provider gave out and wants back: only sent to the provider that made it."""

    provider: str
    format: str
    value: str
    id: str | None = None


class Reasoning(_Model):
    """Reasoning of an earlier answer, as `reasoning.delta` and `reasoning.signature` gave it."""

    text: str = ""
    signature: Signature | None = None


class FunctionCall(_Model):
    """A call's name and its argument text, JSON as the model wrote it."""

    name: str = Field(min_length=1, max_length=128)
    arguments: str


class ToolCall(_Model):
    """A tool call the assistant made."""

    id: str = Field(min_length=1, max_length=256)
    type: Literal["function"] = "function"
    function: FunctionCall
    signature: Signature | None = None


class SystemMessage(_Model):
    """Instructions."""

    role: Literal["system", "developer"]
    content: str | Texts
    name: str | None = None


class UserMessage(_Model):
    """What the user said or showed."""

    role: Literal["user"]
    content: str | Annotated[list[Part], Field(min_length=1, max_length=MAX_PARTS)]
    name: str | None = None


_SAYING: dict[str, JsonValue] = {
    "anyOf": [
        {"required": ["content"], "properties": {"content": {"not": {"type": "null"}}}},
        {"required": ["refusal"], "properties": {"refusal": {"type": "string"}}},
        {
            "required": ["tool_calls"],
            "properties": {"tool_calls": {"type": "array", "minItems": 1}},
        },
    ]
}
"""What `AssistantMessage` wants beside its fields' types, for the schema."""


class AssistantMessage(_Model):
    """What the assistant answered before."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
        json_schema_extra=_SAYING,
    )

    role: Literal["assistant"]
    content: str | Texts | None = None
    refusal: str | None = None
    reasoning: list[Reasoning] | None = None
    tool_calls: list[ToolCall] | None = None
    name: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and not self.tool_calls and self.refusal is None:
            message = "a message with content, refusal or tool_calls"
            raise ValueError(message)
        return self


class ToolMessage(_Model):
    """A tool's result."""

    role: Literal["tool"]
    tool_call_id: str = Field(min_length=1, max_length=256)
    content: str | Texts
    name: str | None = None


Message = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


def text_of(content: str | list[TextPart] | list[Part] | None) -> str:
    """The text of a message's content, its parts joined; images are left out."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content if isinstance(part, TextPart))


# --- Tools, formats, reasoning --------------------------------------------------------------


class FunctionSpec(_Model):
    """A function the model may call; `parameters` is a JSON Schema."""

    name: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Model):
    """A tool: functions only."""

    type: Literal["function"]
    function: FunctionSpec


class NamedFunction(_Model):
    """The name inside a forced tool choice."""

    name: str


class NamedToolChoice(_Model):
    """Forces one function."""

    type: Literal["function"]
    function: NamedFunction


class TextFormat(_Model):
    """Plain text."""

    type: Literal["text"]


class JsonObjectFormat(_Model):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchema(_Model):
    """A named JSON Schema; on the wire its body is under `schema`."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, serialize_by_alias=True
    )

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    body: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class JsonSchemaFormat(_Model):
    """JSON after a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[
    TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")
]

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ReasoningOptions(_Model):
    """How much the model should think: by effort, or by tokens where the provider takes them."""

    effort: Effort | None = None
    max_tokens: int | None = Field(default=None, ge=1)


# --- Routing and delivery -------------------------------------------------------------------


class Latency(_Model):
    """The object form of `latency`."""

    strategy: Annotated[Strategy, Field(strict=False)] = Strategy.NORMAL
    providers: list[str] | None = Field(default=None, min_length=1, max_length=16)
    """These only, in this order, the first is primary."""
    max_attempts: int | None = Field(default=None, ge=1, le=16)
    delay_ms: int | None = Field(default=None, ge=0, le=60_000)


class Deadlines(_Model):
    """Milliseconds each part of an attempt may take; None is the default named beside it."""

    connect_ms: int = Field(default=5_000, ge=1, le=600_000)
    first_content_ms: int | None = Field(default=None, ge=1, le=3_600_000)
    """60,000, or 180,000 with reasoning."""
    stall_ms: int = Field(default=30_000, ge=1, le=3_600_000)
    min_tokens_per_s: float | None = Field(default=None, gt=0, le=100_000)
    """Over a window of 10 s; off unless given."""
    total_ms: int = Field(default=600_000, ge=1, le=3_600_000)


Names = Annotated[tuple[str, ...], Field(strict=False, max_length=64)]


class ProviderFilter(_Model):
    """Which providers may answer."""

    only: Names = ()
    exclude: Names = ()


_ON_DISCONNECT = re.compile(r"continue|cancel_after:(\d{1,6}(?:\.\d{1,3})?)")
_SHORT = StringConstraints(max_length=512)
_Stop = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class ChatRequest(_Model):
    """The body of `POST /v1/streams`."""

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    model: str = Field(default="auto", min_length=1, max_length=256)
    use_case: Annotated[UseCase, Field(strict=False)] = UseCase.CONVERSATION
    budget_tier: Annotated[Tier, Field(strict=False)] = Tier.STANDARD
    complexity: Annotated[Complexity, Field(strict=False)] | None = None
    latency: Latency = Latency()
    fallback: bool = True
    after_commit: Annotated[AfterCommit, Field(strict=False)] | None = None
    """None: the client dialect's default, `restart` for native."""

    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: Annotated[list[_Stop], Field(max_length=MAX_STOP)] | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    tools: list[Tool] | None = Field(default=None, max_length=MAX_TOOLS)
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: ReasoningOptions | None = None
    user: Annotated[str, _SHORT] | None = None
    metadata: dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, _SHORT]] = (
        Field(default_factory=dict, max_length=32)
    )

    deadlines: Deadlines = Deadlines()
    open_early_ms: int = Field(default=5_000, ge=0, le=600_000)
    providers: ProviderFilter = ProviderFilter()
    on_disconnect: str | None = Field(
        default=None, json_schema_extra={"pattern": f"^(?:{_ON_DISCONNECT.pattern})$"}
    )
    """`continue` or `cancel_after:<seconds>`; None: the client dialect's default."""

    @field_validator("model")
    @classmethod
    def _one_line(cls, model: str) -> str:
        if not model.isprintable():
            message = "one line of printable characters"
            raise ValueError(message)
        return model

    @field_validator("latency", mode="before", json_schema_input_type=Latency | Strategy)
    @classmethod
    def _strategy_alone(cls, value: object) -> object:
        if isinstance(value, dict | Latency):
            return value
        if not isinstance(value, str) or value not in set(Strategy):
            message = f"one of {', '.join(Strategy)}, or an object"
            raise ValueError(message)
        return {"strategy": value}

    @field_validator(
        "stop",
        mode="before",
        json_schema_input_type=Annotated[list[_Stop], Field(max_length=MAX_STOP)] | _Stop | None,
    )
    @classmethod
    def _stop_alone(cls, value: object) -> object:
        if value is None or isinstance(value, list):
            return value
        if not isinstance(value, str):
            message = "a string or an array of strings"
            raise ValueError(message)  # noqa: TRY004 - pydantic lets a TypeError through
        return [value]

    @field_validator("on_disconnect")
    @classmethod
    def _known_policy(cls, value: str | None) -> str | None:
        if value is not None and _ON_DISCONNECT.fullmatch(value) is None:
            message = "continue or cancel_after:<seconds>"
            raise ValueError(message)
        return value

    @property
    def cancel_after(self) -> float | None:
        """Seconds after its last reader left that the answer is cancelled; None: never."""
        match = _ON_DISCONNECT.fullmatch(self.on_disconnect or "continue")
        seconds = match.group(1) if match else None
        return None if seconds is None else float(seconds)

    @property
    def thinks(self) -> bool:
        """Whether the model is asked to reason, if it may or may not."""
        return self.reasoning is not None and self.reasoning.effort != "none"

    @property
    def first_content_ms(self) -> int:
        """The first-content deadline, its default depending on whether the model may think."""
        if self.deadlines.first_content_ms is not None:
            return self.deadlines.first_content_ms
        return 180_000 if self.thinks else 60_000
