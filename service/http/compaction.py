"""`POST /v1/responses/compact`: asked and answered as every borrowed dialect, and never streamed.

What a body goes on from is looked up first, as for a response. The summary is not kept: the client
has it, and gives it back.
"""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from typing_extensions import override

from service.dialects.projection import Asked
from service.dialects.reading import routing_in
from service.dialects.responses_compaction import Compaction
from service.http.borrowed import Borrowed
from service.http.earlier_responses import DIALECT, EarlierResponses
from service.relay import Relay
from service.settings import Streams

PATH: Final = "/v1/responses/compact"


class CompactionRoute(Borrowed):
    """The route."""

    def __init__(self, relay: Relay, settings: Streams, earlier: EarlierResponses) -> None:
        """`earlier`: the responses that a conversation may be known by."""
        self._earlier = earlier
        super().__init__(relay, settings, Compaction(DIALECT.earlier), PATH)

    @override
    async def read(self, request: web.Request, sent: Mapping[str, Any]) -> Asked:
        """As every dialect's, with what it goes on from."""
        earlier = await self._earlier.named_in(sent)
        return Compaction(earlier).read(sent, routing_in(request.headers))
