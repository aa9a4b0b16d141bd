"""What is told of usage is what is described."""

import asyncio

from service.usage.report import GROUPS
from tests.double.script import reply
from tests.e2e.stack import stack
from tests.service.description.shapes import answered, streamed
from tests.service.http.serving import until

PATH = "/v1/usage"


async def test_every_answer_is_one_that_is_described() -> None:
    async with stack("openai") as service:
        url = service.url + PATH
        await service.ask("openai/auto", reply("Hello."))
        async with service.client.get(f"{url}/events?after=0") as response:
            async with asyncio.timeout(10):
                body = await until(response, b"event: usage")
                while not body.endswith(b"\n\n"):
                    body += await response.content.readany()
            assert streamed(body, f"{PATH}/events", "get")
        for query in ("", f"group_by={','.join(GROUPS[:3])}", "format=csv"):
            async with service.client.get(f"{url}?{query}") as response:
                answered(PATH, "get", 200, response.headers, await response.read())
        async with service.client.get(f"{url}?group_by=colour") as response:
            answered(PATH, "get", 400, response.headers, await response.read())
