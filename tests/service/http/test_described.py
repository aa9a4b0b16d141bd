"""The documents over a socket, made when they are first asked for."""

import aiohttp

from service.http.described import Described
from tests.service.http.serving import served


async def test_each_document_is_made_once_and_only_when_it_is_asked_for() -> None:
    made: list[str] = []

    def document() -> dict[str, object]:
        made.append("openapi")
        return {"openapi": "3.2.0"}

    routes = Described({"/openapi.json": document}).routes()
    async with served(*routes) as url, aiohttp.ClientSession() as session:
        assert made == []
        for _ in range(2):
            async with session.get(f"{url}/openapi.json") as response:
                assert response.status == 200
                assert response.content_type == "application/json"
                assert await response.json() == {"openapi": "3.2.0"}
    assert made == ["openapi"]


async def test_each_path_has_its_own_document() -> None:
    documents = {"/openapi.json": lambda: {"openapi": 1}, "/asyncapi.json": lambda: {"asyncapi": 1}}
    async with (
        served(*Described(documents).routes()) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/asyncapi.json") as response,
    ):
        assert await response.json() == {"asyncapi": 1}
