"""Every provider by its name. Adding one is a file in `providers` and a line here."""

from collections.abc import Mapping
from types import MappingProxyType

from adapters.contract import Provider
from adapters.providers import (
    claude,
    compatible,
    copilot,
    deepseek,
    demo,
    gemini,
    github,
    glm,
    grok,
    groq,
    huggingface,
    kimi,
    mistral,
    openai,
    openrouter,
    perplexity,
    qwen,
)

FIFTEEN: Mapping[str, Provider] = MappingProxyType(
    {
        "claude": claude.PROVIDER,
        "openai": openai.PROVIDER,
        "mistral": mistral.PROVIDER,
        "gemini": gemini.PROVIDER,
        "qwen": qwen.PROVIDER,
        "deepseek": deepseek.PROVIDER,
        "kimi": kimi.PROVIDER,
        "glm": glm.PROVIDER,
        "groq": groq.PROVIDER,
        "grok": grok.PROVIDER,
        "perplexity": perplexity.PROVIDER,
        "openrouter": openrouter.PROVIDER,
        "huggingface": huggingface.PROVIDER,
        "github": github.PROVIDER,
        "copilot": copilot.PROVIDER,
    }
)
"""The providers of the public interface, in its order."""

PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {
        **FIFTEEN,
        "demo": demo.PROVIDER,
    }
)
"""All that come with Tailrace; configuration adds others. The demo needs no key, and is last."""

COMPATIBLE: Provider = compatible.PROVIDER
"""What a server named only in the settings is like; it has no name, address or models yet."""
