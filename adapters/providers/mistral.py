"""Mistral, in its own variant of chat completions; it also hosts GLM and DeepSeek.

Sources: [sdk] mistralai 3.7.0, client/sdkconfiguration.py (regions); [docs]
docs.mistral.ai/capabilities/reasoning/adjustable and the model cards; [recording] mistral-*.json;
windows [genai-prices] and [litellm]. What its requests may hold is the dialect's knowledge.
"""

from adapters.catalog.kin import KIN
from adapters.contract import Model, Provider
from adapters.dialects.mistral_chat import MistralChat

_ON_OR_OFF = ("none", "high")
_WINDOW = 262_144

PROVIDER = Provider(
    name="mistral",
    title="Mistral AI",
    key_vars=("MISTRAL_API_KEY",),
    address_var="MISTRAL_BASE_URL",
    base_url="https://api.mistral.ai/v1",
    regions={
        "global": "https://api.mistral.ai/v1",
        "eu": "https://api.eu.mistral.ai/v1",
        "us": "https://api.us.mistral.ai/v1",
    },
    client="mistral",
    dialect=MistralChat(),
    cancel_billing="full",
    models=(
        # A public preview since 2026-10-06. It writes 262,144 tokens at most (its model card).
        Model(
            id="mistral-large-4",
            alias="large",
            context=1_048_576,
            max_output=262_144,
            images=True,
            reasoning="optional",
            efforts=_ON_OR_OFF,
            quality=3,
            family="mistral",
            prefill=True,
        ),
        Model(
            id="mistral-medium-3-5",
            alias="medium",
            context=_WINDOW,
            images=True,
            reasoning="optional",
            efforts=_ON_OR_OFF,
            quality=3,
            family="mistral",
            prefill=True,
        ),
        Model(
            id="mistral-small-latest",
            alias="small",
            context=_WINDOW,
            images=True,
            reasoning="optional",
            efforts=_ON_OR_OFF,
            quality=1,
            family="mistral",
            prefill=True,
        ),
        Model(
            id="zai-glm-5-3",
            alias="glm-5.3",
            context=1_048_576,
            max_output=131_072,
            reasoning="always",
            efforts=("low", "high", "max"),
            **KIN["glm-5.3"],
        ),
        Model(
            id="zai-glm-5-3-flash",
            alias="glm-5.3-flash",
            context=1_048_576,
            max_output=131_072,
            images=True,
            reasoning="always",
            efforts=("low", "high", "max"),
            **KIN["glm-5.3-flash"],
        ),
        # DeepSeek itself takes images; whether Mistral does, no source says.
        Model(
            id="deepseek-v4-1-flash-1017",
            alias="deepseek-v4.1-flash",
            context=1_048_576,
            max_output=131_072,
            reasoning="optional",
            **KIN["deepseek-v4.1-flash"],
        ),
    ),
    # The open and the older models do not reason, and the field would be a 400.
    unlisted=Model(id="", images=True),
)
