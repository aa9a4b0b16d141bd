"""Anthropic's Claude, over the Messages API.

Sources: [docs] platform.claude.com/docs (models, extended thinking, errors); [pydantic-ai]
profiles/anthropic.py, which tried the thinking types and forced tools live; windows
[genai-prices], outputs as Anthropic's own list of models reports them [pydantic-ai].
"""

from dataclasses import replace

from adapters.catalog.kin import KIN
from adapters.contract import Model, Provider
from adapters.dialects.anthropic_messages import AnthropicMessages, AnthropicQuirks

_CLAUDE = Model(
    id="",
    context=1_000_000,
    max_output=128_000,
    images=True,
    reasoning="optional",
    sampling=False,
)

PROVIDER = Provider(
    name="claude",
    title="Anthropic Claude",
    key_vars=("ANTHROPIC_API_KEY",),
    address_var="ANTHROPIC_BASE_URL",
    base_url="https://api.anthropic.com",
    client="anthropic",
    dialect=AnthropicMessages(
        quirks=AnthropicQuirks(
            # The last generation that thinks by a budget; `adaptive` is a 400 there.
            budget_models=("claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5"),
            # `disabled` is a 400 there; the 400 names this instead.
            off_types={"claude-sonnet-5-5": "between_tools"},
            no_forced_tools=(
                "claude-opus-5-5",
                "claude-sonnet-5-5",
                "claude-fable-5-1",
                "claude-fable-5-2",
            ),
        )
    ),
    # Temperature is a 400 from Opus 4.7 on. All of these think unless told otherwise; Opus 5.5 and
    # Fable cannot be told.
    cancel_billing="stops",
    prices="anthropic",
    list_path="/v1/models",
    models=(
        replace(
            _CLAUDE,
            id="claude-opus-5-5",
            alias="opus",
            reasoning="always",
            **KIN["claude-opus-5-5"],
        ),
        replace(
            _CLAUDE,
            id="claude-sonnet-5-5",
            alias="sonnet",
            **KIN["claude-sonnet-5-5"],
        ),
        replace(
            _CLAUDE,
            id="claude-haiku-5-5",
            alias="haiku",
            **KIN["claude-haiku-5-5"],
        ),
        # Without an alias: existing callers of the coordination API know exactly the three above.
        replace(_CLAUDE, id="claude-fable-5-2", reasoning="always", quality=4, family="claude"),
    ),
    default="sonnet",
    unlisted=Model(id="", images=True, reasoning="optional", sampling=False),
)
