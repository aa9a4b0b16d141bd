"""What an operator writes becomes settings, or one line that says what is wrong with it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from adapters.request import Complexity, Strategy, Tier, UseCase
from service.settings import Settings, SettingsError, is_loopback, load


def toml(folder: Path, text: str) -> Path:
    path = folder / "tailrace.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(
    path: Path | None = None,
    environ: dict[str, str] | None = None,
    flags: dict[str, object] | None = None,
) -> str:
    with pytest.raises(SettingsError) as caught:
        load(path, environ or {}, flags)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_without_a_word_the_service_is_on_loopback_with_the_documented_limits() -> None:
    settings = load(None, {})
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8180)
    assert settings.server.max_body_bytes == 1_048_576
    assert settings.streams.ttl_s == 600
    assert settings.streams.max_bytes == 8_388_608
    assert settings.streams.max_events == 50_000
    assert settings.providers == {}


def test_a_flag_outranks_the_environment_which_outranks_the_file(tmp_path: Path) -> None:
    path = toml(tmp_path, "[server]\nport = 1\ndrain_s = 1\nmax_body_bytes = 2048\n")
    environ = {"TAILRACE_SERVER__PORT": "2", "TAILRACE_SERVER__DRAIN_S": "2"}
    settings = load(path, environ, {"server.port": "3"})
    assert settings.server.port == 3
    assert settings.server.drain_s == 2
    assert settings.server.max_body_bytes == 2048


def test_layers_merge_field_by_field_even_within_one_provider(tmp_path: Path) -> None:
    path = toml(tmp_path, '[providers.ollama]\nbase_url = "http://localhost:11434/v1"\n')
    settings = load(path, {"TAILRACE_PROVIDERS__OLLAMA__MODELS": "qwen3, gemma4"})
    ollama = settings.providers["ollama"]
    assert ollama.base_url == "http://localhost:11434/v1"
    assert [model.id for model in ollama.models or ()] == ["qwen3", "gemma4"]


def test_every_value_knows_where_it_came_from(tmp_path: Path) -> None:
    path = toml(tmp_path, "[server]\ndrain_s = 1\n")
    settings = load(path, {"TAILRACE_SERVER__PORT": "2"}, {"server.host": "::1"})
    assert settings.origin("server.drain_s") == str(path)
    assert settings.origin("server.port") == "TAILRACE_SERVER__PORT"
    assert settings.origin("server.host") == "--host"
    assert settings.origin("server.data") == "default"


def test_an_empty_variable_is_a_template_left_blank() -> None:
    assert load(None, {"TAILRACE_SERVER__PORT": ""}).server.port == 8180


def test_variables_without_a_section_are_somebody_elses() -> None:
    assert load(None, {"TAILRACE_RECORDINGS": "x", "TAILRACE": "y", "SERVER__PORT": "1"})


def test_settings_are_not_changed_after_loading() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load(None, {}).server.port = 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[server]\nport = 70000",
            "server.port in {}: 70000 is not allowed; must be at most 65535",
        ),
        ("[server]\nport = 'x'", "server.port in {}: 'x' is not allowed; must be a whole number"),
        ("[server]\nprot = 1", "server.prot in {}: unknown key; known are insecure, host, port,"),
        ("[streams]\nttl = 1", "streams.ttl in {}: unknown key; known are ttl_s, max_bytes,"),
        ("[websocket]\nidle = 1", "websocket.idle in {}: unknown key; known are max_frame_bytes,"),
        ("[sever]\nport = 1", "sever in {}: unknown key; known are server, streams, websocket,"),
        ("[streams]\nttl_s = nan", "streams.ttl_s in {}: nan is not allowed"),
        ("[streams]\nttl_s = 0", "streams.ttl_s in {}: 0 is not allowed; must be greater than 0"),
        ("server = 5", "server in {}: 5 is not allowed; must be a table"),
        ("[server.port]\na = 1", "server.port in {}: that table is not allowed; must be a"),
        (
            "[server]\nallowed_origins = ['https://a.example/chat']",
            "server.allowed_origins in {}: ['https://a.example/chat'] is not allowed; must be",
        ),
        (
            "[providers.Azure-West]\nkey = 'x'",
            "providers.Azure-West in {}: 'Azure-West' is not a name",
        ),
        ("[providers.a]\nmodels = [{alias = 'x'}]", "providers.a.models.0.id in {}: missing"),
        ("[providers.a]\nmodels = [{id = 'x', contxt = 1}]", "providers.a.models.0.contxt in {}:"),
        ("[providers.a]\nmodels = []", "providers.a.models in {}: [] is not allowed"),
        ("[server\n", "{}: not TOML: "),
        ("[tiers]\npremium = -1", "tiers.premium in {}: -1 is not allowed; must be greater than 0"),
        (
            "[tiers]\neconomy = 5\nstandard = 0.01",
            "tiers.standard in {}: 0.01 is not allowed; must be at least tiers.economy, 5",
        ),
        (
            "[tiers]\npremium = 2",
            "tiers.enterprise in default: 1.0 is not allowed; must be at least tiers.premium, 2",
        ),
        ("[tiers]\ngold = 1", "tiers.gold in {}: unknown key; known are ultra_economy, economy,"),
        (
            "[use_cases.poetry]\nprefer = ['groq']",
            "use_cases.poetry in {}: 'poetry' is not allowed; must be 'classification', 'summar",
        ),
        (
            "[use_cases.expert]\nprefer = []",
            "use_cases.expert.prefer in {}: [] is not allowed; must be an array of 1 or more items",
        ),
        (
            "[presets.poet]\nlatency = { strategy = 'race' }",
            "presets.poet.latency in {}: that table is not allowed; must be 'normal', 'hedge' or",
        ),
        (
            "[use_cases.expert]\ncomplexity = 'hard'",
            "use_cases.expert.complexity in {}: 'hard' is not allowed; must be 'simple', 'mod",
        ),
        (
            "[use_cases.expert]\nlatency = 'fast'",
            "use_cases.expert.latency in {}: 'fast' is not allowed; must be 'normal', 'hedge' or",
        ),
        (
            "[use_cases.expert.premium]\nprefer = ['groq']\nonly = 1",
            "use_cases.expert.premium.only in {}: unknown key; known are prefer",
        ),
        (
            "[presets.poet]\ntier = 'gold'",
            "presets.poet.tier in {}: 'gold' is not allowed; must be",
        ),
        ("[presets.Poet]\nsystem = 'x'", "presets.Poet in {}: 'Poet' is not a name"),
    ],
)
def test_a_bad_file_is_one_line_with_key_file_value_and_what_is_allowed(
    tmp_path: Path, text: str, line: str
) -> None:
    path = toml(tmp_path, text)
    assert refusal(path).startswith(line.format(path))


def test_a_bad_variable_and_a_bad_flag_are_named() -> None:
    assert refusal(environ={"TAILRACE_SERVER__PORT": "-1"}).startswith(
        "server.port in TAILRACE_SERVER__PORT: '-1' is not allowed; must be at least 0"
    )
    assert refusal(flags={"server.port": "http"}).startswith("server.port in --port: 'http'")
    assert refusal(flags={"server.data": ""}).startswith("server.data in --data: '' is not allowed")
    assert refusal(environ={"TAILRACE_SEVER__PORT": "1"}).startswith("sever in TAILRACE_SEVER__")


@pytest.mark.parametrize("lone", ["price_input = 0.1", "price_output = 0.1"])
def test_a_models_price_is_stated_both_ways(lone: str, tmp_path: Path) -> None:
    text = f'[[providers.qwen.models]]\nid = "m"\n{lone}\n'
    assert "providers.qwen.models.0.price_output" in refusal(toml(tmp_path, text))


def test_of_several_mistakes_the_first_is_told_and_the_rest_are_counted(tmp_path: Path) -> None:
    path = toml(tmp_path, "[server]\nport = -1\ndrain_s = -1\n[streams]\nttl_s = -1\n")
    assert refusal(path).endswith("(and 2 more)")


def test_a_variable_does_not_hide_a_mistake_in_the_file(tmp_path: Path) -> None:
    path = toml(tmp_path, "server = 5")
    assert str(path) in refusal(path, {"TAILRACE_SERVER__PORT": "80"})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert refusal(missing) == f"{missing}: cannot be read: No such file or directory"
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'# caf\xe9\nx = "y"')
    assert refusal(latin) == f"{latin}: not UTF-8 at byte 5"


@pytest.mark.parametrize(
    "text",
    [
        "[providers.openai]\nkey = 5050505",
        "[providers]\nopenai = 'test-key-5050505'",
        "[providers.openai]\napi_key = 'test-key-5050505'",
        "[providers.openai.key]\nvalue = 'test-key-5050505'",
        "[providers.OPENAI]\nkey = 'test-key-5050505'",
    ],
)
def test_no_refusal_shows_a_key(tmp_path: Path, text: str) -> None:
    assert "5050505" not in refusal(toml(tmp_path, text))


def test_what_is_printed_masks_keys_and_names_origins(tmp_path: Path) -> None:
    path = toml(tmp_path, "[providers.openai]\nkey = 'test-key-openai'\n")
    settings = load(path, {"TAILRACE_SERVER__PORT": "9000"})
    lines = list(settings.lines())
    assert f'providers.openai.key = "**********"  # {path}' in lines
    assert "server.port = 9000  # TAILRACE_SERVER__PORT" in lines
    assert "test-key-openai" not in repr(settings) + "".join(lines)


def test_the_printed_settings_are_a_file_that_loads_to_the_same(tmp_path: Path) -> None:
    settings = load(None, {"TAILRACE_SERVER__ALLOWED_ORIGINS": "https://a.example, *"})
    again = load(toml(tmp_path, "\n".join(settings.lines())), {})
    assert again.model_dump() == settings.model_dump()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_permission(host: str) -> None:
    assert is_loopback(host)
    assert load(None, {}, {"server.host": host}).server.host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "chat.example.com", ""])  # noqa: S104 - the point
def test_any_other_address_needs_insecure(host: str) -> None:
    assert "must be a loopback address" in refusal(flags={"server.host": host})
    allowed = load(None, {"TAILRACE_SERVER__INSECURE": "true"}, {"server.host": host})
    assert allowed.server.host == host


def test_every_field_of_every_section_says_what_it_does() -> None:
    sections = [
        Settings.model_fields[name].annotation for name in ("server", "streams", "websocket")
    ]
    for section in sections:
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"


def test_the_longest_delay_of_a_hedge_is_no_shorter_than_the_shortest() -> None:
    environ = {
        "TAILRACE_HEDGING__LEAST_DELAY_S": "3",
        "TAILRACE_HEDGING__MOST_DELAY_S": "2",
    }
    with pytest.raises(SettingsError) as refused:
        load(None, environ)
    assert "hedging.most_delay_s" in str(refused.value)
    assert "at least hedging.least_delay_s, 3" in str(refused.value)


def test_tiers_may_allow_the_same() -> None:
    environ = {"TAILRACE_TIERS__STANDARD": "0.2", "TAILRACE_TIERS__PREMIUM": "0.2"}
    assert load(None, environ).tiers.standard == 0.2


# --- The packaged table -----------------------------------------------------------------------


def test_the_packaged_table_is_what_settings_without_a_word_hold() -> None:
    settings = load(None, {})
    assert settings.use_cases == Settings().use_cases
    assert settings.tiers.premium == 0.20
    assert settings.presets["tester"].use_case is UseCase.CODE_GENERATION
    assert settings.origin("use_cases.expert.prefer") == "default"


def test_a_word_of_the_table_is_replaced_and_its_neighbours_stay(tmp_path: Path) -> None:
    path = toml(
        tmp_path, "[use_cases.expert]\nlatency = 'hedge'\n[presets.poet]\nsystem = 'Rhyme.'"
    )
    settings = load(path, {"TAILRACE_USE_CASES__EXPERT__PREFER": "groq, claude/opus"})
    expert = settings.use_cases[UseCase.EXPERT]
    assert expert.prefer == ("groq", "claude/opus")
    assert expert.latency is Strategy.HEDGE
    assert expert.complexity is Complexity.EXPERT
    assert settings.presets["poet"].tier is Tier.STANDARD
    assert "tester" in settings.presets
    assert settings.use_cases[UseCase.ANALYSIS] == Settings().use_cases[UseCase.ANALYSIS]


def test_ids_are_remembered_for_at_least_twice_as_long_as_the_journal() -> None:
    with pytest.raises(SettingsError) as refusal:
        load(None, {"TAILRACE_USAGE__JOURNAL_RETENTION_S": "2000000"})
    assert "usage.dedupe_retention_s" in str(refusal.value)
    assert "at least twice usage.journal_retention_s, 4000000" in str(refusal.value)


@pytest.mark.parametrize(
    ("listed", "held"), [("billing", ("cost", "billing")), ("a,cost", ("cost", "a"))]
)
def test_the_group_that_counts_is_one_of_those_that_must_have_acknowledged(
    listed: str, held: tuple[str, ...]
) -> None:
    assert load(None, {"TAILRACE_USAGE__GROUPS": listed}).usage.groups == held


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GROUPS", "a b", "'a b' is not allowed; must be names of at most 64 letters"),
        ("ENGINE", "x", "'x' is not allowed; must be 'auto' or 'in-process'"),
        ("DATABASE", "mysql://u:canary@h/d", "that string is not allowed; must be an address that"),
        ("STREAM_ENTRIES", "9" * 30, "must be"),
        ("NOSUCH", "1", "unknown key; known are engine, durability"),
    ],
)
def test_a_wrong_setting_of_usage_is_named_with_what_is_allowed(
    name: str, value: str, said: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        load(None, {f"TAILRACE_USAGE__{name}": value})
    assert said in str(refusal.value)
    assert f"usage.{name.lower()} in TAILRACE_USAGE__{name}" in str(refusal.value)
    assert "canary" not in str(refusal.value)
