"""DeepSeek: chat completions with `reasoning_content`, thinking unless told not to.

Sources: [docs] api-docs.deepseek.com (thinking_mode, create-chat-completion); [pydantic-ai]
providers/deepseek.py; [recording] deepseek-tool-call.json; windows [genai-prices], outputs
[litellm]. The names deepseek-chat and deepseek-reasoner ended on 2026-07-24 [docs].
"""

from adapters.catalog.kin import KIN
from adapters.contract import Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks

PROVIDER = Provider(
    name="deepseek",
    title="DeepSeek",
    key_vars=("DEEPSEEK_API_KEY",),
    address_var="DEEPSEEK_BASE_URL",
    base_url="https://api.deepseek.com",
    client="openai",
    dialect=OpenAIChat(
        quirks=ChatQuirks(
            # `max_completion_tokens` is ignored without a word [pydantic-ai].
            max_tokens_field="max_tokens",
            response_formats=frozenset({"text", "json_object"}),
            # 400 without it on a past tool call.
            reasoning_echo="reasoning_content",
            thinking_switch="thinking",
            efforts=("low", "high", "max"),
            # "Thinking mode does not support this tool_choice", a 400.
            forced_tools_while_reasoning=False,
            # Chat prefix completion, a beta under an address of its own, and not while thinking.
            prefill="prefix",
            prefill_path="/beta",
            prefill_while_reasoning=False,
        )
    ),
    cancel_billing="stops",
    models=(
        Model(
            id="deepseek-flash",
            alias="flash",
            context=1_000_000,
            max_output=393_216,
            images=True,
            reasoning="optional",
            **KIN["deepseek-v4.1-flash"],
            prefill=True,
        ),
        Model(
            id="deepseek-v4-pro",
            alias="pro",
            context=1_000_000,
            max_output=393_216,
            reasoning="optional",
            **KIN["deepseek-v4-pro"],
            prefill=True,
        ),
    ),
    unlisted=Model(id="", images=True, reasoning="optional"),
)
