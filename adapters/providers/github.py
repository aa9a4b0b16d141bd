"""GitHub Models: retired by its owner, and listed so that nobody wonders where it went.

It answered chat completions at /inference/chat/completions and has answered 410 since (github.blog
changelog, 2026-07-01 and 2026-07-30; tidyverse/ellmer#1069). Whoever runs something that speaks its
API can still reach it by setting both the key and the address.
"""

from adapters.contract import Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks

PROVIDER = Provider(
    name="github",
    title="GitHub Models",
    key_vars=("GITHUB_TOKEN",),
    address_var="GITHUB_BASE_URL",
    base_url="https://models.github.ai/inference",
    client="openai",
    headers={"X-GitHub-Api-Version": "2026-03-10"},
    dialect=OpenAIChat(quirks=ChatQuirks()),
    # The id its documents used to the end (cybersemics/em#4578).
    models=(Model(id="openai/gpt-4.1", alias="gpt-4.1", images=True, family="gpt"),),
    unlisted=Model(id="", images=True),
    list_path=None,
    retired="retired by GitHub on 2026-07-30",
)
