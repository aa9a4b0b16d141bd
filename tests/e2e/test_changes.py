"""What is changed while it runs, on the real service: who is asked, and by which client."""

from tests.double.script import reply
from tests.e2e.stack import Stack, stack


async def changed(running: Stack, name: str, **change: object) -> None:
    address = f"{running.url}/v1/providers/{name}"
    async with running.client.patch(address, json=change) as response:
        assert response.status == 200


async def test_a_change_of_one_provider_leaves_everybody_their_client() -> None:
    async with stack("openai", "groq") as running:
        before = dict(running.service.relay.deployment.clients)
        await changed(running, "openai", requests_per_minute=5)
        assert running.service.relay.deployment.clients == before
        await changed(running, "openai", enabled=False)
        after = running.service.relay.deployment.clients
        assert after == {name: client for name, client in before.items() if name != "openai"}


async def test_who_is_enabled_again_is_asked_again() -> None:
    async with stack("openai", "groq") as running:
        await changed(running, "openai", enabled=False)
        refused = await running.ask("openai/auto")
        assert refused.status == 422
        await changed(running, "openai", enabled=True)
        running.double.script(reply("Hel", "lo"))
        assert (await running.ask("openai/auto")).text == "Hello"
