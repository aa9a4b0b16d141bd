"""Perplexity: the Agent API, which is OpenAI's Responses format with a web search in it.

Its chat completions (Sonar) ended on 2026-09-27. The address is `/v1/agent`, and `/v1/responses` is
the same [docs]. Any field it does not know is a 400. It does not search unless a search tool is
offered, so every request offers one: answers from the web are what one asks Perplexity for. Besides
its own models it serves others' under their makers' names. Anthropic's demand a `max_tokens`, so
they are not offered, only passed through.

A preset is a model, prompt and tools in one. It may answer with another maker's model: `fast` gave
openai/gpt-6-luna [recording: agent-web-search.json].

Sources: [docs] docs.perplexity.ai/docs/agent-api and Perplexity's own migration notes
(perplexityai/api-platform-developers, skills/migrate-sonar-to-agent-api); ids [genai-prices]
and, of others' models, [litellm]. Windows are not stated anywhere.
"""

from adapters.catalog.kin import KIN
from adapters.contract import Model, Provider
from adapters.dialects.openai_responses import OpenAIResponses
from adapters.dialects.openai_responses_quirks import ResponsesQuirks
from adapters.events import ErrorCode

_PRESETS = {"fast": 1, "low": 2, "medium": 2, "high": 3, "xhigh": 4}
"""Name -> the class of its answers. Which model gives them is Perplexity's choice."""

PROVIDER = Provider(
    name="perplexity",
    title="Perplexity",
    key_vars=("PERPLEXITY_API_KEY",),
    address_var="PERPLEXITY_BASE_URL",
    base_url="https://api.perplexity.ai/v1",
    client="openai",
    dialect=OpenAIResponses(
        quirks=ResponsesQuirks(
            encrypted_reasoning=False,
            summary=None,
            # Not the field `instructions`, which would replace a preset's own prompt.
            instruction_role="system",
            efforts=("minimal", "low", "medium", "high", "xhigh", "max"),
            min_output_tokens=16,
            unsupported=frozenset({"user"}),
            format_field="response_format",  # `text.format` is a 400 here
            response_formats=frozenset({"text", "json_schema"}),
            named_outputs=True,
            presets=frozenset(_PRESETS),
            tools=({"type": "web_search"},),
            runs_own_tools=True,
            cost_path=("cost", "total_cost"),
        )
    ),
    cancel_billing="full",
    searches=1,
    models=(
        Model(id="perplexity/sonar", alias="sonar", images=True, family="sonar"),
        Model(
            id="perplexity/glm-5.3",
            alias="glm-5.3",
            reasoning="always",
            **KIN["glm-5.3"],
        ),
        # Z.ai itself takes images; whether Perplexity does, no source says.
        Model(
            id="perplexity/glm-5.3-flash",
            alias="glm-5.3-flash",
            reasoning="always",
            **KIN["glm-5.3-flash"],
        ),
        Model(
            id="perplexity/kimi-k3",
            alias="kimi-k3",
            images=True,
            reasoning="always",
            **KIN["kimi-k3"],
        ),
        Model(
            id="perplexity/deepseek-v4-pro-0813",
            alias="deepseek-v4-pro",
            reasoning="optional",
            **KIN["deepseek-v4-pro"],
        ),
        Model(
            id="openai/gpt-6.1-sol",
            alias="gpt-6.1-sol",
            images=True,
            reasoning="always",
            sampling=False,
            **KIN["gpt-6.1-sol"],
        ),
        Model(
            id="openai/gpt-6-luna",
            alias="gpt-6-luna",
            images=True,
            reasoning="optional",
            sampling=False,
            **KIN["gpt-6-luna"],
        ),
        Model(
            id="google/gemini-3.8-flash",
            alias="gemini-flash",
            images=True,
            reasoning="always",
            sampling=False,
            **KIN["gemini-3.8-flash"],
        ),
        Model(
            id="xai/grok-4.7",
            alias="grok-4.7",
            images=True,
            reasoning="always",
            **KIN["grok-4.7"],
        ),
        *(
            Model(id=preset, images=True, reasoning="optional", quality=quality, listed=False)
            for preset, quality in _PRESETS.items()
        ),
    ),
    unlisted=Model(id="", images=True, reasoning="optional"),
    error_codes={"request_rate_limit_exceeded": ErrorCode.RATE_LIMIT_PROVIDER},
)
