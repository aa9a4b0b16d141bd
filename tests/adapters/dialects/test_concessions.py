"""What a request gives up: one warning for each field, and the nearest thing in its place."""

import pytest

from adapters.contract import Model
from adapters.dialects import concessions
from adapters.dialects.concessions import Concessions
from adapters.errors import RequestError
from adapters.events import ErrorCode
from adapters.request import ChatRequest, Effort, FunctionCall, ToolCall
from tests.adapters.dialects.chat_cases import HELLO, WEATHER, call


def asked(**fields: object) -> ChatRequest:
    return ChatRequest.model_validate({"messages": HELLO, **fields})


def said(notes: Concessions) -> list[tuple[str, str | None]]:
    return [(warning.code, warning.field) for warning in notes.warnings]


def test_the_same_thing_said_of_a_field_twice_is_one_warning() -> None:
    notes = Concessions()
    notes.dropped("seed", "there is none")
    notes.changed("seed", "to 3")
    notes.dropped("seed", "there is none, still")
    assert said(notes) == [("parameter_dropped", "seed"), ("parameter_changed", "seed")]
    assert notes.warnings[0].message == "seed was not sent: there is none"


@pytest.mark.parametrize(
    ("wanted", "taken", "sent"),
    [
        ("low", ("low", "high"), "low"),
        ("medium", ("low", "high"), "high"),
        ("minimal", ("low", "high"), "low"),
        ("max", ("low", "high"), "high"),
        ("xhigh", ("high", "max"), "max"),
        ("high", ("none", "low"), "low"),
        ("high", ("extreme",), "extreme"),
    ],
)
def test_an_effort_is_sent_as_the_nearest_the_higher_of_two(
    wanted: Effort, taken: tuple[str, ...], sent: str
) -> None:
    notes = Concessions()
    assert concessions.effort(wanted, taken, notes) == sent
    assert said(notes) == ([] if wanted == sent else [("parameter_changed", "reasoning.effort")])


@pytest.mark.parametrize(("taken", "least"), [(("high", "low"), "low"), (("odd",), "odd")])
def test_a_model_that_always_thinks_thinks_least(taken: tuple[str, ...], least: str) -> None:
    notes = Concessions()
    assert concessions.least_effort(taken, notes) == least
    assert said(notes) == [("parameter_changed", "reasoning.effort")]


@pytest.mark.parametrize(
    ("model", "wanted", "sent", "warned"),
    [
        (Model(id="m"), None, None, []),
        (Model(id="m"), 0.5, 0.5, []),
        (Model(id="m"), 1.5, 1.0, ["parameter_changed"]),
        (Model(id="m", sampling=False), 0.5, None, ["parameter_dropped"]),
        (Model(id="m", temperature=1.0), 0.5, None, ["parameter_dropped"]),
        (Model(id="m", temperature=1.0), 1.0, 1.0, []),
    ],
)
def test_a_temperature_is_sent_as_far_as_the_model_takes_it(
    model: Model, wanted: float | None, sent: float | None, warned: list[str]
) -> None:
    notes = Concessions()
    request = asked(**({} if wanted is None else {"temperature": wanted}))
    assert concessions.temperature(request, model, notes, highest=1.0) == sent
    assert [code for code, _ in said(notes)] == warned


@pytest.mark.parametrize(
    ("limit", "wanted", "sent"),
    [(None, 500, 500), (100, 50, 50), (100, 500, 100), (100, None, None)],
)
def test_more_output_than_the_model_gives_is_not_asked_for(
    limit: int | None, wanted: int | None, sent: int | None
) -> None:
    notes = Concessions()
    request = asked(**({} if wanted is None else {"max_tokens": wanted}))
    assert concessions.max_tokens(request, Model(id="m", max_output=limit), notes) == sent
    assert bool(notes.warnings) == (wanted != sent)


@pytest.mark.parametrize(
    ("text", "parsed", "warned"),
    [
        ('{"a":1}', {"a": 1}, False),
        ("", {}, False),
        ("  ", {}, False),
        ('{"a":', {}, True),
        ("[1]", {}, True),
    ],
)
def test_past_arguments_that_are_no_object_are_an_empty_one(
    text: str, parsed: dict[str, object], *, warned: bool
) -> None:
    notes = Concessions()
    past = ToolCall(id="c", function=FunctionCall(name="go", arguments=text))
    assert concessions.arguments(past, "messages[0].arguments", notes) == parsed
    assert bool(notes.warnings) == warned


def test_tools_for_a_model_that_takes_none_are_refused() -> None:
    toolless = Model(id="m", tools=False)
    with pytest.raises(RequestError) as refused:
        concessions.tools(call(model=toolless, request={"tools": [WEATHER]}), Concessions())
    assert refused.value.error.code is ErrorCode.UNSUPPORTED_PARAMETER
    assert (refused.value.error.param, refused.value.error.provider) == ("tools", "acme")


def test_tools_that_are_not_to_be_used_are_left_out_there() -> None:
    toolless = Model(id="m", tools=False)
    asking = call(model=toolless, request={"tools": [WEATHER], "tool_choice": "none"})
    notes = Concessions()
    assert concessions.tools(asking, notes) == []
    assert notes.warnings == ()


def test_a_choice_among_no_tools_is_dropped() -> None:
    notes = Concessions()
    asking = call(request={"tool_choice": "required", "parallel_tool_calls": False})
    assert concessions.tools(asking, notes) == []
    assert said(notes) == [
        ("parameter_dropped", "tool_choice"),
        ("parameter_dropped", "parallel_tool_calls"),
    ]
