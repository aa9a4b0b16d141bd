"""What a person sees of a stream: the answer on one channel, words about it on the other."""

import io
from collections.abc import Iterable
from typing import Any

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
    Error,
    ErrorCode,
    Event,
    Failover,
    Finish,
    Outcome,
    Passed,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    Role,
    RoutePlan,
    Status,
    StreamEnd,
    Substitution,
    TextDelta,
    Timing,
    WarningEvent,
)
from adapters.request import ChatRequest, Latency, Strategy
from adapters.sse import Message
from adapters.tokens import UNKNOWN
from service.ask import Question, Screen, show, show_raw
from service.remote import RemoteError

GROK = Candidate("grok", "grok-4.7")
GROQ = Candidate("groq", "gpt-oss-120b")
CUT = make(ErrorCode.STREAM_INTERRUPTED, "groq stopped in mid-answer", provider="groq")


def end(
    status: Status = Status.COMPLETED,
    finish: Finish = Finish.STOP,
    *,
    error: Error | None = None,
    cost: str | None = None,
    cost_of_all: str | None = None,
) -> StreamEnd:
    failed = status is Status.FAILED
    return StreamEnd(
        status=status,
        finish=finish,
        provider=None if failed else "groq",
        model=None if failed else "gpt-oss-120b",
        usage=msgspec.structs.replace(UNKNOWN, input=12, cost_usd=cost),
        usage_total=msgspec.structs.replace(UNKNOWN, cost_usd=cost_of_all),
        error=(error or CUT) if failed else None,
        timing=Timing(
            queued_ms=1,
            ttft_ms=None if failed else 80,
            total_ms=900,
            tokens_per_s=None if failed else 312.5,
        ),
        attempts=[],
    )


def plan(*candidates: Candidate, strategy: Strategy = Strategy.NORMAL, **facts: Any) -> RoutePlan:  # noqa: ANN401 - fields of all types
    run: Any = "fallback" if strategy is Strategy.NORMAL else strategy.value
    return RoutePlan(
        strategy=run,
        policy="table:conversation",
        candidates=list(candidates) or [GROK, GROQ],
        max_attempts=2,
        **facts,
    )


def start(number: int, role: Role, at: int, candidate: Candidate) -> AttemptStart:
    return AttemptStart(
        attempt=number,
        provider=candidate.provider,
        model=candidate.model,
        role=role,
        after_ms=at,
        substitutes=candidate.substitutes,
    )


def commit(number: int, ttft: int, reason: Any = "first_content") -> AttemptCommit:  # noqa: ANN401 - a literal
    return AttemptCommit(attempt=number, reason=reason, ttft_ms=ttft)


def ended(number: int, outcome: Outcome, error: Error | None = None) -> AttemptEnd:
    return AttemptEnd(attempt=number, outcome=outcome, error=error)


def failover(mode: Any, *drop: str) -> Failover:  # noqa: ANN401 - a literal
    return Failover(
        from_attempt=1,
        to=2,
        mode=mode,
        drop=list(drop) or None,
        error=CUT,
        must_understand=mode == "restart",
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


def test_a_warning_is_told_without_being_asked_for_and_changes_nothing_in_the_answer() -> None:
    warning = WarningEvent(code="dropped", message="seed was dropped")
    _, out, notes = seen(TextDelta("b1", "Hel"), warning, warning, TextDelta("b1", "lo"), end())
    assert out == "Hello\n"
    assert notes == "\n[warning: seed was dropped]\n[warning: seed was dropped]\n"


# --- Taken over -----------------------------------------------------------------------------


def test_a_restart_marks_the_text_as_withdrawn_before_the_new_text_comes() -> None:
    terminal = io.StringIO()
    told = [
        start(1, Role.PRIMARY, 2, GROK),
        commit(1, 38),
        TextDelta("b1.1", "Half an ans"),
        ended(1, Outcome.FAILED, CUT),
        start(2, Role.FALLBACK, 400, GROQ),
        failover("restart", "b1.1"),
        commit(2, 50, "failover"),
        TextDelta("b2.1", "The answer."),
        end(),
    ]
    assert show(messages(*told), Screen(out=terminal, notes=terminal), explain=False) == 0
    assert terminal.getvalue().splitlines() == [
        "Half an ans",
        "[withdrawn: the text above; another answer follows]",
        "[restarted by groq/gpt-oss-120b: groq stopped in mid-answer]",
        "The answer.",
    ]
    code, out, notes = seen(*told, explain=True)
    assert code == 0
    assert out.splitlines() == [
        "Half an ans",
        "[withdrawn: the text above; another answer follows]",
        "The answer.",
    ]
    assert [line for line in notes.splitlines() if line][:-1] == [
        "[2 ms: attempt 1, primary: grok/grok-4.7]",
        "[attempt 1 (grok) answers: first token after 38 ms, 40 ms into the request]",
        "[attempt 1 (grok) failed: groq stopped in mid-answer]",
        "[400 ms: attempt 2, fallback: groq/gpt-oss-120b]",
        "[restarted by groq/gpt-oss-120b: groq stopped in mid-answer]",
        "[attempt 2 (groq) takes over: first token after 50 ms, 450 ms into the request]",
    ]


def test_only_what_is_withdrawn_is_marked_so() -> None:
    out = seen(
        TextDelta("b1.1", "kept "),
        TextDelta("b2.1", "gone"),
        failover("restart", "b2.1"),
        TextDelta("b3.1", "new"),
        failover("restart", "b1.1", "b3.1"),
        TextDelta("b4.1", "newest"),
        end(),
    )[1]
    assert out.splitlines() == [
        "kept gone",
        "[withdrawn: the last 4 characters above; another answer follows]",
        "new",
        "[withdrawn: the text above; another answer follows]",
        "newest",
    ]


def test_a_restart_before_any_text_withdraws_nothing() -> None:
    _, out, notes = seen(
        ReasoningDelta("b1.1", "hm"), failover("restart", "b1.1"), TextDelta("b2.1", "Hi"), end()
    )
    assert out == "Hi\n"
    assert notes == "[restarted by another attempt: groq stopped in mid-answer]\n"


def test_a_continued_answer_is_one_text() -> None:
    told = [
        start(1, Role.PRIMARY, 2, GROK),
        TextDelta("b1.1", "Half an "),
        start(2, Role.CONTINUATION, 400, GROQ),
        failover("continue"),
        TextDelta("b2.1", "answer."),
        end(),
    ]
    _, out, notes = seen(*told)
    assert out == "Half an answer.\n"
    assert notes.strip() == ("[continued by groq/gpt-oss-120b: groq stopped in mid-answer]")


# --- Explained ------------------------------------------------------------------------------


def test_without_explain_the_answer_stands_alone() -> None:
    story = [plan(), start(1, Role.PRIMARY, 2, GROQ), commit(1, 38), TextDelta("b1", "Hi"), end()]
    assert seen(*story) == (0, "Hi\n", "")


def test_explaining_tells_the_plan_every_attempt_and_the_sum() -> None:
    code, out, notes = seen(
        plan(),
        start(1, Role.PRIMARY, 2, GROK),
        ended(1, Outcome.FAILED, CUT),
        start(2, Role.FALLBACK, 40, GROQ),
        commit(2, 38),
        TextDelta("b1", "Hi"),
        BlockEnd(block="b1", status="complete"),
        Ping(1),
        ended(2, Outcome.COMPLETED),
        end(cost="0.00012"),
        explain=True,
    )
    assert (code, out) == (0, "Hi\n")
    assert notes.splitlines() == [
        "[plan: table:conversation, fallback]",
        "[  may answer: grok/grok-4.7]",
        "[  may answer: groq/gpt-oss-120b]",
        "[2 ms: attempt 1, primary: grok/grok-4.7]",
        "[attempt 1 (grok) failed: groq stopped in mid-answer]",
        "[40 ms: attempt 2, fallback: groq/gpt-oss-120b]",
        "[attempt 2 (groq) answers: first token after 38 ms, 78 ms into the request]",
        (
            "[stop by groq/gpt-oss-120b: first token after 80 ms, 312.5 tokens/s, cost $0.00012, "
            "12 tokens in, ? out, all in 900 ms]"
        ),
    ]


def test_a_plan_names_the_first_candidates_with_what_is_expected_and_groups_the_skipped() -> None:
    stands_in = Candidate("groq", "qwen3.8-27b", cost_usd="0.00004", ttft_ms=120)
    others = [Candidate("openai", f"gpt-{number}") for number in range(5)]
    skipped = [
        Passed(provider="qwen", model="qwen3.8-flash", reason="no_key"),
        Passed(provider="kimi", reason="no_key"),
        Passed(provider="claude", model="claude-opus-5", reason="over_cap"),
    ]
    notes = seen(
        plan(
            stands_in,
            *others,
            strategy=Strategy.HEDGE,
            hedge_after_ms=850,
            cap_usd="0.05",
            skipped=skipped,
        ),
        end(),
        explain=True,
    )[2]
    assert notes.splitlines()[:-1] == [
        "[plan: table:conversation, hedge after 850 ms, at most $0.05]",
        "[  may answer: groq/qwen3.8-27b, about $0.00004, first token usually after 120 ms]",
        "[  may answer: openai/gpt-0]",
        "[  may answer: openai/gpt-1]",
        "[  may answer: openai/gpt-2]",
        "[  may answer: 2 more]",
        "[  skipped, no key: qwen/qwen3.8-flash, kimi]",
        "[  skipped, over cap: claude/claude-opus-5]",
    ]


def explained(*events: Event) -> list[str]:
    """The notes of a story without its last line."""
    return seen(*events, end(), explain=True)[2].splitlines()[:-1]


def test_a_hedge_that_wins_is_told_as_it_happens() -> None:
    assert explained(
        start(1, Role.PRIMARY, 1, GROK),
        start(2, Role.HEDGE, 851, GROQ),
        commit(2, 110),
        ended(1, Outcome.LOST_RACE),
        ended(2, Outcome.COMPLETED),
    ) == [
        "[1 ms: attempt 1, primary: grok/grok-4.7]",
        "[851 ms: attempt 2, hedge: groq/gpt-oss-120b]",
        "[attempt 2 (groq) wins: first token after 110 ms, 961 ms into the request]",
        "[attempt 1 (grok) lost]",
    ]


def test_a_hedge_that_loses_is_told_as_it_happens() -> None:
    assert explained(
        start(1, Role.PRIMARY, 1, GROK),
        start(2, Role.HEDGE, 851, GROQ),
        commit(1, 900),
        ended(2, Outcome.LOST_RACE),
        ended(1, Outcome.COMPLETED),
    ) == [
        "[1 ms: attempt 1, primary: grok/grok-4.7]",
        "[851 ms: attempt 2, hedge: groq/gpt-oss-120b]",
        "[attempt 1 (grok) wins: first token after 900 ms, 901 ms into the request]",
        "[attempt 2 (groq) lost]",
    ]


def test_a_race_is_told_with_who_failed_on_the_way() -> None:
    openai = Candidate("openai", "gpt-6")
    assert explained(
        start(1, Role.PRIMARY, 0, GROK),
        start(2, Role.RACE, 0, GROQ),
        start(3, Role.RACE, 0, openai),
        ended(1, Outcome.TIMEOUT, make(ErrorCode.TIMEOUT_FIRST_TOKEN, "nothing in 60 s")),
        commit(3, 210),
        ended(2, Outcome.LOST_RACE),
        ended(3, Outcome.COMPLETED),
    ) == [
        "[0 ms: attempt 1, primary: grok/grok-4.7]",
        "[0 ms: attempt 2, race: groq/gpt-oss-120b]",
        "[0 ms: attempt 3, race: openai/gpt-6]",
        "[attempt 1 (grok) timed out: nothing in 60 s]",
        "[attempt 3 (openai) wins: first token after 210 ms]",
        "[attempt 2 (groq) lost]",
    ]


def test_an_exhausted_request_tells_every_failure_and_ends_with_the_sum() -> None:
    overloaded = make(ErrorCode.OVERLOADED, "grok has no capacity", provider="grok")
    nobody = make(
        ErrorCode.ALL_ATTEMPTS_FAILED,
        "all 2 attempts failed: grok: overloaded; groq: stream_interrupted",
        causes=[overloaded, CUT],
    )
    code, out, notes = seen(
        start(1, Role.PRIMARY, 1, GROK),
        ended(1, Outcome.FAILED, overloaded),
        start(2, Role.FALLBACK, 30, GROQ),
        ended(2, Outcome.FAILED, CUT),
        end(Status.FAILED, Finish.ERROR, error=nobody),
        explain=True,
    )
    assert (code, out) == (1, "")
    assert notes.splitlines() == [
        "[1 ms: attempt 1, primary: grok/grok-4.7]",
        "[attempt 1 (grok) failed: grok has no capacity]",
        "[30 ms: attempt 2, fallback: groq/gpt-oss-120b]",
        "[attempt 2 (groq) failed: groq stopped in mid-answer]",
        (
            "tailrace: all_attempts_failed: all 2 attempts failed: grok: overloaded; "
            "groq: stream_interrupted"
        ),
        "[error: no token, cost unknown, 12 tokens in, ? out, all in 900 ms]",
    ]


def test_an_answer_without_content_and_a_cancelled_attempt_have_words() -> None:
    assert explained(
        start(1, Role.PRIMARY, 0, GROQ),
        commit(1, 38, "empty_end"),
        ended(1, Outcome.CANCELLED),
    )[1:] == [
        "[attempt 1 (groq) answers: a clean end without content after 38 ms]",
        "[attempt 1 (groq) was cancelled]",
    ]


@pytest.mark.parametrize(("kinship", "said"), [("same_family", " (same family)"), ("other", "")])
def test_a_substitute_is_named_with_whom_it_stands_in_for(kinship: Any, said: str) -> None:  # noqa: ANN401 - a literal
    original = Substitution(provider="qwen", model="qwen3.8-flash", kinship=kinship)
    stands_in = Candidate("groq", "qwen3.8-27b", substitutes=original)
    assert explained(start(1, Role.PRIMARY, 3, stands_in)) == [
        f"[3 ms: attempt 1, primary: groq/qwen3.8-27b instead of qwen/qwen3.8-flash{said}]"
    ]


@pytest.mark.parametrize(
    ("own", "of_all", "said"),
    [
        (None, None, "cost unknown,"),
        ("0.001", None, "cost $0.001,"),
        ("0.001", "0.001", "cost $0.001,"),
        ("0.001", "0.0015", "cost $0.001 ($0.0015 with every attempt),"),
    ],
)
def test_the_cost_of_the_answer_and_of_everything_beside_it(
    own: str | None, of_all: str | None, said: str
) -> None:
    assert said in seen(end(cost=own, cost_of_all=of_all), explain=True)[2]


# --- The stream itself ----------------------------------------------------------------------


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
        text="Hi",
        use_case="translation",
        tier="economy",
        complexity="simple",
        latency={"strategy": "race", "providers": ["groq", "openai"]},
        max_tokens=50,
        after_commit="continue",
        providers=("groq", "openai"),
        explain=True,
    )
    request = ChatRequest.model_validate_json(orjson.dumps(question.body()))
    assert request.model == "auto"
    assert request.use_case == "translation"
    assert request.budget_tier == "economy"
    assert request.complexity == "simple"
    assert request.latency == Latency(strategy=Strategy.RACE, providers=["groq", "openai"])
    assert request.max_tokens == 50
    assert request.after_commit == "continue"
    assert request.providers.only == ("groq", "openai")
    assert request.open_early_ms == 0


def test_what_was_not_asked_for_is_left_to_the_service() -> None:
    body = Question(text="Hi", model="demo/demo").body()
    assert set(body) == {"messages", "model", "on_disconnect"}
    assert body["on_disconnect"] == "cancel_after:0"
