"""`POST /v1/messages/count_tokens`: how much a Messages request would put in, without asking.

The count is the estimate that routing goes by (`routing.estimate`): a token is taken for four bytes
of text. Anthropic's own count is an estimate, too, and one model's; which provider will answer is
not known before it is asked, and each has a tokenizer of its own.
"""

from aiohttp import web

from service.dialects.messages_request import read_counted
from service.http import body
from service.http.borrowed import Document
from service.http.json_answer import json_answer
from service.routing import estimate


class CountTokens:
    """The route beside /v1/messages, whose errors have that dialect's shape for being below it."""

    def routes(self) -> list[web.RouteDef]:
        """The route to mount."""
        return [web.post("/v1/messages/count_tokens", self.count)]

    async def count(self, request: web.Request) -> web.Response:
        """POST: the tokens of system, messages and tools together."""
        sent = await body.read(request, Document)
        chat = read_counted(sent.root)
        return json_answer({"input_tokens": estimate.input_tokens(chat)})
