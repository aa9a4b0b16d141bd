"""Six roles hand one idea on, from requirements to reviewed code: agent_pipeline.py [IDEA].

A role is a preset of the router and nothing else: its instructions, the class of model and the
price it may have are configured there, and who answers is decided there for each request. Some
roles speak OpenAI's chat completions, some Anthropic's Messages, over their makers' own SDKs, which
know nothing of Tailrace but its address.

- What is handed on is asked for whole: nobody reads along, so where a provider breaks off, another
  one begins again, unseen.
- The developer is the executor: it streams, as coding agents do, and calls a tool until it has no
  more to write. The tool writes into a folder that is removed at the end.
- Each request has an Idempotency-Key: after a lost connection it is sent again, finds the answer
  that went on meanwhile, and costs nothing twice.

What a step took and cost is the router's to say: an answer's header names its stream, and the
stream's document has who was asked, how long it took and what each attempt cost.
"""

import argparse
import json
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from uuid import uuid4

import anthropic
import httpx2
import openai
from anthropic.types import (
    MessageParam,
    ToolChoiceParam,
    ToolParam,
    ToolResultBlockParam,
    ToolUseBlock,
)

IDEA = "A command that finds duplicate photos in a folder and asks before it deletes one."

WRITE_FILE: ToolParam = {
    "name": "write_file",
    "description": "Write a text file of the project.",
    "input_schema": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["path", "content"],
    },
}
ROUNDS = 5
"""Most requests of the executor: one that never stops writing is stopped."""

TRIES = 3
"""How often a request is sent whose connection is lost."""

TIMEOUT = 660  # seconds; the router itself gives up after 600

COUNTED = 5  # seconds; an attempt's event is there at its end, or a moment later

LOST = (openai.APIConnectionError, anthropic.APIConnectionError, httpx2.TransportError)
"""The connection is gone, and maybe only that; the SDKs let the last kind through in a stream."""

LINE = "{:<8} {:<16} {:<9} {:<10} {:<26} {:>8} {:>8} {:>14}"
HEAD = ("step", "preset", "dialect", "provider", "model", "first ms", "total ms", "cost (USD)")

T = TypeVar("T")


class ElsewhereError(Exception):
    """Somebody else answers at that address."""


@dataclass(frozen=True, slots=True)
class Role:
    """Who does a step, over which dialect, with what."""

    step: str
    preset: str
    dialect: str
    task: str
    reads: tuple[str, ...] = ()
    """The steps whose results it is given."""


ROLES = (
    Role("analysis", "analyst", "messages", "Write down the requirements for this idea."),
    Role("backlog", "product_manager", "chat", "Make a backlog of them.", ("analysis",)),
    Role("design", "architect", "messages", "Design the first release.", ("analysis", "backlog")),
    Role("story", "scrum_master", "chat", "Prepare the first story.", ("backlog", "design")),
    Role("code", "developer", "executor", "Write the story's code.", ("design", "story")),
    Role("review", "tester", "chat", "Review the code.", ("story", "code")),
)


@dataclass(slots=True)
class Cost:
    """What attempts cost, in US dollars. What nobody knows is counted and never taken for 0."""

    attempts: int = 0
    known: Decimal = Decimal(0)
    unknown: int = 0
    """Attempts whose cost is not known."""

    @classmethod
    def of(cls, usd: Decimal | None) -> "Cost":
        """Of one attempt."""
        return cls(1, usd or Decimal(0), int(usd is None))

    def add(self, other: "Cost") -> None:
        """Add another one."""
        self.attempts += other.attempts
        self.known += other.known
        self.unknown += other.unknown

    def shown(self) -> str:
        """In US dollars; `unknown`, or a sum with a question mark, where some of it is."""
        known = f"{self.known.normalize():f}"
        if self.unknown == 0:
            return known
        return "unknown" if self.unknown == self.attempts else f"{known} + ?"


class Router:
    """Both SDKs at one address, and what the router says of their answers."""

    def __init__(self, url: str, max_tokens: int) -> None:
        """`url`: scheme, host and port. `max_tokens`: of one answer."""
        self.run = f"pipeline-{uuid4().hex[:8]}"
        """What this run is called in the router's usage events, and its keys begin with."""
        self.step = url
        """Where the run is."""
        self.spent = Cost()
        self.max_tokens = max_tokens
        # They would retry a failure, too, of which the router has tried every way out already.
        settings: dict[str, Any] = {"api_key": "none", "max_retries": 0, "timeout": TIMEOUT}
        self.openai = openai.OpenAI(base_url=f"{url}/v1", **settings)
        self.anthropic = anthropic.Anthropic(base_url=url, **settings)

    def chat(self, role: Role, prompt: str) -> str:
        """A whole answer over OpenAI's dialect."""
        raw = self._persistently(
            role.step,
            lambda key: self.openai.chat.completions.with_raw_response.create(
                model=f"preset:{role.preset}",
                messages=[{"role": "user", "content": prompt}],
                max_tokens=self.max_tokens,
                user=self.run,
                extra_headers=key,
            ),
        )
        self._tell(role, "chat", raw.headers["Tailrace-Stream-Id"])
        return raw.parse().choices[0].message.content or ""

    def messages(self, role: Role, prompt: str) -> str:
        """A whole answer over Anthropic's dialect."""
        raw = self._persistently(
            role.step,
            lambda key: self.anthropic.messages.with_raw_response.create(
                model=f"preset:{role.preset}",
                messages=[{"role": "user", "content": prompt}],
                max_tokens=self.max_tokens,
                metadata={"user_id": self.run},
                extra_headers=key,
            ),
        )
        self._tell(role, "messages", raw.headers["Tailrace-Stream-Id"])
        return "".join(block.text for block in raw.parse().content if block.type == "text")

    def streamed(self, role: Role, turns: list[MessageParam]) -> list[Any]:
        """The next turn of a loop with a tool, over Anthropic's dialect: its blocks.

        The first turn has to call the tool, a later one may.
        """
        choice: ToolChoiceParam = {"type": "any"} if len(turns) == 1 else {"type": "auto"}

        def ask(key: dict[str, str]) -> tuple[str, list[Any]]:
            with self.anthropic.messages.stream(
                model=f"preset:{role.preset}",
                messages=turns,
                tools=[WRITE_FILE],
                tool_choice=choice,
                max_tokens=self.max_tokens,
                metadata={"user_id": self.run},
                extra_headers=key,
            ) as stream:
                message = stream.get_final_message()
                return stream.response.headers["Tailrace-Stream-Id"], list(message.content)

        stream_id, blocks = self._persistently(f"{role.step}-{len(turns)}", ask)
        self._tell(role, "messages", stream_id)
        return blocks

    def close(self) -> None:
        """Close the connections."""
        self.openai.close()
        self.anthropic.close()

    def now(self) -> str:
        """Where the router's usage events are; raises ElsewhereError where there are none."""
        with closing(self._events()) as fields:
            for name, value in fields:
                if name == "id":
                    return value
        raise ElsewhereError("the router ended its usage events")

    def billed(self, since: str) -> dict[str, Cost]:
        """What is written down of this run, by the model that was asked for.

        Waits for as many attempts as the steps have told of; others' are passed over.
        """
        bill: dict[str, Cost] = {}
        with closing(self._events(since)) as fields:
            for name, value in fields:
                told = json.loads(value).get("data") if name == "data" else None
                if told is None or told["end_user"] != self.run:
                    continue
                nano = told["cost_nano_usd"]
                cost = None if nano is None else Decimal(nano).scaleb(-9)
                bill.setdefault(told["requested_model"], Cost()).add(Cost.of(cost))
                if _sum(bill).attempts == self.spent.attempts:
                    break
        return bill

    def _events(self, since: str | None = None) -> Generator[tuple[str, str], None, None]:
        """The lines of the usage events as they come: name and value."""
        url, headers = f"{self.openai.base_url}usage/events", {"Last-Event-ID": since or ""}
        with httpx2.stream("GET", url, headers=headers, timeout=COUNTED) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise ElsewhereError(f"{url}: HTTP {response.status_code}: this is not Tailrace")
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                yield name, value

    def _persistently(self, name: str, ask: Callable[[dict[str, str]], T]) -> T:
        """Ask under a key: sent again, the request attaches to the answer that it began."""
        key = {"Idempotency-Key": f"{self.run}-{name}"}
        for _ in range(TRIES - 1):
            try:
                return ask(key)
            except LOST:
                continue
        return ask(key)

    def _tell(self, role: Role, dialect: str, stream_id: str) -> None:
        """Print what the router says of an answer."""
        told: Any = self.openai.get(f"/streams/{stream_id}", cast_to=object)
        cost, attempts = Cost(), told["attempts"]
        for attempt in attempts:
            usd = attempt.get("usage", {}).get("cost_usd")
            cost.add(Cost.of(None if usd is None else Decimal(usd)))
        self.spent.add(cost)
        who = (role.step, role.preset, dialect, told["provider"], told["model"])
        took = (told["timing"]["ttft_ms"], told["timing"]["total_ms"])
        failed = [f"{a['provider']} {a['error']['code']}" for a in attempts if "error" in a]
        after = f"  after {', '.join(failed)}" if failed else ""
        cut = "  cut off at --max-tokens" if told["finish"] == "length" else ""
        print(line(*who, *took, cost.shown()) + after + cut, flush=True)


def line(*cells: object) -> str:
    """A line of the table; None is a dash."""
    return LINE.format(*("-" if cell is None else str(cell) for cell in cells))


@dataclass(slots=True)
class Executor:
    """Does what the model calls its tool for, in one folder and nowhere else."""

    router: Router
    folder: Path
    written: dict[str, str] = field(default_factory=dict)
    """Content by path."""

    def code(self, role: Role, prompt: str) -> str:
        """Let the model write files until it has no more to write; all of them, as one text."""
        turns: list[MessageParam] = [{"role": "user", "content": prompt}]
        for _ in range(ROUNDS):
            blocks = self.router.streamed(role, turns)
            calls = [block for block in blocks if isinstance(block, ToolUseBlock)]
            if not calls:
                break
            turns.append({"role": "assistant", "content": blocks})
            turns.append({"role": "user", "content": [self._result(call) for call in calls]})
        return "\n\n".join(f"### {path}\n{text}" for path, text in self.written.items())

    def _result(self, call: ToolUseBlock) -> ToolResultBlockParam:
        """A failure is the model's to read, and to do better."""
        fields: Any = call.input
        try:
            said, failed = self._write(**fields), False
        except (OSError, TypeError, ValueError) as failure:
            said, failed = str(failure), True
        return {
            "type": "tool_result",
            "tool_use_id": call.id,
            "content": said,
            "is_error": failed,
        }

    def _write(self, path: str, content: str) -> str:
        file = (self.folder / path).resolve()
        if not file.is_relative_to(self.folder):
            raise ValueError(f"{path} is outside the project")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
        self.written[path] = content
        return f"wrote {path}, {len(content)} characters"


# --- A run ----------------------------------------------------------------------------------


def work(router: Router, idea: str, folder: Path) -> None:
    """Let each role do its step and hand on what it made."""
    executor = Executor(router, folder)
    ways = {"chat": router.chat, "messages": router.messages, "executor": executor.code}
    results: dict[str, str] = {}
    for role in ROLES:
        router.step = role.step
        parts = [role.task, f"## idea\n{idea}", *(f"## {n}\n{results[n]}" for n in role.reads)]
        results[role.step] = ways[role.dialect](role, "\n\n".join(parts))
    print(line("sum", *[""] * 6, router.spent.shown()))
    # Names that a model made up, and a terminal would obey what is in them.
    written = ", ".join(map(repr, executor.written)) or "none"
    print(f"\n{len(executor.written)} file(s) written: {written}")


def compare(router: Router, since: str) -> None:
    """Print what was written down of the run, and whether it is what the steps said."""
    bill = router.billed(since)
    print(f"\nThe bill of {router.run}, from GET /v1/usage/events:")
    for model, cost in bill.items():
        print(f"  {model:<24} {cost.attempts} attempt(s) {cost.shown():>14}")
    total, own = _sum(bill), router.spent
    verdict = "as the steps say" if total == own else f"and the steps say {own.shown()}"
    print(f"Together {total.shown()}, {verdict}.")


def _sum(costs: dict[str, Cost]) -> Cost:
    total = Cost()
    for cost in costs.values():
        total.add(cost)
    return total


def main(arguments: list[str] | None = None) -> int:
    """Run the pipeline once; the process's exit code."""
    parser = argparse.ArgumentParser(description="Six roles hand one idea on, over one router.")
    parser.add_argument("idea", nargs="?", default=IDEA)
    parser.add_argument("--url", default="http://127.0.0.1:8180", help="default %(default)s")
    parser.add_argument("--max-tokens", type=int, default=4_000, metavar="N", help="of an answer")
    options = parser.parse_args(arguments)
    url = options.url.rstrip("/")
    try:
        router = Router(url, options.max_tokens)
    except httpx2.InvalidURL as failure:
        return _fail(f"{url}: {failure}")
    with closing(router):
        try:
            since = router.now()
            print(line(*HEAD))
            with TemporaryDirectory() as made:
                work(router, options.idea, Path(made).resolve())
            router.step = "bill"
            compare(router, since)
        except LOST as failure:
            return _fail(f"{router.step}: {_words(failure.__cause__ or failure)}")
        except (ElsewhereError, openai.OpenAIError, anthropic.AnthropicError) as failure:
            return _fail(f"{router.step}: {_words(failure)}")
    return 0


def _fail(message: str) -> int:
    print(f"agent_pipeline: {message}", file=sys.stderr)
    return 1


def _words(failure: BaseException) -> str:
    """What went wrong, in one line: the router's own words where it said any."""
    body = getattr(failure, "body", None)
    error = body.get("error", body) if isinstance(body, dict) else {}
    said = error.get("message") if isinstance(error, dict) else None
    return " ".join((said or str(failure) or type(failure).__name__).split())


if __name__ == "__main__":
    sys.exit(main())
