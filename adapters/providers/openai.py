"""OpenAI: chat completions, and Responses where tools meet reasoning.

Sources: [sdk] openai 3.54.0, types/chat/completion_create_params.py; [docs]
developers.openai.com/api/docs (models, deprecations, pricing); [pydantic-ai] profiles/openai.py,
the efforts probed 2026-09 and 2026-10; windows [genai-prices], the same as [litellm]'s 922,000 in
and 128,000 out.
"""

from dataclasses import replace

from adapters.catalog.kin import KIN
from adapters.contract import Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.dialects.openai_responses import OpenAIResponses
from adapters.dialects.openai_responses_quirks import ResponsesQuirks
from adapters.events import ErrorCode

_GPT = Model(
    id="",
    context=1_050_000,
    max_output=128_000,
    images=True,
    reasoning="always",
    efforts=("low", "medium", "high", "xhigh", "max"),
    sampling=False,
)
_WITH_NONE = ("none", "low", "medium", "high", "xhigh", "max")

PROVIDER = Provider(
    name="openai",
    title="OpenAI",
    key_vars=("OPENAI_API_KEY",),
    address_var="OPENAI_BASE_URL",
    base_url="https://api.openai.com/v1",
    client="openai",
    dialect=OpenAIChat(
        quirks=ChatQuirks(
            obfuscation_off=True,
            # `max_tokens` is a 400 on reasoning models [recording:
            # reasoning-model-legacy-parameter-error.json].
            max_tokens_field="max_completion_tokens",
            sampling_unless_reasoning=True,
            instruction_role="developer",
            refusals=True,
            stop_limit=4,  # [sdk]
            # `max` is for Responses only; no current model takes `minimal` [pydantic-ai].
            efforts=("none", "low", "medium", "high", "xhigh"),
        )
    ),
    # Chat completions answers 400 to function tools together with reasoning since GPT-5.4 [docs].
    responses=OpenAIResponses(
        quirks=ResponsesQuirks(
            obfuscation_off=True,
            sampling_unless_reasoning=True,
            min_output_tokens=16,  # less is a 400 (github.com/earendil-works/pi/issues/6265)
        )
    ),
    cancel_billing="stops",
    models=(
        replace(
            _GPT,
            id="gpt-6.1-terra",
            alias="terra",
            reasoning="optional",
            efforts=_WITH_NONE,
            **KIN["gpt-6.1-terra"],
        ),
        replace(_GPT, id="gpt-6.1-sol", alias="sol", **KIN["gpt-6.1-sol"]),
        replace(
            _GPT,
            id="gpt-6-luna",
            alias="luna",
            reasoning="optional",
            efforts=_WITH_NONE,
            **KIN["gpt-6-luna"],
        ),
        replace(_GPT, id="gpt-6-astra", alias="astra", **KIN["gpt-6-astra"]),
    ),
    # An unknown model is taken for a newer one: those reason and refuse sampling parameters, while
    # the last that do neither (gpt-4o, gpt-4.1) go on 2027-01-14 [sdk, chat_model.py].
    unlisted=Model(id="", images=True, reasoning="optional", sampling=False),
    error_codes={
        # All three come as a 429 with the type `insufficient_quota` [docs].
        "credit_balance_exhausted": ErrorCode.QUOTA_PROVIDER,
        "organization_spend_limit_exceeded": ErrorCode.QUOTA_PROVIDER,
        "project_spend_limit_exceeded": ErrorCode.QUOTA_PROVIDER,
    },
)
