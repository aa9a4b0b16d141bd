"""Models of one name are the same everywhere, but for what is known to differ."""

from adapters.catalog.kin import KIN
from adapters.registry import FIFTEEN


def test_what_models_of_one_name_share_is_what_the_one_table_says() -> None:
    hosted = [model for provider in FIFTEEN.values() for model in provider.models if model.same_as]
    for model in hosted:
        assert model.same_as in KIN
        assert {name: getattr(model, name) for name in KIN[model.same_as]} == KIN[model.same_as]
    assert {model.same_as for model in hosted} == KIN.keys()


HOSTS_DIFFER = {
    ("deepseek-v4.1-flash", "images"): {"mistral", "openrouter", "huggingface", "copilot"},
    ("glm-5.3-flash", "images"): {"perplexity"},
    ("claude-sonnet-5-5", "reasoning"): {"openrouter"},
    ("qwen3.8-max", "reasoning"): {"openrouter"},
    ("gpt-6.1-terra", "reasoning"): {"copilot"},
}
"""Who offers something else of a model than its maker; the reason stands beside its line there."""


def test_hosts_differ_in_what_a_model_can_only_where_there_is_a_known_reason() -> None:
    usual: dict[tuple[str, str], set[object]] = {}
    other: dict[tuple[str, str], set[object]] = {}
    for host in FIFTEEN.values():
        for model in host.models:
            for fact in ("images", "tools", "reasoning"):
                key = (model.same_as or f"{host.name}/{model.id}", fact)
                told = other if host.name in HOSTS_DIFFER.get(key, ()) else usual
                told.setdefault(key, set()).add(getattr(model, fact))
    assert {key for key, values in usual.items() if len(values) > 1} == set()
    assert {key for key, values in other.items() if not values & usual[key]} == HOSTS_DIFFER.keys()
