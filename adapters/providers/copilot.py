"""Microsoft Foundry, once Azure OpenAI: the inference API that Microsoft has.

The product named Copilot has none, and GitHub Copilot is a third thing. Every customer has
an own address, `https://<resource>.openai.azure.com/openai/v1` or
`https://<resource>.services.ai.azure.com/openai/v1`; `model` is the name of a deployment there. The
models below are what such a deployment holds when it was named after its model, the portal's
default; other names are listed in the configuration or passed through. Claude on Foundry speaks the
Messages API at another path and is not reached from here.

The first chunk has no choices but `prompt_filter_results`, and no id [recording:
azure-model-router.1.json]. A blocked prompt is a 400 with the code `content_filter`.

Sources: [docs] learn.microsoft.com/azure/foundry (models sold directly by Azure, v1 API); ids,
windows and efforts [litellm], which lists Azure's own price pages. It states input and output
apart; a window here is their sum where OpenAI's is too.
"""

from dataclasses import replace

from adapters.catalog.kin import KIN
from adapters.contract import Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.dialects.openai_responses import OpenAIResponses
from adapters.dialects.openai_responses_quirks import ResponsesQuirks

_GPT = Model(
    id="",
    context=1_050_000,
    max_output=128_000,
    images=True,
    reasoning="always",
    efforts=("low", "medium", "high", "xhigh", "max"),
    sampling=False,
)

PROVIDER = Provider(
    name="copilot",
    title="Microsoft Foundry",
    key_vars=("AZURE_OPENAI_API_KEY",),
    address_var="AZURE_OPENAI_ENDPOINT",
    base_url=None,
    base_path="/openai/v1",
    client="openai",
    auth="api-key",
    dialect=OpenAIChat(
        quirks=ChatQuirks(
            max_tokens_field="max_completion_tokens",
            sampling_unless_reasoning=True,
            refusals=True,
            stop_limit=4,
            # Not `developer`, which OpenAI's models read as the same: others are deployed too.
            instruction_role="system",
            efforts=("none", "low", "medium", "high", "xhigh"),
        )
    ),
    responses=OpenAIResponses(
        quirks=ResponsesQuirks(
            instruction_role="system",
            sampling_unless_reasoning=True,
            min_output_tokens=16,
        )
    ),
    cancel_billing="stops",
    prices="azure",
    # Its list tells what could be deployed, not what is.
    list_path=None,
    models=(
        # Unlike OpenAI's own, it takes no effort `none` [litellm].
        replace(
            _GPT,
            id="gpt-6.1-terra",
            alias="terra",
            **KIN["gpt-6.1-terra"],
        ),
        replace(_GPT, id="gpt-6.1-sol", alias="sol", **KIN["gpt-6.1-sol"]),
        replace(
            _GPT,
            id="gpt-6-luna",
            alias="luna",
            reasoning="optional",
            efforts=("none", "low", "medium", "high", "xhigh", "max"),
            **KIN["gpt-6-luna"],
        ),
        replace(
            _GPT,
            id="gpt-6-astra",
            alias="astra",
            efforts=("low", "medium", "high", "xhigh"),
            **KIN["gpt-6-astra"],
        ),
        Model(
            id="deepseek-v4-pro",
            alias="deepseek-v4-pro",
            context=1_000_000,
            max_output=384_000,
            reasoning="optional",
            **KIN["deepseek-v4-pro"],
        ),
        # DeepSeek itself takes images; whether Azure does, no source says.
        Model(
            id="deepseek-v4.1-flash",
            alias="deepseek-v4.1-flash",
            context=1_000_000,
            max_output=384_000,
            reasoning="optional",
            **KIN["deepseek-v4.1-flash"],
        ),
        Model(
            id="FW-Kimi-K3",
            alias="kimi-k3",
            context=1_048_576,
            max_output=131_072,
            images=True,
            reasoning="always",
            efforts=("low", "high", "max"),
            **KIN["kimi-k3"],
        ),
        Model(
            id="kimi-k2.7-code",
            alias="kimi-k2.7-code",
            context=262_144,
            images=True,
            reasoning="always",
            **KIN["kimi-k2.7-code"],
        ),
        Model(
            id="kimi-k2.6",
            alias="kimi-k2.6",
            context=262_144,
            images=True,
            reasoning="optional",
            **KIN["kimi-k2.6"],
        ),
        Model(
            id="FW-GLM-5.3",
            alias="glm-5.3",
            context=1_048_576,
            max_output=131_072,
            reasoning="always",
            **KIN["glm-5.3"],
        ),
        Model(
            id="FW-GLM-5.3-Flash",
            alias="glm-5.3-flash",
            context=1_048_576,
            max_output=131_072,
            images=True,
            reasoning="always",
            **KIN["glm-5.3-flash"],
        ),
        Model(
            id="grok-4.7",
            alias="grok-4.7",
            context=500_000,
            images=True,
            reasoning="always",
            stop=False,
            **KIN["grok-4.7"],
        ),
        Model(
            id="gpt-oss-120b",
            alias="gpt-oss-120b",
            context=131_072,
            reasoning="always",
            efforts=("low", "medium", "high"),
            **KIN["gpt-oss-120b"],
        ),
        Model(
            id="Llama-3.3-70B-Instruct",
            alias="llama-3.3-70b",
            context=128_000,
            max_output=8_192,
            **KIN["llama-3.3-70b"],
        ),
        Model(
            id="Llama-4-Maverick-17B-128E-Instruct-FP8",
            alias="llama-4-maverick",
            context=1_000_000,
            images=True,
            family="llama",
        ),
        # A window of 10,000,000 tokens, of which it may write 16,384 [litellm].
        Model(
            id="Llama-4-Scout-17B-16E-Instruct",
            alias="llama-4-scout",
            context=10_000_000,
            max_output=16_384,
            images=True,
            quality=1,
            family="llama",
        ),
    ),
    # A deployment with a name of its own is most likely one of OpenAI's newer models.
    unlisted=Model(id="", images=True, reasoning="optional", sampling=False),
)
