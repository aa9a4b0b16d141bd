"""A server of one's own: whatever speaks chat completions (Ollama, vLLM, llama.cpp, LM Studio).

This is what the settings fill in: they give the name, the address, the models and, where the server
wants one, the key (docs/providers.md shows the lines). No environment variable of any provider is
read for it. What is known of its models is nothing, so whatever is asked for is passed on, images
and efforts included; the defaults of `ChatQuirks` describe such servers.
"""

from adapters.contract import Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks

PROVIDER = Provider(
    name="compatible",
    title="OpenAI-compatible server",
    key_vars=(),
    address_var="",
    base_url=None,
    client="openai",
    dialect=OpenAIChat(quirks=ChatQuirks()),
    models=(),
    unlisted=Model(id="", images=True, reasoning="optional"),
)
