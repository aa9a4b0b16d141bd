"""`POST /v1/plan`: whom a request would be sent to, without sending it.

The body is that of `POST /v1/streams`, read and refused by the same validation, so a request can be
tried here word for word. Nobody is called and nothing is changed: the answer says how things stand
now, and a moment later they may stand otherwise. A request that nobody could answer gets the error
that its stream would.
"""

from aiohttp import web

from adapters.request import ChatRequest
from service.http import body
from service.http.json_answer import json_answer
from service.relay import Relay
from service.routing import shown


class Plans:
    """The route /v1/plan."""

    def __init__(self, relay: Relay) -> None:
        """Whose decisions are shown."""
        self._relay = relay

    def routes(self) -> list[web.RouteDef]:
        """The route to mount."""
        return [web.post("/v1/plan", self.plan)]

    async def plan(self, request: web.Request) -> web.Response:
        """POST /v1/plan.

        Raises RequestError: a bad body, nobody who could answer, everybody over the tier's cap.
        """
        chat = await body.read(request, ChatRequest)
        return json_answer(shown.document(self._relay.plan(chat)))
