"""xAI's Grok: chat completions (documented as legacy), and Responses where tools meet reasoning.

`completion_tokens` leaves the reasoning out, and the usage states the bill [recording:
xai-tool-call.json, xai-text.json].

Sources: [docs] docs.x.ai (reasoning, cost tracking, the retirement of 2026-05-15, which redirects
the older ids to grok-4.3); [pydantic-ai] profiles/grok.py; windows [genai-prices]. [litellm] gives
no output limit of its own.
"""

from decimal import Decimal

from adapters.catalog.kin import KIN
from adapters.contract import Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.dialects.openai_responses import OpenAIResponses
from adapters.dialects.openai_responses_quirks import ResponsesQuirks

_TICK = Decimal("1e-10")  # US dollars

PROVIDER = Provider(
    name="grok",
    title="xAI Grok",
    key_vars=("GROK_API_KEY", "XAI_API_KEY"),
    address_var="GROK_BASE_URL",
    base_url="https://api.x.ai/v1",
    # The US region costs 10 % more and has the newest models only.
    regions={"global": "https://api.x.ai/v1", "us": "https://us.api.x.ai/v1"},
    client="openai",
    dialect=OpenAIChat(
        quirks=ChatQuirks(
            stream_usage=False,  # comes unasked, on a last chunk without choices
            efforts=("none", "low", "medium", "high", "xhigh"),
            reasoning_outside_completion=True,
            cost_path=("cost_in_usd_ticks",),
            cost_unit=_TICK,
        )
    ),
    responses=OpenAIResponses(
        quirks=ResponsesQuirks(
            instruction_role="system",  # the documented roles are system, user and assistant
            cost_path=("cost_in_usd_ticks",),
            cost_unit=_TICK,
        )
    ),
    cancel_billing="stops",
    prices="x-ai",
    models=(
        Model(
            id="grok-4.3",
            alias="grok-4.3",
            context=1_000_000,
            images=True,
            reasoning="optional",
            efforts=("none", "low", "medium", "high"),
            stop=False,
            **KIN["grok-4.3"],
        ),
        Model(
            id="grok-4.7",
            alias="grok-4.7",
            context=500_000,
            images=True,
            reasoning="always",
            efforts=("low", "medium", "high", "xhigh"),
            stop=False,
            **KIN["grok-4.7"],
        ),
        Model(
            id="grok-build-0.1",
            alias="grok-build",
            context=256_000,
            images=True,
            reasoning="always",
            efforts=(),
            stop=False,
            family="grok",
        ),
    ),
    unlisted=Model(id="", images=True, reasoning="optional", stop=False),
)
