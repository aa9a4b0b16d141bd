"""How many tokens a request is likely to be: cheap, and rather too many than too few.

A token of today's vocabularies is about four bytes of UTF-8, in whatever script: OpenAI's own
examples for o200k (openai.com/index/hello-gpt-4o, language tokenization) come to 3.5 bytes per
token in English, 3.7 in Chinese, 4.4 in Japanese and 4.6 in Korean, that is 4 letters to a token in
Latin text and 1.4 ideographs to one in Chinese. Russian, Arabic and Hindi are overestimated by up
to two thirds; older vocabularies need as much. Counting exactly would take each provider's own
tokenizer, and 30 ms per MiB, for a figure that only picks a price bracket and guards a window.

Text that is all ASCII costs its `len`. Other text is measured whole up to 4 Ki characters; beyond
that eight samples stand for it, so that a prompt of 1 MiB costs some 10 us instead of a millisecond
of encoding.
"""

from collections.abc import Iterable

import orjson

from adapters.request import AssistantMessage, ChatRequest, ImagePart, Message, Tool

BYTES_PER_TOKEN = 4

PER_MESSAGE = 4
"""The role and what parts messages (OpenAI's cookbook counts 3, and 3 once)."""

PER_TOOL = 12
"""What a tool's description is wrapped into; its names, words and schema are counted as text."""

PER_IMAGE = 1_000
"""An image whose size is unknown: one of a megapixel is 765 tokens at OpenAI, 1,334 at Anthropic,
258 to 1,032 at Google."""

PER_SMALL_IMAGE = 85
"""With `detail: low`, at OpenAI."""

_WHOLE = 4_096  # characters
_SAMPLES = 8
_SAMPLE = _WHOLE // _SAMPLES


def input_tokens(request: ChatRequest) -> int:
    """Tokens of the messages and tools together."""
    size = 0
    beside = PER_MESSAGE * len(request.messages)
    for message in request.messages:
        size += sum(map(byte_length, _texts(message)))
        beside += _images(message)
    for tool in request.tools or ():
        size += _tool(tool)
        beside += PER_TOOL
    return -(-size // BYTES_PER_TOKEN) + beside


def has_images(request: ChatRequest) -> bool:
    """Whether it shows the model anything."""
    return any(
        isinstance(part, ImagePart)
        for message in request.messages
        if isinstance(message.content, list)
        for part in message.content
    )


def byte_length(text: str) -> int:
    """About how many bytes of UTF-8 a text is; exact for ASCII and for short ones."""
    count = len(text)
    if text.isascii():
        return count
    if count <= _WHOLE:
        return _bytes(text)
    step = (count - _SAMPLE) // (_SAMPLES - 1)
    measured = sum(_bytes(text[at * step : at * step + _SAMPLE]) for at in range(_SAMPLES))
    return count * measured // _WHOLE


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _texts(message: Message) -> Iterable[str]:
    if isinstance(message.content, str):
        yield message.content
    else:
        for part in message.content or ():
            if not isinstance(part, ImagePart):
                yield part.text
    if isinstance(message, AssistantMessage):
        for call in message.tool_calls or ():
            yield call.function.name
            yield call.function.arguments
        for thought in message.reasoning or ():
            yield thought.text


def _images(message: Message) -> int:
    if not isinstance(message.content, list):
        return 0
    return sum(
        PER_SMALL_IMAGE if part.image_url.detail == "low" else PER_IMAGE
        for part in message.content
        if isinstance(part, ImagePart)
    )


def _tool(tool: Tool) -> int:
    function = tool.function
    size = byte_length(function.name) + byte_length(function.description or "")
    return size + (len(orjson.dumps(function.parameters)) if function.parameters else 0)
