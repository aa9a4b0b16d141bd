"""The OpenAPI document by itself: valid, whole, and of exactly the routes that are mounted."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import web
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_32

from service.app import Service
from service.description import openapi
from service.settings import Settings
from tests.e2e.stack import stack
from tests.service.description.shapes import published

METHODS = {"get", "post", "patch", "put", "delete"}

ELSEWHERE = ("/icon.svg", "/assets/{name}")
"""Files of the page at `/`, which nobody else asks for."""


def parts(of: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    """Every value in a document."""
    yield of
    if isinstance(of, dict | list):
        for value in of.values() if isinstance(of, dict) else of:
            yield from parts(value)


def references(of: Any) -> set[str]:  # noqa: ANN401 - any JSON
    return {part["$ref"] for part in parts(of) if isinstance(part, dict) and "$ref" in part}


def schemas() -> Iterator[Any]:
    """Every schema in the document."""
    yield from published()["components"]["schemas"].values()
    for part in parts(published()["paths"]):
        if isinstance(part, dict):
            yield from (part[name] for name in ("schema", "itemSchema") if name in part)


def mounted(data: Path) -> set[tuple[str, str]]:
    """Method and path of every route of the application, as OpenAPI writes them."""
    settings = Settings()
    server = settings.server.model_copy(update={"data": data})
    app = Service(settings.model_copy(update={"server": server}), {}).application()
    return {
        (route.method.lower(), path_of(route.resource))
        for route in app.router.routes()
        if path_of(route.resource) not in ELSEWHERE
    }


def path_of(resource: web.AbstractResource | None) -> str:
    assert resource is not None
    return resource.canonical


def test_it_is_valid_openapi_3_2() -> None:
    Draft202012Validator(OPENAPI_32).validate(published())


def test_every_schema_in_it_is_one() -> None:
    for schema in schemas():
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere_and_every_component_is_referred_to() -> None:
    components = {f"#/components/schemas/{name}" for name in published()["components"]["schemas"]}
    named = {target for part in parts(published()) for target in _targets(part)}
    assert references(published()) <= components
    assert components == named & components


def _targets(part: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(part, dict):
        yield from (value for value in part.values() if isinstance(value, str))


def test_every_route_that_is_mounted_is_described_and_no_other(tmp_path: Path) -> None:
    described = {
        (method, path)
        for path, operations in published()["paths"].items()
        for method in METHODS & set(operations)
    }
    # HEAD is GET without its body, wherever there is one.
    assert {route for route in mounted(tmp_path) if route[0] != "head"} == described


def test_each_operation_has_a_name_of_its_own() -> None:
    names = Counter(operation.id for _, operation in openapi.operations())
    assert set(names.values()) == {1}


def test_each_path_parameter_is_described() -> None:
    for _, operation in openapi.operations():
        told = {p.name for p in operation.parameters if p.where == "path"}
        assert told == {part[1:-1] for part in operation.path.split("/") if part.startswith("{")}


def test_each_operation_says_how_it_refuses() -> None:
    for _, operation in openapi.operations():
        assert operation.refusal.statuses >= {400, 403, 500}


async def test_a_method_that_is_not_described_is_answered_with_405_and_those_that_are() -> None:
    async with stack("openai") as service:
        for path, operations in published()["paths"].items():
            taken = set(operations) | {method for method, of in ALSO if of == path}
            url = service.url + path.replace("{", "").replace("}", "")
            for method in sorted(METHODS - taken):
                async with service.client.request(method, url) as response:
                    assert response.status == 405, (method, path)
                    allowed = response.headers["Allow"].lower().replace(" ", "").split(",")
                    assert set(allowed) - {"head"} == taken, path


ALSO = {("get", "/v1/responses/compact")}
"""What another path takes: here it is the id of a response."""
