"""Whatever a provider does wrong ends the stream once, typed, in time, and leaves nothing."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

import pytest

from tests.double.answer import KeepAlives
from tests.double.faults import (
    GARBAGE,
    closed_address,
    cut_at,
    deaf_address,
    gzipped,
    header,
    huge_line,
    in_one_write,
    in_pieces,
    then,
    without,
)
from tests.double.script import Script, dropped, http_answer, reply, stream
from tests.double.steps import Cut, Gate, Stall, Wait
from tests.double.wire.scribe import DONE
from tests.e2e.stack import ONE_OF_EACH, Stack, question, read, stack
from tests.service.http.serving import until

SOON = 60  # milliseconds
"""The deadline that a fault shall run into. All others are the service's own, far away."""

LATER = 500  # milliseconds
"""The same, where the first words must have come before; an SDK's first request takes its time."""

IN_TIME = 5.0  # seconds
"""What everything together may take on a machine that is busy with other things."""

TOO_LONG = 9 * 1024 * 1024  # bytes; a line may have eight MiB

one_of_each = pytest.mark.parametrize("name", ONE_OF_EACH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a provider does, and what is to come of it."""

    script: Script
    code: str
    http: int
    deadlines: Mapping[str, int] = field(default_factory=dict)
    reusable: bool = False
    """Whether its connection may serve again: the answer, whatever it was, had an end."""


@contextmanager
def in_time() -> Iterator[None]:
    started = monotonic()
    yield
    assert monotonic() - started < IN_TIME


# --- Before any content: an HTTP error ------------------------------------------------------

FIRST = {"first_content_ms": SOON}

EARLY: Mapping[str, Fault] = {
    "never answers": Fault(
        script=reply("Hello", before_headers=Stall()),
        code="timeout_first_token",
        http=504,
        deadlines=FIRST,
    ),
    "headers, then nothing": Fault(
        script=reply("Hello", before_preamble=Stall()),
        code="timeout_first_token",
        http=504,
        deadlines=FIRST,
    ),
    "a preamble, then nothing": Fault(
        script=reply(Stall(), "Hello"), code="timeout_first_token", http=504, deadlines=FIRST
    ),
    "keep-alives without an end": Fault(
        script=reply(KeepAlives(0.002)), code="timeout_first_token", http=504, deadlines=FIRST
    ),
    "nothing in the whole time": Fault(
        script=reply(Stall(), "Hello"),
        code="timeout_total",
        http=504,
        deadlines={"total_ms": SOON},
    ),
    "hangs up on the request": Fault(script=dropped(), code="upstream_connect", http=502),
    "resets the request": Fault(script=dropped(Cut("rst")), code="upstream_connect", http=502),
    "hangs up after its headers": Fault(
        script=reply("Hello").with_faults(cut_at(0)), code="stream_interrupted", http=502
    ),
    "resets after its headers": Fault(
        script=reply("Hello").with_faults(cut_at(0, "rst")), code="stream_interrupted", http=502
    ),
    "hangs up in its preamble": Fault(
        script=reply("Hello").with_faults(cut_at(20)), code="stream_interrupted", http=502
    ),
    "an empty body": Fault(script=stream(b""), code="stream_interrupted", http=502, reusable=True),
    "garbage": Fault(script=stream(GARBAGE), code="stream_interrupted", http=502, reusable=True),
    "data that is no JSON": Fault(
        script=reply(b"data: {not json\n\n", Stall()), code="upstream_malformed", http=502
    ),
    "a line without an end": Fault(
        script=reply(huge_line(TOO_LONG), Stall()), code="upstream_malformed", http=502
    ),
    "another content type": Fault(
        script=reply("Hello").with_faults(header("content-type", "text/html")),
        code="upstream_malformed",
        http=502,
        reusable=True,
    ),
    "JSON instead of a stream": Fault(
        script=http_answer(200, {"id": "1", "object": "chat.completion", "choices": []}),
        code="upstream_malformed",
        http=502,
        reusable=True,
    ),
    "an error at status 200": Fault(
        script=http_answer(200, {"error": {"type": "overloaded_error", "message": "Overloaded"}}),
        code="overloaded",
        http=503,
        reusable=True,
    ),
    "a redirect": Fault(
        script=http_answer(307, headers=(("location", "https://elsewhere.invalid/v1"),)),
        code="upstream_malformed",
        http=502,
        reusable=True,
    ),
    "a page from a proxy": Fault(
        script=http_answer(502, b"<html><title>502 Bad Gateway</title></html>"),
        code="upstream_5xx",
        http=502,
        reusable=True,
    ),
}


@pytest.mark.parametrize("fault", EARLY.values(), ids=EARLY)
@one_of_each
async def test_a_fault_before_any_content_is_one_http_error_in_time(
    name: str, fault: Fault, alone: Stack
) -> None:
    with in_time():
        told = await alone.ask(f"{name}/auto", fault.script, deadlines=fault.deadlines)

    assert (told.status, told.error["code"]) == (fault.http, fault.code)
    record = await alone.fetch(told.stream)
    assert (record.end["status"], record.text) == ("failed", "")
    assert record.end["error"]["code"] == fault.code
    assert record.end["error"]["phase"] == "before_commit"
    assert record.end["timing"]["total_ms"] >= min(fault.deadlines.values(), default=0)
    # A deadline may be over before a busy machine has sent anything.
    assert len(alone.double.requests) == 1 or fault.deadlines
    if not fault.reusable:
        await alone.double.deserted()


@one_of_each
async def test_a_provider_where_nobody_listens_is_an_http_error_at_once(name: str) -> None:
    with closed_address() as address:
        async with stack(name, elsewhere=address) as running:
            with in_time():
                told = await running.ask(f"{name}/auto")
    assert (told.status, told.error["code"]) == (502, "upstream_connect")


@one_of_each
async def test_a_provider_that_cannot_be_reached_is_given_up_after_connect_ms(name: str) -> None:
    with deaf_address() as address:
        async with stack(name, elsewhere=address) as running:
            with in_time():
                told = await running.ask(f"{name}/auto", deadlines={"connect_ms": SOON})
    assert (told.status, told.error["code"]) == (502, "upstream_connect")


# --- After content: stream.end says so ------------------------------------------------------

STALLS = {"stall_ms": SOON}

LATE: Mapping[str, Fault] = {
    "stops": Fault(
        script=reply("Hel", Stall(), "lo"), code="timeout_idle", http=504, deadlines=STALLS
    ),
    "only keeps alive": Fault(
        script=reply("Hel", KeepAlives(0.002)), code="timeout_idle", http=504, deadlines=STALLS
    ),
    "does not come to an end": Fault(
        script=reply("Hel", Stall()), code="timeout_total", http=504, deadlines={"total_ms": LATER}
    ),
    "hangs up": Fault(script=reply("Hel", Cut(), "lo"), code="stream_interrupted", http=502),
    "hangs up in a line": Fault(
        script=reply("Hel", b"data: {", Cut(), "lo"), code="stream_interrupted", http=502
    ),
    "a line without an end": Fault(
        script=reply("Hel", huge_line(TOO_LONG), Stall(), "lo"), code="upstream_malformed", http=502
    ),
    "data that is no JSON": Fault(
        script=reply("Hel", b"data: {not json\n\n", Stall(), "lo"),
        code="upstream_malformed",
        http=502,
    ),
}


@pytest.mark.parametrize("fault", LATE.values(), ids=LATE)
@one_of_each
async def test_a_fault_amid_the_answer_is_its_one_end_and_what_came_is_kept(
    name: str, fault: Fault, alone: Stack
) -> None:
    with in_time():
        told = await alone.ask(f"{name}/auto", fault.script, deadlines=fault.deadlines)

    assert (told.status, told.text) == (200, "Hel")
    assert told.end["status"] == "failed"
    error = told.end["error"]
    assert (error["code"], error["http"]) == (fault.code, fault.http)
    assert (error["phase"], error["bytes_out"]) == ("mid_stream", True)
    assert [block["status"] for block in told.of("block.end")] == ["incomplete"]
    assert told.end["timing"]["total_ms"] >= min(fault.deadlines.values(), default=0)
    assert len(told.end["attempts"]) == len(alone.double.requests) == 1
    await alone.double.deserted()


@one_of_each
async def test_a_reset_amid_the_answer_ends_it_as_interrupted(name: str, alone: Stack) -> None:
    gate = Gate()
    alone.double.script(reply("Hel", Wait(gate), Cut("rst"), "lo"))
    async with alone.post(question(f"{name}/auto")) as response:
        await until(response, b'"delta":"Hel"')
        gate.open()
        await response.read()
    record = await alone.fetch(response.headers["Tailrace-Stream-Id"])
    assert record.text == "Hel"
    assert (record.end["status"], record.end["finish"]) == ("failed", "interrupted")
    assert record.end["error"]["code"] == "stream_interrupted"
    await alone.double.deserted()


# --- However it was asked -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["groq"])
@pytest.mark.parametrize("fault", EARLY.values(), ids=EARLY)
async def test_over_a_websocket_a_fault_before_any_content_is_the_stream_s_last_event(
    fault: Fault, name: str, alone: Stack
) -> None:
    with in_time():
        told = await alone.ask_by_websocket(f"{name}/auto", fault.script, deadlines=fault.deadlines)
    assert (told.text, told.end["error"]["code"]) == ("", fault.code)
    assert told.end["error"]["phase"] == "before_commit"


@pytest.mark.parametrize("name", ["groq"])
@pytest.mark.parametrize("fault", LATE.values(), ids=LATE)
async def test_over_a_websocket_a_fault_amid_the_answer_is_the_stream_s_last_event(
    fault: Fault, name: str, alone: Stack
) -> None:
    with in_time():
        told = await alone.ask_by_websocket(f"{name}/auto", fault.script, deadlines=fault.deadlines)
    assert (told.text, told.end["error"]["code"]) == ("Hel", fault.code)
    assert told.end["error"]["phase"] == "mid_stream"


@pytest.mark.parametrize("name", ["groq"])
@pytest.mark.parametrize("fault", LATE.values(), ids=LATE)
async def test_folded_a_fault_amid_the_answer_is_its_status_and_what_came_is_kept(
    fault: Fault, name: str, alone: Stack
) -> None:
    alone.double.script(fault.script)
    asked = question(f"{name}/auto", deadlines=fault.deadlines)
    accept = {"Accept": "application/json"}
    url = f"{alone.url}/v1/streams"
    async with alone.client.post(url, json=asked, headers=accept) as response:
        folded = await response.json()
    assert (response.status, folded["status"], folded["content"]) == (200, "failed", "Hel")
    assert folded["error"]["code"] == fault.code


# --- What is no fault -----------------------------------------------------------------------

How = Literal["fin", "rst"]

HARMLESS: Mapping[str, Callable[[], Script]] = {
    "a slow drip": lambda: reply("Hel", "lo").with_faults(in_pieces(16, every=0.001)),
    "pauses": lambda: reply("Hel", "lo", between=0.02),
    "everything at once": lambda: reply("Hel", "lo").with_faults(in_one_write()),
    "no [DONE]": lambda: reply("Hel", "lo").with_faults(without(DONE)),
    "hangs up after its last word": lambda: reply("Hel", "lo").with_faults(then(Cut())),
    "garbage between events": lambda: reply("Hel", GARBAGE, "lo"),
    "compressed": lambda: reply("Hel", "lo").with_faults(gzipped()),
}


@pytest.mark.parametrize("script", HARMLESS.values(), ids=HARMLESS)
@one_of_each
async def test_an_answer_that_is_whole_is_complete_however_it_came(
    name: str, script: Callable[[], Script], alone: Stack
) -> None:
    with in_time():
        told = await alone.ask(f"{name}/auto", script())
    assert told.text == "Hello"
    assert (told.end["status"], told.end["finish"]) == ("completed", "stop")
    assert told.end["usage"]["output"] == 9


# Gemini's format has no last word but the end of the body, so that is waited for (FINISH_GRACE).
WITH_LAST_WORD = [name for name in ONE_OF_EACH if name != "gemini"]


@pytest.mark.parametrize("name", WITH_LAST_WORD)
async def test_an_answer_is_over_with_its_last_word_whatever_its_body_does(
    name: str, alone: Stack
) -> None:
    with in_time():
        told = await alone.ask(f"{name}/auto", reply("Hello").with_faults(then(Stall())))
    await alone.double.deserted()
    assert (told.text, told.end["status"]) == ("Hello", "completed")


@one_of_each
async def test_a_reset_after_the_last_word_does_not_undo_the_answer(
    name: str, alone: Stack
) -> None:
    gate = Gate()
    alone.double.script(reply("Hello").with_faults(then(Wait(gate), Cut("rst"))))
    async with alone.post(question(f"{name}/auto")) as response:
        told, _ = await asyncio.gather(read(response), _once_sent(gate))
    assert (told.text, told.end["status"]) == ("Hello", "completed")


async def _once_sent(gate: Gate) -> None:
    await gate.reached()
    gate.open()
