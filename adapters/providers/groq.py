"""Groq: open models at high speed; of Qwen it hosts one, of Kimi and GLM none.

Sources: [sdk] groq 1.7.0, types/chat/completion_create_params.py (efforts, formats, limits); [docs]
console.groq.com/docs/reasoning and docs/model/qwen/qwen3.8-27b; windows [genai-prices], outputs
[litellm]. Withdrawn: kimi-k2-instruct-0905 on 2026-04-15, qwen3-32b on 2026-07-17, the Llama models
on 2026-08-16 except for enterprises (groq/groq-changelog#20).
"""

from adapters.catalog.kin import KIN
from adapters.contract import Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks

_QWEN = "qwen/qwen3.8-27b"

PROVIDER = Provider(
    name="groq",
    title="Groq",
    key_vars=("GROQ_API_KEY",),
    address_var="GROQ_BASE_URL",
    base_url="https://api.groq.com/openai/v1",
    client="groq",
    dialect=OpenAIChat(
        quirks=ChatQuirks(
            max_tokens_field="max_completion_tokens",  # `max_tokens` is deprecated [sdk]
            stop_limit=4,
            names=False,
            # Thoughts come before an answer, not in the middle of one.
            prefill_while_reasoning=False,
            efforts=("none", "low", "medium", "high"),
            # By default Qwen's thoughts stand in the text as <think>; gpt-oss, whose thoughts are
            # apart anyway, answers 400 to the field.
            extra_of_model={_QWEN: {"reasoning_format": "parsed"}},
        )
    ),
    cancel_billing="full",
    models=(
        Model(
            id="openai/gpt-oss-120b",
            alias="gpt-oss-120b",
            context=131_072,
            max_output=65_536,
            reasoning="always",
            efforts=("low", "medium", "high"),
            **KIN["gpt-oss-120b"],
        ),
        Model(
            id=_QWEN,
            alias="qwen3.8-27b",
            context=131_072,
            max_output=16_384,
            images=True,
            reasoning="optional",
            efforts=("none", "low", "medium", "high"),
            **KIN["qwen3.8-27b"],
            prefill=True,
        ),
        Model(
            id="openai/gpt-oss-20b",
            alias="gpt-oss-20b",
            context=131_072,
            max_output=65_536,
            reasoning="always",
            efforts=("low", "medium", "high"),
            **KIN["gpt-oss-20b"],
        ),
    ),
    unlisted=Model(id="", images=True, reasoning="none"),
)
