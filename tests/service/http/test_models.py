"""The list of models, and one of them."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from service.endpoints import Inactive
from service.http.models import Models
from service.relay import Relay
from service.streams.store import Store
from tests.service.http.serving import served
from tests.service.scripted import Scripted, chat, deployment, provider


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """Of a service with two active providers and one without a key."""
    away = Inactive(provider("claude", "opus"), reason="no_key")
    providers = {"openai": Scripted(*chat("hi")), "groq": Scripted(*chat("hi"))}
    known = deployment(providers, away, aliases={"openai": "one two"})
    models = Models(Relay(Store(ttl=600), known))
    async with (
        served(*models.routes(), shapes=models.shapes()) as url,
        aiohttp.ClientSession(url) as session,
    ):
        yield session


async def listed(client: aiohttp.ClientSession) -> dict[str, dict[str, object]]:
    async with client.get("/v1/models") as response:
        document = await response.json()
    assert document["object"] == "list"
    return {entry["id"]: entry for entry in document["data"]}


async def test_the_list_has_every_form_that_can_be_asked_for(
    client: aiohttp.ClientSession,
) -> None:
    models = await listed(client)
    assert {
        "auto",
        "auto:analysis",
        "auto:code_generation@economy",
        "openai/auto",
        "openai/one",
        "openai/openai-one",
        "openai/two",
        "groq/one",
    } <= models.keys()
    assert any(name.startswith("preset:") for name in models)
    assert models["openai/openai-one"] == {
        "id": "openai/openai-one",
        "object": "model",
        "created": 0,
        "owned_by": "openai",
    }


async def test_the_models_of_a_provider_without_a_key_are_not_listed(
    client: aiohttp.ClientSession,
) -> None:
    assert not [name for name in await listed(client) if name.startswith("claude")]


async def test_each_listed_model_can_be_asked_for_by_name(client: aiohttp.ClientSession) -> None:
    for name, entry in (await listed(client)).items():
        async with client.get(f"/v1/models/{name}") as response:
            assert (response.status, await response.json()) == (200, entry)


@pytest.mark.parametrize(
    ("name", "owner"),
    [("groq-one", "groq"), ("groq/new/model-1", "groq"), ("openai%2Fone", "openai")],
)
async def test_a_model_that_no_list_holds_is_there_where_somebody_would_be_asked(
    client: aiohttp.ClientSession, name: str, owner: str
) -> None:
    async with client.get(f"/v1/models/{name}") as response:
        assert (await response.json())["owned_by"] == owner


@pytest.mark.parametrize(
    "name",
    ["nobodys", "claude/opus", "claude-opus", "preset:none", "auto:poetry", "groq/auto:analysis"],
)
async def test_a_model_that_nobody_serves_is_a_404_in_the_shape_of_openai(
    client: aiohttp.ClientSession, name: str
) -> None:
    async with client.get(f"/v1/models/{name}") as response:
        problem = (await response.json())["error"]
    assert response.status == 404
    assert (problem["code"], problem["param"]) == ("model_not_found", "model")


async def test_clients_of_anthropic_find_their_fields(client: aiohttp.ClientSession) -> None:
    headers = {"anthropic-version": "2023-06-01"}
    async with client.get("/v1/models", headers=headers) as response:
        document = await response.json()
    assert document["has_more"] is False
    assert document["first_id"] == document["data"][0]["id"] == "auto"
    assert document["last_id"] == document["data"][-1]["id"]
    assert document["data"][0]["type"] == "model"
