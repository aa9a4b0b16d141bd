"""Hugging Face's router: open models at whichever inference provider serves them.

A model id may name the host (`:novita`, `:groq`) or the choice (`:fastest`, which is the default,
`:cheapest`, `:preferred`); such an id is passed through unlisted. The answer header
`x-inference-provider` tells who served. Hosts' own fields leak through [recording:
test_cancel_recorded_provider_stream_huggingface.json].

Sources: [docs] huggingface.co/docs/inference-providers; ids and windows [genai-prices], which
lists each host apart: a window is stated only where all listed hosts agree, the smaller of two that
differ by a token. How much a model may write depends on the host.
"""

from adapters.catalog.kin import KIN
from adapters.contract import Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks

PROVIDER = Provider(
    name="huggingface",
    title="Hugging Face",
    key_vars=("HUGGINGFACE_API_KEY", "HF_TOKEN"),
    address_var="HUGGINGFACE_BASE_URL",
    base_url="https://router.huggingface.co/v1",
    client="openai",
    # Everything else is passed on, or silently dropped, by the host behind it.
    dialect=OpenAIChat(quirks=ChatQuirks()),
    cancel_billing="full",
    models=(
        Model(
            id="zai-org/GLM-5.3-Flash",
            alias="glm-5.3-flash",
            context=1_048_575,
            images=True,
            reasoning="always",
            **KIN["glm-5.3-flash"],
        ),
        Model(
            id="zai-org/GLM-5.3",
            alias="glm-5.3",
            context=1_048_575,
            reasoning="always",
            **KIN["glm-5.3"],
        ),
        Model(
            id="moonshotai/Kimi-K3",
            alias="kimi-k3",
            context=1_048_576,
            images=True,
            reasoning="always",
            **KIN["kimi-k3"],
        ),
        Model(
            id="moonshotai/Kimi-K2.7-Code",
            alias="kimi-k2.7-code",
            context=262_144,
            images=True,
            reasoning="always",
            **KIN["kimi-k2.7-code"],
        ),
        Model(
            id="moonshotai/Kimi-K2.6",
            alias="kimi-k2.6",
            context=262_144,
            images=True,
            reasoning="optional",
            **KIN["kimi-k2.6"],
        ),
        Model(
            id="deepseek-ai/DeepSeek-V4-Pro-0813",
            alias="deepseek-v4-pro",
            context=1_048_576,
            reasoning="optional",
            **KIN["deepseek-v4-pro"],
        ),
        # DeepSeek itself takes images; whether the host behind it does, no source says.
        Model(
            id="deepseek-ai/DeepSeek-V4.1-Flash",
            alias="deepseek-v4.1-flash",
            context=1_048_576,
            reasoning="optional",
            **KIN["deepseek-v4.1-flash"],
        ),
        Model(
            id="Qwen/Qwen3.8-2.4T-A95B",
            alias="qwen3.8-2.4t",
            context=1_000_000,
            reasoning="always",
            quality=4,
            family="qwen",
        ),
        # 65,536 tokens at one host, 1,000,000 at another.
        Model(
            id="Qwen/Qwen3.8-27B",
            alias="qwen3.8-27b",
            images=True,
            reasoning="optional",
            **KIN["qwen3.8-27b"],
        ),
        Model(
            id="openai/gpt-oss-120b",
            alias="gpt-oss-120b",
            context=131_072,
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
            id="meta-llama/Llama-3.3-70B-Instruct",
            alias="llama-3.3-70b",
            context=131_072,
            **KIN["llama-3.3-70b"],
        ),
    ),
    unlisted=Model(id="", images=True, reasoning="optional"),
)
