"""Which request path belongs to which API, and whose manner it is answered in by default.

The paths are the providers' own, in full (docs/providers.md, providers). Several providers share
one, so the default is only the best known of them; a double or a script may say otherwise. A path
that is not here is answered 404, so that a wrong address shows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.double.wire.voices import Api


@dataclass(frozen=True, slots=True)
class Route:
    """What a path says about the answer."""

    api: Api
    provider: str
    model: str | None = None
    """Where the path names it."""


BASE_PATHS: Mapping[str, str] = {
    "claude": "",
    "openai": "/v1",
    "mistral": "/v1",
    "gemini": "/v1beta",
    "qwen": "/compatible-mode/v1",
    "deepseek": "",
    "kimi": "/v1",
    "glm": "/api/paas/v4",
    "groq": "/openai/v1",
    "grok": "/v1",
    "perplexity": "/v1",
    "openrouter": "/api/v1",
    "huggingface": "/v1",
    "github": "/inference",
    "copilot": "/openai/v1",
}
"""The path of each provider's base URL as its documents give it."""

_CHAT = "/chat/completions"
_FIXED: Mapping[str, Route] = {
    "/v1/messages": Route("messages", "claude"),
    "/anthropic/v1/messages": Route("messages", "claude"),
    f"/v1{_CHAT}": Route("chat", "openai"),
    "/v1/responses": Route("responses", "openai"),
    "/v1/agent": Route("responses", "perplexity"),
    f"/compatible-mode/v1{_CHAT}": Route("chat", "qwen"),
    "/compatible-mode/v1/responses": Route("responses", "qwen"),
    _CHAT: Route("chat", "deepseek"),
    f"/beta{_CHAT}": Route("chat", "deepseek"),
    "/responses": Route("responses", "deepseek"),
    f"/api/paas/v4{_CHAT}": Route("chat", "glm"),
    f"/api/coding/paas/v4{_CHAT}": Route("chat", "glm"),
    f"/openai/v1{_CHAT}": Route("chat", "groq"),
    "/openai/v1/responses": Route("responses", "copilot"),
    f"/api/v1{_CHAT}": Route("chat", "openrouter"),
    "/api/v1/responses": Route("responses", "openrouter"),
    f"/inference{_CHAT}": Route("chat", "github"),
}
_ORGANIZATION = re.compile(rf"/orgs/[^/]+/inference{_CHAT}")
_DEPLOYMENT = re.compile(rf"/openai/deployments/(?P<model>[^/]+){_CHAT}")
_GEMINI = re.compile(r"/v1beta/models/(?P<model>[^/:]+):streamGenerateContent")


def route_of(path: str, query: Mapping[str, str]) -> Route | None:
    """The route of a POST to `path`; None: no provider has such a path.

    Gemini streams events only with `alt=sse`, so its path without it is not one.
    """
    route = _FIXED.get(path)
    if route is not None:
        return route
    if _ORGANIZATION.fullmatch(path):
        return Route("chat", "github")
    if match := _DEPLOYMENT.fullmatch(path):
        return Route("chat", "copilot", match["model"])
    if (match := _GEMINI.fullmatch(path)) and query.get("alt") == "sse":
        return Route("generate", "gemini", match["model"])
    return None
