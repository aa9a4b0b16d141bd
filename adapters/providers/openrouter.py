"""OpenRouter: one key for every family, itself a router over many hosts.

An error may come at HTTP 200, in the stream; keep-alives are comments [recording:
test_openrouter_stream_error.json]. `usage.cost` is the bill. Model ids may carry a suffix (`:free`,
`:batch`); such a one is passed through unlisted.

Sources: [docs] openrouter.ai/docs (reasoning-tokens, provider-routing, app-attribution, errors);
[pydantic-ai] providers/openrouter.py for where reasoning is mandatory (2026-11-05); ids and windows
[genai-prices]. Output limits depend on the host that is chosen, so none is stated.
"""

from adapters.catalog.kin import KIN
from adapters.contract import Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.events import ErrorCode

PROVIDER = Provider(
    name="openrouter",
    title="OpenRouter",
    key_vars=("OPENROUTER_API_KEY",),
    address_var="OPENROUTER_BASE_URL",
    base_url="https://openrouter.ai/api/v1",
    client="openai",
    # App attribution; a local address counts only beside a title.
    headers={"HTTP-Referer": "http://localhost:8180", "X-OpenRouter-Title": "Tailrace"},
    dialect=OpenAIChat(
        quirks=ChatQuirks(
            stream_usage=False,  # always sent; the option does nothing any more
            reasoning_echo="reasoning_details",
            effort_field="reasoning",
            budget_field="reasoning",
            # Else a host that ignores tools or schemas may be chosen.
            extra_with_tools={"provider": {"require_parameters": True}},
            cost_path=("cost",),
        )
    ),
    models=(
        # DeepSeek itself takes images; whether the host behind it does, no source says.
        Model(
            id="deepseek/deepseek-v4.1-flash",
            alias="deepseek-v4.1-flash",
            context=1_048_576,
            reasoning="optional",
            **KIN["deepseek-v4.1-flash"],
        ),
        Model(
            id="deepseek/deepseek-v4-pro-0813",
            alias="deepseek-v4-pro",
            context=1_048_576,
            reasoning="optional",
            **KIN["deepseek-v4-pro"],
        ),
        Model(
            id="z-ai/glm-5.3",
            alias="glm-5.3",
            context=1_048_576,
            reasoning="always",
            **KIN["glm-5.3"],
        ),
        Model(
            id="z-ai/glm-5.3-flash",
            alias="glm-5.3-flash",
            context=1_048_576,
            images=True,
            reasoning="always",
            **KIN["glm-5.3-flash"],
        ),
        Model(
            id="moonshotai/kimi-k3.1-pro",
            alias="kimi-k3.1-pro",
            context=1_048_576,
            images=True,
            reasoning="always",
            **KIN["kimi-k3.1-pro"],
        ),
        Model(
            id="moonshotai/kimi-k3",
            alias="kimi-k3",
            context=1_048_576,
            images=True,
            reasoning="always",
            **KIN["kimi-k3"],
        ),
        Model(
            id="moonshotai/kimi-k2.7-code",
            alias="kimi-k2.7-code",
            context=262_144,
            images=True,
            reasoning="always",
            **KIN["kimi-k2.7-code"],
        ),
        Model(
            id="moonshotai/kimi-k2.6",
            alias="kimi-k2.6",
            images=True,
            reasoning="optional",
            **KIN["kimi-k2.6"],
        ),
        # DashScope can switch its thinking off; here it is mandatory [pydantic-ai].
        Model(
            id="qwen/qwen3.8-max-0902",
            alias="qwen3.8-max",
            context=1_000_000,
            images=True,
            reasoning="always",
            **KIN["qwen3.8-max"],
        ),
        Model(
            id="qwen/qwen3.7-plus",
            alias="qwen3.7-plus",
            context=1_000_000,
            images=True,
            reasoning="optional",
            **KIN["qwen3.7-plus"],
        ),
        Model(
            id="qwen/qwen3.8-flash",
            alias="qwen3.8-flash",
            context=1_000_000,
            images=True,
            reasoning="optional",
            **KIN["qwen3.8-flash"],
        ),
        Model(
            id="qwen/qwen3.8-27b",
            alias="qwen3.8-27b",
            context=1_000_000,
            images=True,
            reasoning="optional",
            **KIN["qwen3.8-27b"],
        ),
        Model(
            id="openai/gpt-oss-120b",
            alias="gpt-oss-120b",
            reasoning="always",
            **KIN["gpt-oss-120b"],
        ),
        Model(
            id="openai/gpt-oss-20b",
            alias="gpt-oss-20b",
            context=131_072,
            reasoning="always",
            **KIN["gpt-oss-20b"],
        ),
        Model(
            id="meta-llama/llama-3.3-70b-instruct",
            alias="llama-3.3-70b",
            **KIN["llama-3.3-70b"],
        ),
        # Anthropic can do without thinking; here it is mandatory [pydantic-ai].
        Model(
            id="anthropic/claude-sonnet-5.5",
            alias="claude-sonnet",
            context=1_000_000,
            images=True,
            reasoning="always",
            sampling=False,
            **KIN["claude-sonnet-5-5"],
        ),
        Model(
            id="anthropic/claude-opus-5.5",
            alias="claude-opus",
            context=1_000_000,
            images=True,
            reasoning="always",
            sampling=False,
            **KIN["claude-opus-5-5"],
        ),
        Model(
            id="anthropic/claude-haiku-5.5",
            alias="claude-haiku",
            context=1_000_000,
            images=True,
            reasoning="optional",
            sampling=False,
            **KIN["claude-haiku-5-5"],
        ),
        Model(
            id="openai/gpt-6.1-terra",
            alias="gpt-6.1-terra",
            context=1_050_000,
            images=True,
            reasoning="optional",
            sampling=False,
            **KIN["gpt-6.1-terra"],
        ),
        Model(
            id="openai/gpt-6.1-sol",
            alias="gpt-6.1-sol",
            context=1_050_000,
            images=True,
            reasoning="always",
            sampling=False,
            **KIN["gpt-6.1-sol"],
        ),
        Model(
            id="openai/gpt-6-luna",
            alias="gpt-6-luna",
            context=1_050_000,
            images=True,
            reasoning="optional",
            sampling=False,
            **KIN["gpt-6-luna"],
        ),
        Model(
            id="openai/gpt-6-astra",
            alias="gpt-6-astra",
            context=1_050_000,
            images=True,
            reasoning="always",
            sampling=False,
            **KIN["gpt-6-astra"],
        ),
        Model(
            id="google/gemini-3.8-flash",
            alias="gemini-flash",
            context=1_048_576,
            images=True,
            reasoning="always",
            sampling=False,
            **KIN["gemini-3.8-flash"],
        ),
        Model(
            id="google/gemini-4-argon",
            alias="gemini-pro",
            context=1_048_576,
            images=True,
            reasoning="always",
            **KIN["gemini-4-argon"],
        ),
        Model(
            id="x-ai/grok-4.3",
            alias="grok-4.3",
            context=1_000_000,
            images=True,
            reasoning="optional",
            **KIN["grok-4.3"],
        ),
        Model(
            id="x-ai/grok-4.7",
            alias="grok-4.7",
            context=500_000,
            images=True,
            reasoning="always",
            **KIN["grok-4.7"],
        ),
    ),
    unlisted=Model(id="", images=True, reasoning="optional"),
    error_codes={
        # A malformed message; elsewhere the same word is a refused prompt.
        "invalid_prompt": ErrorCode.INVALID_REQUEST,
        # A cap that OpenRouter sets by what the account can pay.
        "token_limit_exceeded": ErrorCode.QUOTA_PROVIDER,
        # The host behind it is down, or answered nothing.
        "provider_unavailable": ErrorCode.UPSTREAM_5XX,
    },
)
