"""What a person sees of a stream: the answer on one channel, words about it on the other."""

import io
from collections.abc import Iterable

import msgspec
import orjson
import pytest

from adapters.errors import make
from adapters.events import (
    AttemptCommit,
    AttemptEnd,
    AttemptStart,
    BlockEnd,
    Candidate,
    ErrorCode,
    Event,
    Failover,
    Finish,
    Outcome,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    Role,
    RoutePlan,
    Status,
    StreamEnd,
    TextDelta,
    Timing,
    WarningEvent,
)
from adapters.request import ChatRequest
from adapters.sse import Message
from adapters.tokens import UNKNOWN
from service.ask import Question, Screen, show, show_raw
from service.remote import RemoteError

CUT = make(ErrorCode.STREAM_INTERRUPTED, "groq stopped in mid-answer", provider="groq")


def end(status: Status = Status.COMPLETED, finish: Finish = Finish.STOP) -> StreamEnd:
    failed = status is Status.FAILED
    return StreamEnd(
        status=status,
        finish=finish,
        provider=None if failed else "groq",
        model=None if failed else "gpt-oss-120b",
        usage=msgspec.structs.replace(UNKNOWN, input=12),
        usage_total=UNKNOWN,
        error=CUT if failed else None,
        timing=Timing(queued_ms=1, ttft_ms=None if failed else 80, total_ms=900),
        attempts=[],
    )


def messages(*events: Event) -> Iterable[Message]:
    for number, event in enumerate(events):
        body = {"v": 1, "stream": "st_1", "seq": number, "ts": 1, **msgspec.to_builtins(event)}
        yield Message(body["type"], orjson.dumps(body))


def seen(*events: Event, explain: bool = False) -> tuple[int, str, str]:
    screen = Screen(out=io.StringIO(), notes=io.StringIO())
    code = show(messages(*events), screen, explain=explain)
    assert isinstance(screen.out, io.StringIO)
    assert isinstance(screen.notes, io.StringIO)
    return code, screen.out.getvalue(), screen.notes.getvalue()


def test_the_answer_is_joined_and_ends_in_a_newline() -> None:
    assert seen(TextDelta("b1", "Hel"), TextDelta("b1", "lo"), end()) == (0, "Hello\n", "")


def test_an_answer_that_ends_its_own_line_gets_no_second_newline() -> None:
    assert seen(TextDelta("b1", "Hello\n"), end())[1] == "Hello\n"


def test_a_refusal_is_an_answer_and_reasoning_is_not() -> None:
    assert seen(ReasoningDelta("b1", "hm"), RefusalDelta("b2", "No."), end())[1] == "No.\n"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.COMPLETED, 0),
        (Status.INCOMPLETE, 0),
        (Status.CANCELLED, 1),
        (Status.FAILED, 1),
    ],
)
def test_the_exit_code_says_whether_there_is_an_answer(status: Status, code: int) -> None:
    assert seen(end(status))[0] == code
    assert show_raw(messages(end(status)), io.StringIO()) == code


def test_a_failure_is_one_line_below_what_was_said() -> None:
    code, out, notes = seen(TextDelta("b1", "Hel"), end(Status.FAILED, Finish.INTERRUPTED))
    assert (code, out) == (1, "Hel\n")
    assert notes == "tailrace: stream_interrupted: groq stopped in mid-answer\n"


def test_a_retraction_and_a_warning_are_told_without_being_asked_for() -> None:
    failover = Failover(from_attempt=1, to=2, mode="restart", error=CUT, must_understand=True)
    warning = WarningEvent(code="dropped", message="seed was dropped")
    _, out, notes = seen(TextDelta("b1", "a"), failover, warning, TextDelta("b2", "b"), end())
    assert out == "a\nb\n"
    assert notes == "[restart: groq stopped in mid-answer]\n[warning: seed was dropped]\n"


def test_explaining_tells_the_plan_every_attempt_and_the_sum() -> None:
    plan = RoutePlan(
        strategy="fallback",
        policy="conversation",
        candidates=[Candidate("grok", "grok-4.7"), Candidate("groq", "gpt-oss-120b")],
        max_attempts=2,
    )
    story = [
        plan,
        AttemptStart(attempt=1, provider="grok", model="grok-4.7", role=Role.PRIMARY, after_ms=2),
        AttemptEnd(attempt=1, outcome=Outcome.FAILED, error=CUT),
        AttemptStart(
            attempt=2, provider="groq", model="gpt-oss-120b", role=Role.FALLBACK, after_ms=40
        ),
        AttemptCommit(attempt=2, reason="first_content", ttft_ms=38),
        TextDelta("b1", "Hi"),
        BlockEnd(block="b1", status="complete"),
        Ping(1),
        AttemptEnd(attempt=2, outcome=Outcome.COMPLETED),
        end(),
    ]
    assert seen(*story) == (0, "Hi\n", "")
    code, out, notes = seen(*story, explain=True)
    assert (code, out) == (0, "Hi\n")
    assert notes.splitlines() == [
        "[conversation: grok/grok-4.7, groq/gpt-oss-120b]",
        "[attempt 1: primary, grok/grok-4.7, after 2 ms]",
        "[attempt 1 failed: groq stopped in mid-answer]",
        "[attempt 2: fallback, groq/gpt-oss-120b, after 40 ms]",
        "[attempt 2 answers: first token after 38 ms]",
        "[attempt 2 completed]",
        "[stop by groq/gpt-oss-120b: 12 tokens in, ? out; first after 80 ms, all in 900 ms]",
    ]


def test_explaining_a_failure_gives_its_error_and_the_sum() -> None:
    notes = seen(end(Status.FAILED, Finish.ERROR), explain=True)[2].splitlines()
    assert notes == [
        "tailrace: stream_interrupted: groq stopped in mid-answer",
        "[error: 12 tokens in, ? out; no token, all in 900 ms]",
    ]


def test_a_stream_without_an_end_is_a_failure_and_leaves_the_line() -> None:
    screen = Screen(out=io.StringIO(), notes=io.StringIO())
    with pytest.raises(RemoteError, match="without an end"):
        show(messages(TextDelta("b1", "Hel")), screen, explain=False)
    assert isinstance(screen.out, io.StringIO)
    assert screen.out.getvalue() == "Hel\n"
    with pytest.raises(RemoteError, match="without an end"):
        show_raw(messages(TextDelta("b1", "Hel")), io.StringIO())


def test_raw_prints_every_event_as_it_came() -> None:
    sent = list(messages(TextDelta("b1", "Hi"), end()))
    out = io.StringIO()
    assert show_raw(sent, out) == 0
    assert out.getvalue().splitlines() == [message.data.decode() for message in sent]


def test_a_question_is_a_valid_request_that_ends_with_its_reader() -> None:
    question = Question(
        text="Hi", use_case="translation", tier="economy", latency="hedge", explain=True
    )
    request = ChatRequest.model_validate_json(orjson.dumps(question.body()))
    assert request.model == "auto"
    assert request.use_case == "translation"
    assert request.budget_tier == "economy"
    assert request.open_early_ms == 0


def test_what_was_not_asked_for_is_left_to_the_service() -> None:
    body = Question(text="Hi", model="demo/demo").body()
    assert set(body) == {"messages", "model", "on_disconnect"}
    assert body["on_disconnect"] == "cancel_after:0"
