"""Moonshot's Kimi: reasoning models with fixed sampling.

Keys of the intl and the cn platform are not interchangeable. The K2 models end in December 2026;
accounts made since 2026-10-31 do not get them (dev.to/aihubmix, 2026-10-24, after Moonshot's
notice).

Sources: [docs] platform.kimi.ai/docs (models-overview, use-reasoning-effort, use-thinking-models);
[pydantic-ai] providers/moonshotai.py; [recording] moonshotai-*.json; windows [genai-prices].
"""

from adapters.catalog.kin import KIN
from adapters.contract import Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks

PROVIDER = Provider(
    name="kimi",
    title="Moonshot Kimi",
    key_vars=("KIMI_API_KEY", "MOONSHOT_API_KEY"),
    address_var="KIMI_BASE_URL",
    base_url="https://api.moonshot.ai/v1",
    regions={
        "intl": "https://api.moonshot.ai/v1",
        "cn": "https://api.moonshot.cn/v1",
    },
    client="openai",
    dialect=OpenAIChat(
        quirks=ChatQuirks(
            # Fixed since k2.5, as the temperature is.
            unsupported=frozenset({"top_p"}),
            stop_limit=5,
            reasoning_echo="reasoning_content",
            # Of K2.6 alone: the others think always, and answer 400 to `disabled`
            # [recording: moonshotai-k2.7-disabled-thinking-error.json].
            thinking_switch="thinking",
            efforts=("low", "high", "max"),
            # [recording: moonshotai-required-tool-choice-error.json]
            forced_tools_while_reasoning=False,
            # Partial mode.
            prefill="partial",
            prefill_while_reasoning=False,
        )
    ),
    prices="moonshotai",
    models=(
        Model(
            id="kimi-k3.1-pro",
            alias="k3.1-pro",
            context=1_048_576,
            images=True,
            reasoning="always",
            temperature=1.0,  # [recording: moonshotai-kimi-k3-temperature-rejection.json],
            **KIN["kimi-k3.1-pro"],
        ),
        Model(
            id="kimi-k3",
            alias="k3",
            context=1_048_576,
            images=True,
            reasoning="always",
            temperature=1.0,
            **KIN["kimi-k3"],
        ),
        Model(
            id="kimi-k2.7-code",
            alias="k2.7-code",
            context=262_144,
            images=True,
            reasoning="always",
            efforts=(),
            temperature=1.0,
            **KIN["kimi-k2.7-code"],
        ),
        Model(
            id="kimi-k2.6",
            alias="k2.6",
            context=262_144,
            images=True,
            reasoning="optional",
            efforts=(),
            temperature=1.0,
            **KIN["kimi-k2.6"],
            prefill=True,
        ),
    ),
    unlisted=Model(id="", images=True, reasoning="always", temperature=1.0),
)
