"""The native API is described as it is: any stream's events and its fold, and real answers."""

import msgspec

from adapters.events import SequencedEvent
from service.http import folded
from service.streams.log import StreamLog
from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.e2e.stack import question, stack
from tests.service.description.any_streams import NAMED, drawn
from tests.service.description.any_streams import folded as fold_of
from tests.service.description.shapes import answered, checked, streamed

PATH = "/v1/streams"
JSON = {"Accept": "application/json"}


@drawn
def test_any_streams_events_are_what_is_described(events: list[SequencedEvent]) -> None:
    log = StreamLog(NAMED.stream)
    log.append(events, 1_795_392_000_000)
    assert len(streamed(b"".join(log.read(0)), PATH)) == len(events)


@drawn
def test_any_fold_is_what_is_described(events: list[SequencedEvent]) -> None:
    fold = fold_of(events)
    assert fold.end is not None
    checked(msgspec.json.encode(folded.document(NAMED.stream, fold, fold.end)), "Folded")


async def test_every_answer_is_one_that_is_described() -> None:
    async with stack("openai", "groq") as service:
        service.double.script(reply("Hel", "lo."), reply("Hello."), http_error(Kind.OVERLOADED))
        url, body = service.url + PATH, question("openai/auto")
        async with service.client.post(url, json=body) as response:
            events = answered(PATH, "post", 200, response.headers, await response.read())
            name = response.headers["Tailrace-Stream-Id"]
        async with service.client.post(url, json=body, headers=JSON) as response:
            answered(PATH, "post", 200, response.headers, await response.read())
        failing = body | {"fallback": False}
        async with service.client.post(url, json=failing) as response:
            answered(PATH, "post", response.status, response.headers, await response.read())
            assert response.status == 503
        last = {"Last-Event-ID": f"{name}:{events[-1]['seq']}"}
        path = f"{PATH}/{{id}}"
        async with service.client.get(f"{url}/{name}", headers=last) as response:
            assert response.status == 204
            answered(path, "get", 204, response.headers, await response.read())
        async with service.client.get(f"{url}/{name}", headers=JSON) as response:
            answered(path, "get", 200, response.headers, await response.read())
        async with service.client.get(f"{url}/nobody") as response:
            answered(path, "get", 404, response.headers, await response.read())
        async with service.client.post(f"{url}/{name}/cancel") as response:
            answered(f"{path}/cancel", "post", 202, response.headers, await response.read())
        plan = question("auto", use_case="classification", budget_tier="ultra_economy")
        async with service.client.post(f"{service.url}/v1/plan", json=plan) as response:
            (told,) = answered("/v1/plan", "post", 200, response.headers, await response.read())
            assert told["skipped"]
