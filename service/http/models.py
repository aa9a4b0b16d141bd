"""`GET /v1/models`: what a client's list of models may show, in the shape of OpenAI's.

Listed is every form of `model` that can be asked for now: `auto`, alone and for a use case and a
tier; the presets; each active provider's models by id and by alias, and its `auto`. Asked by name,
a model is there that no list holds: a bare id that somebody serves, and one that an active provider
is merely believed to have, because such a request is passed through.

Clients of Anthropic's API ask at the same address and say so in a header; their entries have that
API's fields beside OpenAI's. When a model was made is not known: 0, and the epoch, which is how
Anthropic says so.
"""

from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web

from adapters.contract import Endpoint
from adapters.errors import RequestError, make
from adapters.events import Error, ErrorCode, Phase
from adapters.request import Tier, UseCase
from service.dialects.chat_completions import failure
from service.http.json_answer import json_answer
from service.http.problems import Shape
from service.relay import Deployment, Relay
from service.routing import target
from service.routing.presets import PREFIX
from service.routing.target import Auto, Bare, Pinned, Preset

PATH: Final = "/v1/models"

OURS: Final = "tailrace"
"""Who owns what leaves the choice to the router."""

_ANTHROPIC: Final = "anthropic-version"
_EPOCH: Final = "1970-01-01T00:00:00Z"


class Models:
    """Routes under /v1/models."""

    def __init__(self, relay: Relay) -> None:
        """Whose deployment is shown."""
        self._relay = relay

    def routes(self) -> list[web.RouteDef]:
        """The routes to mount; an id may have slashes."""
        return [
            web.get(PATH, self.every),
            web.get(f"{PATH}/{{id:.+}}", self.one),
        ]

    def shapes(self) -> dict[str, Shape]:
        """OpenAI's errors."""
        return {PATH: _failed}

    async def every(self, request: web.Request) -> web.Response:
        """GET /v1/models."""
        shown = [_entry(name, owner, request) for name, owner in listed(self._relay.deployment)]
        told: dict[str, Any] = {"object": "list", "data": shown}
        if _ANTHROPIC in request.headers:
            told |= {"has_more": False, "first_id": shown[0]["id"], "last_id": shown[-1]["id"]}
        return json_answer(told)

    async def one(self, request: web.Request) -> web.Response:
        """GET /v1/models/{id}; 404 in OpenAI's shape where nobody could be asked for it."""
        name = request.match_info["id"]
        owner = owner_of(name, self._relay.deployment)
        return json_answer(_entry(name, owner, request))


def listed(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Every name that `model` may have, and whose it is."""
    yield "auto", OURS
    for preset in deployment.table.presets:
        yield f"{PREFIX}{preset}", OURS
    for use_case in UseCase:
        yield f"auto:{use_case}", OURS
    for use_case in UseCase:
        for tier in Tier:
            yield f"auto:{use_case}@{tier}", OURS
    for provider, entry in deployment.known.items():
        if isinstance(entry, Endpoint):
            served = [model for model in entry.provider.models if not model.gone]
            aliases = [model.alias for model in served if model.alias]
            names = dict.fromkeys(["auto", *aliases, *(model.id for model in served)])
            yield from ((f"{provider}/{name}", provider) for name in names)


def owner_of(name: str, deployment: Deployment) -> str:
    """Whose a model is that can be asked for. Raises RequestError where it cannot."""
    known = deployment.known
    match target.parse(name, known):
        case Auto():
            return OURS
        case Preset(preset) if preset in deployment.table.presets:
            return OURS
        case Pinned(provider) if isinstance(known[provider], Endpoint):
            return provider
        case Bare(model):
            serving = deployment.table.roster(known).serving(model)
            active = (offer for offer in serving if isinstance(offer.entry, Endpoint))
            offer = next(active, None)
            if offer is not None:
                return offer.target.provider
        case _:
            pass
    message = f"model: nobody serves {name[:64]!r}"
    raise RequestError(make(ErrorCode.NOT_FOUND, message, param="model", phase=Phase.BEFORE_STREAM))


def _entry(name: str, owner: str, request: web.Request) -> dict[str, Any]:
    entry = {"id": name, "object": "model", "created": 0, "owned_by": owner}
    if _ANTHROPIC in request.headers:
        entry |= {"type": "model", "display_name": name, "created_at": _EPOCH}
    return entry


def _failed(error: Error) -> web.Response:
    told = failure(error)
    if error.param != "model":
        return json_answer(told, status=error.http)
    told["error"]["code"] = "model_not_found"
    return json_answer(told, status=web.HTTPNotFound.status_code)
