"""Alibaba's Qwen, over DashScope's OpenAI-compatible mode (Alibaba Cloud Model Studio).

A key belongs to one region: a cn key at the intl address is a 401. A workspace has an address of
its own (`https://<workspace>.<region>.maas.aliyuncs.com/...`), which QWEN_BASE_URL can name.

Sources: [docs] help.aliyun.com/en/model-studio (deep-thinking, error-code, rate-limit); [litellm]
for ids, windows and outputs (its `max_input_tokens` are 991,808 where the window is 1,000,000);
github.com/cloudwego/eino/issues/994 for the forced tools.
"""

from adapters.catalog.kin import KIN
from adapters.contract import Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.events import ErrorCode

PROVIDER = Provider(
    name="qwen",
    title="Alibaba Qwen",
    key_vars=("QWEN_API_KEY", "DASHSCOPE_API_KEY"),
    address_var="QWEN_BASE_URL",
    base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    regions={
        "intl": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "cn": "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "us": "https://dashscope-us.aliyuncs.com/compatible-mode/v1",
    },
    client="openai",
    dialect=OpenAIChat(
        quirks=ChatQuirks(
            thinking_switch="enable_thinking",
            budget_field="thinking_budget",
            # "does not support being set to required or object in thinking mode", a 400.
            forced_tools_while_reasoning=False,
            # Partial mode, "non-thinking mode" throughout its list of models.
            prefill="partial",
            prefill_while_reasoning=False,
        )
    ),
    cancel_billing="full",
    models=(
        Model(
            id="qwen3.7-plus",
            alias="plus",
            context=1_000_000,
            max_output=65_536,
            images=True,
            reasoning="optional",
            **KIN["qwen3.7-plus"],
            prefill=True,
        ),
        Model(
            id="qwen3.8-max",
            alias="max",
            context=1_000_000,
            max_output=131_072,
            images=True,
            reasoning="optional",
            **KIN["qwen3.8-max"],
            prefill=True,
        ),
        Model(
            id="qwen3.8-flash",
            alias="flash",
            context=1_000_000,
            max_output=131_072,
            images=True,
            reasoning="optional",
            **KIN["qwen3.8-flash"],
            prefill=True,
        ),
        Model(
            id="deepseek-v4-pro",
            alias="deepseek-v4-pro",
            context=1_000_000,
            max_output=393_216,
            reasoning="optional",
            **KIN["deepseek-v4-pro"],
        ),
        Model(
            id="deepseek-v4-flash",
            alias="deepseek-v4-flash",
            context=1_000_000,
            max_output=393_216,
            reasoning="optional",
            family="deepseek",
        ),
        Model(
            id="glm-5.2",
            alias="glm-5.2",
            context=1_048_576,
            max_output=131_072,
            reasoning="optional",
            quality=3,
            family="glm",
        ),
        # Less input here (229,376 tokens) than at its home [litellm]; it always thinks.
        Model(
            id="kimi-k2.7-code",
            alias="kimi-k2.7-code",
            context=262_144,
            max_output=16_384,
            images=True,
            reasoning="always",
            efforts=(),
            temperature=1.0,
            **KIN["kimi-k2.7-code"],
        ),
    ),
    unlisted=Model(id="", images=True, reasoning="optional"),
    error_codes={
        "limit_requests": ErrorCode.RATE_LIMIT_PROVIDER,
        "limit_burst_rate": ErrorCode.RATE_LIMIT_PROVIDER,
        # Here it mostly means the tokens of this minute and passes within one [docs, rate-limit],
        # where everybody else says by it that the money is gone.
        "insufficient_quota": ErrorCode.RATE_LIMIT_PROVIDER,
    },
)
