"""Nanoseconds per chunk of the chat dialects: framing, decoding, events.

Run: `python -m bench.decode`. One stream of 200 chunks of about 300 bytes, fed chunk by chunk as a
socket gives them, best of 30 passes; the first chunk and the last three are left out.
"""

from collections.abc import Callable
from time import perf_counter_ns

from adapters.contract import Call, Decoder, Dialect, Model, Provider
from adapters.dialects.mistral_chat import MistralChat
from adapters.dialects.openai_chat import OpenAIChat
from adapters.request import ChatRequest, UserMessage

CHUNKS = 200
PASSES = 30

_CHUNK = (
    b'data: {"id":"chatcmpl-D8Z5oo6uDh67AD85p73ksdT1KxhE0","object":"chat.completion.chunk",'
    b'"created":1770933892,"model":"gpt-4.1-nano-2025-04-14","service_tier":"default",'
    b'"system_fingerprint":"fp_de604bd877","choices":[{"index":0,"delta":%b,'
    b'"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"yoKFv"}\n\n'
)
_TEXT = b'{"content":" Name"}'
_REASONING = b'{"reasoning_content":" Name"}'
_TOOL = b'{"tool_calls":[{"index":0,"function":{"arguments":" Francisco"}}]}'
_TOOL_OPENS = b'{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"f","arguments":""}}]}'
_PARTS = b'{"content":[{"type":"thinking","thinking":[{"type":"text","text":" Name"}]}]}'


def per_chunk(make: Callable[[], Decoder], first: bytes, delta: bytes) -> float:
    """Nanoseconds per chunk, the best of all passes."""
    chunk = _CHUNK % delta
    best = float("inf")
    for _ in range(PASSES):
        decoder = make()
        decoder.feed(_CHUNK % first)
        started = perf_counter_ns()
        for _ in range(CHUNKS):
            decoder.feed(chunk)
        best = min(best, (perf_counter_ns() - started) / CHUNKS)
    return best


def main() -> None:
    """Print a line per dialect and kind of chunk."""
    cases: list[tuple[str, Dialect, bytes, bytes]] = [
        ("openai_chat text", OpenAIChat(), _TEXT, _TEXT),
        ("openai_chat reasoning", OpenAIChat(), _REASONING, _REASONING),
        ("openai_chat tool call", OpenAIChat(), _TOOL_OPENS, _TOOL),
        ("mistral_chat text", MistralChat(), _TEXT, _TEXT),
        ("mistral_chat thinking", MistralChat(), _PARTS, _PARTS),
    ]
    request = ChatRequest(messages=[UserMessage(role="user", content="Hello")])
    for title, dialect, first, delta in cases:
        provider = Provider(
            name="bench",
            title="Bench",
            key_vars=(),
            address_var="BENCH_BASE_URL",
            base_url=None,
            client="openai",
            dialect=dialect,
            models=(Model(id="m"),),
        )
        call = Call(provider=provider, model=provider.models[0], request=request)
        size = len(_CHUNK % delta)
        spent = per_chunk(lambda call=call: call.provider.dialect.decoder(call), first, delta)
        print(f"{title:24}{size:5} bytes {spent:8.0f} ns")


if __name__ == "__main__":
    main()
