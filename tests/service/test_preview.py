"""What a person sees of a decision, made from the very document that the service answers with."""

from dataclasses import replace

import orjson

from adapters.contract import Endpoint, Model
from adapters.registry import FIFTEEN
from adapters.request import ChatRequest, Latency, Strategy
from service.preview import lines
from service.routing.plan import Choice, Kinship, Plan, Reason, Skipped, Substitute
from service.routing.shown import document


def choice(name: str, model: str, cost: float | None = None, ttft: float | None = None) -> Choice:
    endpoint = Endpoint(provider=FIFTEEN[name], base_url=f"https://{name}.invalid", key="test-key")
    return Choice(endpoint, Model(id=model), cost, ttft)


PLAN = Plan(
    policy="table:conversation",
    request=ChatRequest.model_validate({"messages": [{"role": "user", "content": "Hi"}]}),
    choices=(choice("groq", "gpt-oss-120b", 0.000042, 0.12), choice("mistral", "own")),
    cap_usd=0.05,
    max_attempts=3,
    input_tokens=12,
    output_tokens=400,
)


def printed(plan: Plan) -> list[str]:
    return list(lines(orjson.loads(orjson.dumps(document(plan)))))


def test_candidates_are_listed_with_cost_and_usual_first_token_or_a_dash() -> None:
    assert printed(PLAN) == [
        "table:conversation: conversation, standard, at most $0.05",
        "normal: 3 attempts at most",
        "about 12 tokens in and 400 out",
        "",
        "   candidate          cost       first token",
        "1  groq/gpt-oss-120b  $0.000042  120 ms",
        "2  mistral/own        -          -",
    ]


def test_who_was_skipped_and_why_stands_below() -> None:
    skipped = (
        Skipped("qwen", "qwen3.8-flash", Reason.NO_KEY),
        Skipped("kimi", None, Reason.COOLING_DOWN, "it asked for a pause", 1.5),
    )
    stands_in = Substitute("qwen", "qwen3.8-flash", Kinship.SAME_FAMILY)
    first = replace(PLAN.choices[0], substitute=stands_in)
    plan = replace(PLAN, choices=(first,), skipped=skipped, preferred=skipped[0])
    assert printed(plan)[3:] == [
        "first choice: qwen/qwen3.8-flash: no key is set",
        "",
        "   candidate          cost       first token",
        (
            "1  groq/gpt-oss-120b  $0.000042  120 ms       "
            "instead of qwen/qwen3.8-flash (same family)"
        ),
        "",
        "  skipped             because",
        "  qwen/qwen3.8-flash  no key is set",
        "  kimi                it asked for a pause (for 1.5 s)",
    ]


def test_who_stands_in_without_being_related_says_no_more_than_that() -> None:
    stands_in = Substitute("qwen", "qwen3.8-flash", Kinship.OTHER)
    plan = replace(PLAN, choices=(replace(PLAN.choices[0], substitute=stands_in),))
    assert printed(plan)[-1].endswith("120 ms       instead of qwen/qwen3.8-flash")


def test_what_the_strategy_may_start_is_said() -> None:
    hedged = replace(PLAN, latency=Latency(strategy=Strategy.HEDGE), hedge_after_s=0.85)
    raced = replace(PLAN, latency=Latency(strategy=Strategy.RACE), width=2)
    one = replace(PLAN, max_attempts=1, cap_usd=None)
    assert printed(hedged)[1] == ("hedge: another one after 850 ms of silence, 3 attempts at most")
    assert printed(raced)[1] == "race: 2 at once, 3 attempts at most"
    assert printed(one)[:2] == [
        "table:conversation: conversation, standard, no cap",
        "normal: 1 attempt at most",
    ]


def test_a_race_of_one_says_what_keeps_the_others_away() -> None:
    race = Latency(strategy=Strategy.RACE)
    capped = printed(replace(PLAN, latency=race))
    assert capped[1] == "race: the cap holds only one at once, 3 attempts at most"
    alone = printed(replace(PLAN, latency=race, choices=PLAN.choices[:1]))
    assert alone[1] == "race: there is only one candidate, 3 attempts at most"
    once = printed(replace(PLAN, latency=race, max_attempts=1))
    assert once[1] == "race: one attempt starts no other, 1 attempt at most"
