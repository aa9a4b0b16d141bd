from adapters.clients.demo import DemoClient
from adapters.contract import Call
from adapters.events import Finish, TextDelta, UsageSource
from adapters.providers.demo import PROVIDER
from adapters.request import ChatRequest
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case


def test_it_needs_neither_key_nor_variable() -> None:
    assert PROVIDER.key_vars == ()
    assert PROVIDER.address_var == ""


@wire.each(
    Case(wire.PLAIN, {"model": "demo", "stream_options.include_usage": True}),
    Case(wire.PLAIN, {"model": "demo-slow"}, "slow"),
    Case(wire.LIMIT | wire.STOP, {"max_tokens": 100, "stop": ["END"]}),
    Case(wire.FORCED, {"tools.0.function.name": "get_weather", "tool_choice": "required"}),
    Case(wire.THINK, {"reasoning_effort": "high"}),
    Case(wire.THINK_NOT, {"reasoning_effort": "none"}),
    Case(wire.SHAPED, {"response_format.json_schema.schema": wire.SCHEMA}),
    Case(wire.PLAIN, {"reasoning_effort": ABSENT}),
)
def test_its_client_is_asked_in_plain_chat_completions(case: Case) -> None:
    wire.check(PROVIDER, case)


async def test_its_answer_decodes_like_any_other() -> None:
    request = ChatRequest.model_validate({"messages": [{"role": "user", "content": "Hello"}]})
    call = Call(provider=PROVIDER, model=PROVIDER.model(None), request=request)
    upstream = await DemoClient(first_token_s=0, gap_s=0).send(
        PROVIDER.dialect.encode(call), connect_timeout=1
    )
    decoder = PROVIDER.dialect.decoder(call)
    events = [event async for chunk in upstream.chunks() for event in decoder.feed(chunk)]
    events += decoder.close()
    text = "".join(event.delta for event in events if isinstance(event, TextDelta))
    assert text.startswith("This is Tailrace's built-in **demo provider**")
    assert decoder.ending is not None
    assert decoder.ending.finish is Finish.STOP
    assert decoder.ending.usage is not None
    assert decoder.ending.usage.source is UsageSource.PROVIDER
    assert decoder.upstream_id == "demo-1"
    assert decoder.model == "demo"
