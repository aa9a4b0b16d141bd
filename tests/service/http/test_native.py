"""The native API over real sockets: what is sent when, refusals, resume, cancel, idempotency."""

import io

import aiohttp
import orjson
import pytest

from adapters.errors import UpstreamError, make
from adapters.events import ErrorCode
from tests.double.steps import Gate
from tests.service.http.serving import body, native, parsed, until
from tests.service.scripted import Scripted, chat, delta

CUT = UpstreamError(make(ErrorCode.STREAM_INTERRUPTED, "the connection was reset"))
REFUSED = UpstreamError(make(ErrorCode.RATE_LIMIT_PROVIDER, "slow down", retry_after_ms=1500))


async def test_an_answer_comes_as_one_numbered_event_stream() -> None:
    async with native(Scripted(*chat("Hel", "lo"))) as bench:
        async with bench.session.post(bench.url + "/v1/streams", json=body()) as response:
            raw = await response.read()
        seen = parsed(raw)
        stream = response.headers["Tailrace-Stream-Id"]
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-cache, no-transform"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["Location"] == f"/v1/streams/{stream}"
        assert [block.id for block in seen] == [f"{stream}:{n}" for n in range(len(seen))]
        assert [block.data["seq"] for block in seen] == list(range(len(seen)))
        assert [block.event for block in seen] == [block.data["type"] for block in seen]
        assert seen[-1].event == "stream.end"
        deltas = [block.data["delta"] for block in seen if block.event == "text.delta"]
        assert "".join(deltas) == "Hello"


async def test_the_reconnection_time_is_part_of_the_first_block() -> None:
    async with native(Scripted(*chat("hi"))) as bench:
        async with bench.session.post(bench.url + "/v1/streams", json=body()) as response:
            first = (await response.read()).split(b"\n\n")[0].split(b"\n")
        assert first[0].startswith(b"retry: ")
        assert 1_000 <= int(first[0][7:]) <= 3_000
        assert first[1].startswith(b"id: ")


async def test_tokens_arrive_one_by_one_and_not_in_one_burst() -> None:
    gate = Gate()
    async with (
        native(Scripted(delta("first"), gate, *chat("second"))) as bench,
        bench.session.post(bench.url + "/v1/streams", json=body()) as response,
    ):
        early = await until(response, b'"delta":"first"')
        assert b"second" not in early
        gate.open()
        assert b'"delta":"second"' in await until(response, b"stream.end")


async def test_a_failure_before_anything_was_sent_is_an_http_error_with_its_own_status() -> None:
    async with native(Scripted(REFUSED)) as bench:
        async with bench.session.post(bench.url + "/v1/streams", json=body()) as response:
            problem = await response.json()
        assert response.status == 429
        assert response.headers["Retry-After"] == "2"
        assert problem == {
            "error": {
                "code": "rate_limit_provider",
                "message": "slow down",
                "retryable": True,
                "retry_after_ms": 1500,
                "provider": "openai",
            }
        }


async def test_opened_at_once_a_failure_is_the_last_event_instead() -> None:
    async with native(Scripted(REFUSED)) as bench:
        asked = body(open_early_ms=0)
        async with bench.session.post(bench.url + "/v1/streams", json=asked) as response:
            seen = parsed(await response.read())
        assert response.status == 200
        assert seen[-1].event == "stream.end"
        assert seen[-1].data["error"]["code"] == "rate_limit_provider"


async def test_the_headers_leave_when_open_early_has_passed_without_content() -> None:
    gate = Gate()
    async with native(Scripted(b": wait\n\n", gate, *chat("late"))) as bench:
        asked = body(open_early_ms=10)
        async with bench.session.post(bench.url + "/v1/streams", json=asked) as response:
            early = await until(response, b"attempt.start")
            assert b"attempt.commit" not in early
            gate.open()
            assert b"late" in await until(response, b"stream.end")


async def test_silence_is_filled_with_a_comment_of_one_newline() -> None:
    gate = Gate()
    async with native(Scripted(delta("a"), gate, *chat("b")), keepalive_s=0.02) as bench:
        async with bench.session.post(bench.url + "/v1/streams", json=body()) as response:
            early = await until(response, b"\n\n:\n:\n")
            gate.open()
            late = await until(response, b"stream.end")
        assert [block.data["seq"] for block in parsed(early.replace(b":\n", b"") + late)] == list(
            range(len(parsed(early.replace(b":\n", b"") + late)))
        )


async def test_accept_json_gives_the_same_answer_folded() -> None:
    async with native(Scripted(*chat("Hel", "lo"))) as bench:
        headers = {"Accept": "application/json"}
        asked = bench.session.post(bench.url + "/v1/streams", json=body(), headers=headers)
        async with asked as response:
            answer = await response.json()
        assert answer["content"] == "Hello"
        assert (answer["status"], answer["finish"]) == ("completed", "stop")
        assert (answer["provider"], answer["model"]) == ("openai", "openai-one")
        assert answer["usage"]["total"] == 5
        assert answer["tool_calls"] == answer["citations"] == answer["warnings"] == []
        assert answer["id"] == response.headers["Tailrace-Stream-Id"]
        assert response.headers["Tailrace-Provider"] == "openai"
        assert response.headers["Tailrace-Model"] == "openai-one"
        assert answer["attempts"][0]["outcome"] == "completed"
        assert answer["route"]["candidates"] == [{"provider": "openai", "model": "openai-one"}]
        assert "error" not in answer


async def test_a_folded_answer_that_broke_off_is_a_200_that_says_so() -> None:
    async with native(Scripted(delta("half"), CUT)) as bench:
        headers = {"Accept": "application/json"}
        asked = body()
        async with bench.session.post(
            bench.url + "/v1/streams", json=asked, headers=headers
        ) as response:
            answer = await response.json()
        assert response.status == 200
        assert (answer["content"], answer["status"]) == ("half", "failed")
        assert answer["error"]["code"] == "stream_interrupted"


@pytest.mark.parametrize("cursor", ["header", "query-number", "query-id"])
async def test_any_prefix_and_the_resumed_rest_are_the_whole(cursor: str) -> None:
    async with native(Scripted(*chat(*"abcdef"))) as bench:
        async with bench.session.post(bench.url + "/v1/streams", json=body()) as response:
            whole = parsed(await response.read())
        stream = response.headers["Tailrace-Stream-Id"]
        url = f"{bench.url}/v1/streams/{stream}"
        for after in range(len(whole) - 1):
            headers = {"Last-Event-ID": f"{stream}:{after}"} if cursor == "header" else {}
            query = {
                "header": {},
                "query-number": {"after": str(after)},
                "query-id": {"after": f"{stream}:{after}"},
            }[cursor]
            async with bench.session.get(url, headers=headers, params=query) as resumed:
                rest = parsed(await resumed.read())
            assert whole[: after + 1] + rest == whole


async def test_a_reader_can_resume_while_the_answer_still_runs() -> None:
    gate = Gate()
    async with native(Scripted(delta("a"), gate, *chat("b", "c"))) as bench:
        async with bench.session.post(bench.url + "/v1/streams", json=body()) as response:
            prefix = parsed(await until(response, b'"delta":"a"}\n\n'))
        stream = response.headers["Tailrace-Stream-Id"]
        after = prefix[-1].data["seq"]
        url = f"{bench.url}/v1/streams/{stream}?after={after}"
        async with bench.session.get(url) as resumed:
            gate.open()
            rest = parsed(await resumed.read())
        numbers = [block.data["seq"] for block in prefix + rest]
        assert numbers == list(range(len(numbers)))
        assert rest[-1].event == "stream.end"


async def test_a_finished_stream_read_to_its_end_answers_204() -> None:
    async with native(Scripted(*chat("hi"))) as bench:
        async with bench.session.post(bench.url + "/v1/streams", json=body()) as response:
            last = parsed(await response.read())[-1]
        url = f"{bench.url}/v1/streams/{response.headers['Tailrace-Stream-Id']}"
        async with bench.session.get(url, headers={"Last-Event-ID": str(last.id)}) as resumed:
            assert (resumed.status, await resumed.read()) == (204, b"")


@pytest.mark.parametrize("cursor", ["st_other:3", "abc", "99999", "-2", "1.5", ":"])
async def test_a_cursor_that_is_not_of_this_stream_is_refused_by_name(cursor: str) -> None:
    async with native(Scripted(*chat("hi"))) as bench:
        async with bench.session.post(bench.url + "/v1/streams", json=body()) as response:
            await response.read()
        url = f"{bench.url}/v1/streams/{response.headers['Tailrace-Stream-Id']}"
        async with bench.session.get(url, headers={"Last-Event-ID": cursor}) as refused:
            problem = await refused.json()
        assert refused.status == 400
        assert problem["error"]["param"] == "Last-Event-ID"


async def test_an_unknown_stream_is_404_and_an_expired_one_410() -> None:
    async with native(Scripted(*chat("hi"))) as bench:
        async with bench.session.post(bench.url + "/v1/streams", json=body()) as response:
            await response.read()
        stream = response.headers["Tailrace-Stream-Id"]
        bench.relay.store.sweep(float("inf"))
        for name, status in ((stream, 410), ("st_unknown", 404)):
            async with bench.session.get(f"{bench.url}/v1/streams/{name}") as gone:
                assert gone.status == status


async def test_leaving_does_not_cancel_and_the_answer_can_be_fetched_later() -> None:
    gate = Gate()
    provider = Scripted(delta("a"), gate, *chat("b"))
    async with native(provider) as bench:
        async with bench.session.post(bench.url + "/v1/streams", json=body()) as response:
            await until(response, b"text.delta")
            response.close()
        gate.open()
        await provider.quiet()
        url = f"{bench.url}/v1/streams/{response.headers['Tailrace-Stream-Id']}"
        async with bench.session.get(url, headers={"Accept": "application/json"}) as later:
            assert (await later.json())["content"] == "ab"


@pytest.mark.parametrize("window", ["before-headers", "before-content", "mid-stream"])
async def test_under_cancel_after_zero_leaving_closes_the_upstream(window: str) -> None:
    gate = Gate()
    pieces = {
        "before-headers": [gate],
        "before-content": [b": wait\n\n", gate],
        "mid-stream": [delta("a"), gate],
    }[window]
    provider = Scripted(*pieces)
    async with native(provider) as bench:
        asked = body(on_disconnect="cancel_after:0", open_early_ms=0)
        async with bench.session.post(bench.url + "/v1/streams", json=asked) as response:
            await gate.reached()
            [stream] = bench.relay.store.live
            response.close()
        await stream.over()
        await provider.quiet()
        assert stream.log.end is not None
        assert stream.log.end.status == "cancelled"


async def test_a_json_answer_that_nobody_waits_for_is_cancelled() -> None:
    gate = Gate()
    provider = Scripted(delta("a"), gate)
    async with native(provider) as bench:
        timeout = aiohttp.ClientTimeout(total=0.1)
        headers = {"Accept": "application/json"}
        with pytest.raises(TimeoutError):
            await bench.session.post(
                bench.url + "/v1/streams", json=body(), headers=headers, timeout=timeout
            )
        await provider.quiet()
        assert bench.relay.store.live == []


async def test_cancel_answers_202_ends_the_stream_and_may_be_repeated() -> None:
    gate = Gate()
    provider = Scripted(delta("a"), gate)
    async with native(provider) as bench:
        async with bench.session.post(bench.url + "/v1/streams", json=body()) as response:
            await until(response, b"text.delta")
            url = f"{bench.url}/v1/streams/{response.headers['Tailrace-Stream-Id']}/cancel"
            for _ in range(2):
                async with bench.session.post(url) as cancelled:
                    assert cancelled.status == 202
                    assert (await cancelled.json())["status"] == "cancelled"
            rest = await until(response, b"stream.end")
        assert b'"status":"cancelled"' in rest
        await provider.quiet()


async def test_an_idempotency_key_attaches_and_a_different_body_conflicts() -> None:
    provider = Scripted(*chat("hi"))
    async with native(provider) as bench:
        key = {"Idempotency-Key": "k-1"}
        bodies = []
        for _ in range(2):
            asked = bench.session.post(bench.url + "/v1/streams", json=body(), headers=key)
            async with asked as response:
                bodies.append(parsed(await response.read()))
        assert bodies[0] == bodies[1]
        assert len(provider.sent) == 1
        other = bench.session.post(bench.url + "/v1/streams", json=body("other"), headers=key)
        async with other as refused:
            assert refused.status == 409
            assert (await refused.json())["error"]["code"] == "conflict"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"colour": "red"}, "colour"),
        ({"temperature": "hot"}, "temperature"),
        ({"use_case": "poetry"}, "use_case"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "x"}] * 10_000}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"model": "openai/x\r\nSet-Cookie: y"}, "model"),
        ({"latency": "warp"}, "latency"),
        ({"on_disconnect": "explode"}, "on_disconnect"),
        ({"deadlines": {"stall_ms": -1}}, "deadlines.stall_ms"),
        ({"model": "auto:poetry"}, "model"),
        ({"model": "auto:analysis@cheap"}, "model"),
        ({"providers": {"only": ["nobody"]}}, "providers.only"),
    ],
)
async def test_a_bad_request_is_a_4xx_that_names_the_field(
    change: dict[str, object], param: str
) -> None:
    provider = Scripted(*chat("hi"))
    async with native(provider) as bench:
        async with bench.session.post(bench.url + "/v1/streams", json=body(**change)) as response:
            problem = (await response.json())["error"]
        assert response.status in {400, 404, 422}
        assert problem["param"] == param
        assert param.split("[", maxsplit=1)[0] in problem["message"] or param == "model"
        assert provider.sent == []


@pytest.mark.parametrize("length", [0, 257])
async def test_an_idempotency_key_of_the_wrong_length_is_refused_by_name(length: int) -> None:
    async with native(Scripted()) as bench:
        headers = {"Idempotency-Key": "k" * length}
        asked = bench.session.post(bench.url + "/v1/streams", json=body(), headers=headers)
        async with asked as response:
            assert response.status == 400
            problem = (await response.json())["error"]
        assert problem["param"] == "Idempotency-Key"
        assert problem["message"].endswith(f"must have 1 to 256 characters, has {length}")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"{", 400),
        (b'{"messages":[{"role":"user","content":"\xff\xfe"}]}', 400),
        (b'{"messages":[{"role":"user","content":"\\ud800"}]}', 400),
        (b"[" * 100_000, 400),
        (b"x" * (2 * 1024 * 1024), 413),
    ],
    ids=["empty", "list", "null", "cut", "utf-8", "surrogate", "deep", "2-mib"],
)
async def test_a_body_that_is_no_request_is_refused_without_a_trace(
    raw: bytes, status: int
) -> None:
    async with native(Scripted(*chat("hi"))) as bench:
        async with bench.session.post(bench.url + "/v1/streams", data=io.BytesIO(raw)) as response:
            text = await response.text()
        assert response.status == status
        assert orjson.loads(text)["error"]["code"] in {"invalid_request", "payload_too_large"}
        assert "Traceback" not in text
        assert "/" not in orjson.loads(text)["error"]["message"].replace("application/json", "")


@pytest.mark.parametrize(
    ("coding", "param"),
    [
        ("gzip", "body"),
        ("deflate", "body"),
        ("br", "Content-Encoding"),
        ("zstd", "Content-Encoding"),
    ],
)
async def test_a_body_that_does_not_decompress_is_the_callers_fault(
    coding: str, param: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with native(Scripted()) as bench:
        headers = {"Content-Encoding": coding}
        asked = bench.session.post(bench.url + "/v1/streams", data=b"x" * 16, headers=headers)
        async with asked as response:
            assert response.status == 400
            assert (await response.json())["error"]["param"] == param
    assert "Traceback" not in caplog.text


async def test_an_unknown_route_and_a_wrong_method_have_the_typed_form() -> None:
    async with native(Scripted()) as bench:
        async with bench.session.get(bench.url + "/v1/nothing") as missing:
            assert (missing.status, (await missing.json())["error"]["code"]) == (404, "not_found")
        async with bench.session.put(bench.url + "/v1/streams") as wrong:
            assert wrong.status == 405
            assert wrong.headers["Allow"] == "POST"
