"""What is told of providers is what is described."""

from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.e2e.stack import stack
from tests.service.description.shapes import answered

PATH = "/v1/providers"


async def test_every_answer_is_one_that_is_described() -> None:
    async with stack("openai", "groq") as service:
        url = service.url + PATH
        await service.ask("groq/auto", reply("Hello."))
        await service.ask("groq/auto", http_error(Kind.OVERLOADED), fallback=False)
        async with service.client.get(url) as response:
            (told,) = answered(PATH, "get", 200, response.headers, await response.read())
            assert any(model["price"] for one in told["providers"] for model in one["models"])
        path = f"{PATH}/{{name}}"
        for body, status in (({"requests_per_minute": 5}, 200), ({"enabled": 1}, 400)):
            async with service.client.patch(f"{url}/groq", json=body) as response:
                assert response.status == status
                answered(path, "patch", status, response.headers, await response.read())
        async with service.client.get(f"{url}/groq/stats") as response:
            (told,) = answered(f"{path}/stats", "get", 200, response.headers, await response.read())
            assert told["total"]["errors"]
            assert told["models"]
        async with service.client.get(f"{url}/nobody/stats") as response:
            answered(f"{path}/stats", "get", 404, response.headers, await response.read())
