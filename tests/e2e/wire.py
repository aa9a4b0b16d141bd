"""How each provider is addressed, by its own documents (docs/providers.md, providers)."""

from collections.abc import Mapping
from typing import NamedTuple


class Wire(NamedTuple):
    """One provider's requests."""

    path: str
    with_tools: str | None = None
    """Where a request with tools goes, if elsewhere."""
    key_in: str = "authorization"
    more: frozenset[str] = frozenset()
    """Headers it has beside the usual ones."""


WIRE: Mapping[str, Wire] = {
    "claude": Wire("/v1/messages", more=frozenset({"anthropic-version"})),
    "openai": Wire("/v1/chat/completions", "/v1/responses"),
    "mistral": Wire("/v1/chat/completions"),
    "gemini": Wire(
        "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse",
        key_in="x-goog-api-key",
        more=frozenset({"x-goog-api-client"}),
    ),
    "qwen": Wire("/compatible-mode/v1/chat/completions"),
    "deepseek": Wire("/chat/completions"),
    "kimi": Wire("/v1/chat/completions"),
    "glm": Wire("/api/paas/v4/chat/completions"),
    "groq": Wire("/openai/v1/chat/completions"),
    "grok": Wire("/v1/chat/completions", "/v1/responses"),
    "perplexity": Wire("/v1/responses"),
    "openrouter": Wire(
        "/api/v1/chat/completions", more=frozenset({"http-referer", "x-openrouter-title"})
    ),
    "huggingface": Wire("/v1/chat/completions"),
    "github": Wire("/inference/chat/completions", more=frozenset({"x-github-api-version"})),
    "copilot": Wire("/openai/v1/chat/completions", "/openai/v1/responses", key_in="api-key"),
}

USUAL = frozenset(
    {"host", "accept", "accept-encoding", "content-length", "content-type", "user-agent"}
)
"""Headers that every request has."""
