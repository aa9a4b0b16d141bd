"""The demo provider: built in, without key, address or network; not one of the fifteen.

Its answers are made by `clients/demo.py`, in the plainest form of chat completions, so they take
the way of any other. It answers only where no key is set at all, or where it is named.
"""

from dataclasses import replace
from decimal import Decimal

from adapters.contract import Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks

_DEMO = Model(
    id="demo",
    alias="demo",
    images=True,
    reasoning="optional",
    quality=1,
    # It costs nothing by its nature: known, where a price that nobody states is unknown.
    price_input=Decimal(0),
    price_output=Decimal(0),
)

PROVIDER = Provider(
    name="demo",
    title="Tailrace demo",
    key_vars=(),
    address_var="",
    base_url="demo:",
    client="demo",
    dialect=OpenAIChat(quirks=ChatQuirks()),
    cancel_billing="stops",
    models=(
        _DEMO,
        # Eight times as slow, to watch hedging and deadlines at work.
        replace(_DEMO, id="demo-slow", alias="slow"),
    ),
    list_path=None,
    unlisted=Model(id="", images=True, reasoning="optional"),
)
