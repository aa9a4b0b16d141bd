"""Every provider's manner of speaking: which writer with which differences, headers, keep-alives.

A voice is found by provider and API, because one provider speaks several. A provider without an
entry for an API speaks it as the API's own inventor does. Sources: docs/providers.md (usage,
reasoning, tool calls, framing, rate-limit headers) and the recordings it names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from tests.double.answer import Answer
from tests.double.errors import Kind, error_answer
from tests.double.wire import chat, responses
from tests.double.wire.chat import ChatScribe
from tests.double.wire.generate import GenerateScribe
from tests.double.wire.messages import PING, MessagesScribe
from tests.double.wire.responses import ResponsesScribe
from tests.double.wire.scribe import Ask, Rendered, Scribe, data, render

Api = Literal["chat", "responses", "messages", "generate"]
Headers = tuple[tuple[str, str], ...]

_COMMENT = b": keep-alive\n\n"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Voice:
    """How one provider speaks one API."""

    provider: str
    family: str
    """Whose error shapes it falls back to."""
    scribe: Callable[[Answer, Ask], Scribe]
    headers: Headers = ()
    """Of every answer, errors included."""
    content_type: str = "text/event-stream; charset=utf-8"
    keep_alive: bytes = _COMMENT

    def render(self, answer: Answer, ask: Ask) -> Rendered:
        """Write a whole answer."""
        errors = {kind: error_answer(self.provider, self.family, kind) for kind in Kind}
        return render(self.scribe(answer, ask), errors, self.keep_alive)


def voice_for(provider: str, api: Api) -> Voice:
    """The provider's own voice in that API, else its inventor's. Unknown names raise KeyError."""
    if provider not in PROVIDERS:
        raise KeyError(provider)
    return _VOICES.get((provider, api)) or _VOICES[_INVENTORS[api], api]


def _openai_limits(requests_reset: str = "120ms", tokens_reset: str = "6m0s") -> Headers:
    return (
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-limit-tokens", "30000"),
        ("x-ratelimit-remaining-requests", "499"),
        ("x-ratelimit-remaining-tokens", "29984"),
        ("x-ratelimit-reset-requests", requests_reset),
        ("x-ratelimit-reset-tokens", tokens_reset),
    )


_HEADERS: Mapping[str, Headers] = {
    "openai": (("x-request-id", "req_double"), *_openai_limits()),
    "groq": (("x-request-id", "req_double"), *_openai_limits("2m59.56s", "10.33s")),
    "copilot": (("apim-request-id", "req_double"), *_openai_limits("10", "60")),
    "claude": (
        ("request-id", "req_double"),
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-requests-reset", "2026-11-23T12:00:00Z"),
        ("anthropic-ratelimit-tokens-limit", "40000"),
        ("anthropic-ratelimit-tokens-remaining", "39000"),
        ("anthropic-ratelimit-tokens-reset", "2026-11-23T12:00:00Z"),
    ),
    "mistral": (
        ("x-ratelimit-limit-req-minute", "60"),
        ("x-ratelimit-remaining-req-minute", "59"),
        ("x-ratelimit-limit-tokens-minute", "500000"),
        ("x-ratelimit-remaining-tokens-minute", "499900"),
    ),
    "grok": (
        ("x-ratelimit-limit-requests", "480"),
        ("x-ratelimit-remaining-requests", "479"),
    ),
    "huggingface": (("x-inference-provider", "double"),),
    "openrouter": (("x-generation-id", "gen-double"),),
}

_PROCESSING = b": OPENROUTER PROCESSING\n\n"
_LOGPROBS = {"logprobs": None}
_ROLE_AND_REASONING = {"role": "assistant", "content": None, "reasoning_content": ""}

_CHAT: Mapping[str, chat.Manner] = {
    "openai": chat.Manner(
        extra={"service_tier": "default", "system_fingerprint": "fp_double"},
        every_choice=_LOGPROBS,
    ),
    "mistral": chat.Manner(
        extra={"p": "abcdefghijkl"},
        reasoning=chat.thinking_content,
        whole_calls=True,
        call={},
        call_index=False,
        call_id="Double{:03d}",
        refusals=False,
        usage=chat.mistral_usage,
        usage_places=("finish",),
        usage_if_asked=(),
        failing_finish=dict.fromkeys(Kind, "error"),
    ),
    "qwen": chat.Manner(
        reasoning=chat.reasoning_content,
        every_choice=_LOGPROBS,
        later_call={"id": "", "type": "function"},
    ),
    "deepseek": chat.Manner(
        role=_ROLE_AND_REASONING,
        reasoning=chat.reasoning_content,
        every_choice=_LOGPROBS,
        usage=chat.deepseek_usage,
        usage_if_asked=("finish",),
        failing_finish={Kind.OVERLOADED: "insufficient_system_resource"},
    ),
    "kimi": chat.Manner(
        reasoning=chat.reasoning_content,
        call_id="call:{}",
        usage=chat.kimi_usage,
        usage_if_asked=("choice", "last"),
    ),
    "glm": chat.Manner(
        role=None,
        every_delta={"role": "assistant"},
        reasoning=chat.reasoning_content,
        whole_calls=True,
        usage_places=("finish",),
        usage_if_asked=(),
        failing_finish={Kind.CONTENT_FILTER: "sensitive", Kind.SERVER: "network_error"},
    ),
    "groq": chat.Manner(
        extra={"system_fingerprint": "fp_double"},
        every_choice=_LOGPROBS,
        reasoning=chat.reasoning_channel,
        whole_calls=True,
        usage=chat.groq_usage,
        usage_places=("x_groq", "finish"),
        failing="event",
    ),
    "grok": chat.Manner(
        extra={"system_fingerprint": "fp_double"},
        role=None,
        reasoning=chat.reasoning_content,
        whole_calls=True,
        usage=chat.grok_usage,
        usage_places=("last",),
        usage_if_asked=(),
    ),
    "openrouter": chat.Manner(
        opening=_PROCESSING * 2,
        extra={"provider": "Double"},
        role=None,
        every_delta={"role": "assistant"},
        every_choice={"native_finish_reason": None},
        reasoning=chat.reasoning_details,
        signed=chat.signed_details,
        usage=chat.openrouter_usage,
        usage_places=("repeat",),
        usage_if_asked=(),
        failing="choice",
    ),
    "huggingface": chat.Manner(
        extra={"system_fingerprint": "", "sla_metrics": {"ttft_ms": 274}},
        role={"role": "assistant"},
        reasoning=chat.reasoning_content,
    ),
    "copilot": chat.Manner(
        opening=data(chat.AZURE_OPENING),
        every_choice={"content_filter_results": {}, **_LOGPROBS},
    ),
}

_RESPONSES: Mapping[str, responses.Manner] = {
    "openai": responses.Manner(),
    "deepseek": responses.Manner(reasoning="text"),
    "grok": responses.Manner(usage=responses.grok_usage),
    "perplexity": responses.Manner(
        content_parts=False, search=True, usage=responses.perplexity_usage
    ),
}

_KEEP_ALIVES = {"openrouter": _PROCESSING}

PROVIDERS = (
    "claude",
    "openai",
    "mistral",
    "gemini",
    "qwen",
    "deepseek",
    "kimi",
    "glm",
    "groq",
    "grok",
    "perplexity",
    "openrouter",
    "huggingface",
    "github",
    "copilot",
)
_INVENTORS: Mapping[Api, str] = {
    "chat": "openai",
    "responses": "openai",
    "messages": "claude",
    "generate": "gemini",
}


def _openai_voice(provider: str, scribe: Callable[[Answer, Ask], Scribe]) -> Voice:
    return Voice(
        provider=provider,
        family="openai",
        scribe=scribe,
        headers=_HEADERS.get(provider, ()),
        keep_alive=_KEEP_ALIVES.get(provider, _COMMENT),
    )


_VOICES: Mapping[tuple[str, Api], Voice] = {
    **{
        (provider, "chat"): _openai_voice(
            provider, partial(ChatScribe, manner=_CHAT.get(provider, _CHAT["openai"]))
        )
        for provider in PROVIDERS
    },
    **{
        (provider, "responses"): _openai_voice(
            provider,
            partial(ResponsesScribe, manner=_RESPONSES.get(provider, _RESPONSES["openai"])),
        )
        for provider in PROVIDERS
    },
    ("claude", "messages"): Voice(
        provider="claude",
        family="claude",
        scribe=MessagesScribe,
        headers=_HEADERS["claude"],
        keep_alive=PING,
    ),
    ("gemini", "generate"): Voice(
        provider="gemini",
        family="gemini",
        scribe=GenerateScribe,
        content_type="text/event-stream",
    ),
}
