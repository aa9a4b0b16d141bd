"""What a provider has probably read before."""

from adapters.request import ChatRequest
from service.hedging.caches import KEPT, LEAST, MOST_PROMPTS, Prompt, PromptCaches
from service.routing.health import Target

A, B = Target("a", "m"), Target("b", "m")
LONG = "x" * LEAST


def prompt(*texts: str) -> Prompt:
    turns = [
        {"role": "user" if place % 2 == 0 else "assistant", "content": text}
        for place, text in enumerate(texts)
    ]
    return Prompt(ChatRequest.model_validate({"messages": turns}))


def test_the_next_turn_of_a_conversation_has_been_read_where_the_last_one_went() -> None:
    caches = PromptCaches()
    caches.sent(A, prompt(LONG), 0.0)
    following = prompt(LONG, "answer", "y" * (LEAST - 6))
    assert caches.share(A, following, 1.0) == 0.5
    assert caches.share(B, following, 1.0) == 0.0


def test_of_several_beginnings_the_longest_counts() -> None:
    caches = PromptCaches()
    caches.sent(A, prompt(LONG), 0.0)
    caches.sent(A, prompt(LONG, "answer", LONG), 1.0)
    assert caches.share(A, prompt(LONG, "answer", LONG), 2.0) == 1.0


def test_a_prompt_is_kept_for_some_minutes() -> None:
    caches = PromptCaches()
    caches.sent(A, prompt(LONG), 0.0)
    assert caches.share(A, prompt(LONG), KEPT - 1) == 1.0
    assert caches.share(A, prompt(LONG), KEPT) == 0.0


def test_short_prompts_are_in_no_cache() -> None:
    caches = PromptCaches()
    caches.sent(A, prompt("hi"), 0.0)
    assert caches.share(A, prompt("hi"), 1.0) == 0.0
    caches.sent(A, prompt(LONG), 0.0)
    assert caches.share(A, prompt("hi", "answer", LONG), 1.0) == 0.0


def test_a_changed_beginning_is_another_prompt() -> None:
    caches = PromptCaches()
    caches.sent(A, prompt(LONG, "answer", "more"), 0.0)
    assert caches.share(A, prompt(LONG, "another answer", "more"), 1.0) == 0.0


def test_tool_calls_and_their_results_are_part_of_the_prompt() -> None:
    def asked(arguments: str, result: str) -> Prompt:
        call = {"id": "c1", "function": {"name": "f", "arguments": arguments}}
        messages = [
            {"role": "user", "content": LONG},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": result},
        ]
        return Prompt(ChatRequest.model_validate({"messages": messages}))

    assert len({asked("{}", "1").hashes[-1], asked("{} ", "1").hashes[-1]}) == 2
    assert len({asked("{}", "1").hashes[-1], asked("{}", "2").hashes[-1]}) == 2


def test_only_so_many_are_remembered() -> None:
    caches = PromptCaches()
    for number in range(MOST_PROMPTS + 1):
        caches.sent(A, prompt(f"{number:07d}{LONG}"), 0.0)
    assert caches.share(A, prompt(f"{0:07d}{LONG}"), 1.0) == 0.0
    assert caches.share(A, prompt(f"{1:07d}{LONG}"), 1.0) == 1.0
