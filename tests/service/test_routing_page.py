"""The plans that docs/routing.md and the README print: each command is typed again and compared.

The whole path is the real one, from the command line over HTTP and the policy to the printed lines;
only the moment is set: the hour, because prices depend on it, and a service that has just started.
Its keys are those that the page exports.
"""

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.catalog.prices import Prices
from adapters.registry import COMPATIBLE, PROVIDERS
from adapters.request import ChatRequest
from service import endpoints
from service.cli import main
from service.hedging.hedger import Hedger
from service.hedging.shared import Learned
from service.limits.provider_limits import Limits
from service.routing import policy, shown, table
from service.routing.health import Health
from service.routing.view import View
from service.settings import Settings
from tests.house.tree import ROOT
from tests.service.threaded import answering

PRINTED = datetime(2026, 11, 23, 8, 15, tzinfo=UTC).timestamp()
PLAN = re.compile(r"```sh\n\.venv/bin/(tailrace plan .*?)\n```\n+```\n(.*?\n)```", re.DOTALL)
PAGES = [(ROOT / name).read_text(encoding="utf-8") for name in ("docs/routing.md", "README.md")]
KEYS = dict(re.findall(r"\b([A-Z]+_API_KEY)=(test-key-[a-z]+)\b", PAGES[0]))


def plans() -> list[tuple[str, str]]:
    """Each command as it is typed, and what is printed below it."""
    return [
        (command.replace("\\\n", ""), output)
        for page in PAGES
        for command, output in PLAN.findall(page)
    ]


def decided(_path: str, body: bytes) -> dict[str, Any]:
    """What `POST /v1/plan` answers with those keys at that hour."""
    settings, health = Settings(), Health()
    known = endpoints.resolve(PROVIDERS, COMPATIBLE, settings, KEYS)
    plan = policy.plan(
        ChatRequest.model_validate_json(body),
        table.build(settings, known),
        known,
        View(Prices(), health, Learned(Hedger(health)), Limits()),
        now=0.0,
        at=PRINTED,
        shift=False,
    )
    return shown.document(plan)


@pytest.fixture
def service() -> Iterator[str]:
    """The planner's address."""
    with answering(decided) as url:
        yield url


def test_the_page_prints_three_plans_for_six_keys_and_the_readme_one() -> None:
    assert len(plans()) == 4
    assert len(KEYS) == 6


@pytest.mark.parametrize(("command", "output"), plans())
def test_a_plan_on_a_page_is_what_its_command_prints(
    command: str, output: str, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, *arguments = shlex.split(command)
    assert main([*arguments, "--url", service]) == 0
    assert capsys.readouterr().out == output
