"""Google's Gemini, over generateContent at the Gemini API (not Vertex AI).

GOOGLE_API_KEY wins over GEMINI_API_KEY, as in the SDK. A bad key is a 400 with the reason
API_KEY_INVALID, and a 429 says in its body when to come back [recording:
google-429-retry-info.json].

Sources: [docs] ai.google.dev/gemini-api/docs (thinking, thought-signatures); [pydantic-ai]
profiles/google.py and providers/openrouter.py (thinking levels, where thinking is mandatory);
windows [genai-prices], outputs and sampling [litellm].
"""

from adapters.catalog.kin import KIN
from adapters.contract import Model, Provider
from adapters.dialects.gemini import Gemini, GeminiQuirks

PROVIDER = Provider(
    name="gemini",
    title="Google Gemini",
    key_vars=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    address_var="GOOGLE_BASE_URL",
    base_url="https://generativelanguage.googleapis.com/v1beta",
    client="google",
    dialect=Gemini(
        quirks=GeminiQuirks(
            budget_models=("gemini-2.5",),
            signature_models=("gemini-3", "gemini-4"),
            json_excludes_tools=("gemini-2.5",),
        )
    ),
    cancel_billing="full",
    prices="google",
    models=(
        Model(
            id="gemini-3.8-flash",
            alias="flash",
            context=1_048_576,
            max_output=65_536,
            images=True,
            reasoning="always",
            efforts=("low", "medium", "high"),
            sampling=False,
            **KIN["gemini-3.8-flash"],
        ),
        Model(
            id="gemini-4-argon",
            alias="pro",
            context=1_048_576,
            # [litellm] gives the whole window; what the model writes counts towards it.
            max_output=1_048_576,
            images=True,
            reasoning="always",
            efforts=("low", "medium", "high"),
            **KIN["gemini-4-argon"],
        ),
        Model(
            id="gemini-3.1-flash-lite",
            alias="flash-lite",
            context=1_048_576,
            max_output=65_536,
            images=True,
            reasoning="always",
            efforts=("minimal", "low", "medium", "high"),
            quality=1,
            family="gemini",
            # A trailing `model` turn: taken up to 3.5-flash, a 400 since.
            prefill=True,
        ),
    ),
    unlisted=Model(id="", images=True, reasoning="optional"),
)
