from pathlib import Path

import pytest

from adapters.contract import Model
from adapters.registry import FIFTEEN
from service import discovery
from service.discovery import Discovery, DiscoveryError, Found, compare

AT = "2026-11-23T08:00:00Z"
OURS = (
    Model(id="claude-opus-5-5"),
    Model(id="deepseek-v4-pro-0813"),
    Model(id="zai-org/GLM-5.3"),
    Model(id="fast", listed=False),
)


def found(*ids: str) -> Found:
    return compare(OURS, ids, AT)


def test_what_both_name_is_neither_new_nor_gone() -> None:
    ids = ("claude-opus-5-5", "deepseek-v4-pro-0813", "zai-org/glm-5.3")
    assert found(*ids) == Found(at=AT, ids=ids, new=(), gone=())


@pytest.mark.parametrize("date", ["20261001", "2026-10-01", "1001"])
def test_a_dated_id_stands_for_the_name_it_is_a_version_of(date: str) -> None:
    told = found(f"claude-opus-5-5-{date}")
    assert "claude-opus-5-5" not in told.gone
    assert told.new == ()


def test_another_version_is_not_the_same_model() -> None:
    told = found("claude-opus-5-6", "deepseek-v4-pro")
    assert told.new == ("claude-opus-5-6", "deepseek-v4-pro")
    assert told.gone == ("claude-opus-5-5", "deepseek-v4-pro-0813", "zai-org/GLM-5.3")


def test_what_no_list_names_is_not_gone_for_want_of_it() -> None:
    assert "fast" not in found("whatever").gone


def test_what_was_found_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    kept = Discovery(providers={"claude": found("claude-opus-5-5", "new-one")})
    path = tmp_path / "data" / discovery.FILE
    discovery.save(path, kept)
    assert discovery.load(path) == kept
    assert [file.name for file in path.parent.iterdir()] == [discovery.FILE]


def test_what_is_gone_is_marked_and_stays_listed() -> None:
    claude = FIFTEEN["claude"]
    others = tuple(model.id for model in claude.models if model.alias != "opus")
    found_out = Discovery(providers={"claude": compare(claude.models, others, AT)})
    marked = discovery.marked(claude, found_out)
    assert marked.model("opus").gone
    assert not marked.model("sonnet").gone
    assert [model.id for model in marked.models] == [model.id for model in claude.models]
    assert discovery.marked(FIFTEEN["openai"], found_out) is FIFTEEN["openai"]


def test_without_a_file_nothing_is_new_or_gone(tmp_path: Path) -> None:
    nothing = discovery.load(tmp_path / discovery.FILE)
    assert discovery.marked(FIFTEEN["claude"], nothing) is FIFTEEN["claude"]
    assert nothing.new("claude") == ()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"providers": {"a": {}}}', b"\xff"])
def test_a_file_that_is_something_else_is_refused_in_one_line_that_helps(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / discovery.FILE
    path.write_bytes(content)
    with pytest.raises(DiscoveryError) as caught:
        discovery.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "tailrace catalog refresh" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_where_the_file_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / discovery.FILE).mkdir()
    with pytest.raises(DiscoveryError, match="cannot be read"):
        discovery.load(tmp_path / discovery.FILE)
    with pytest.raises(DiscoveryError, match="cannot be written"):
        discovery.save(tmp_path / discovery.FILE, Discovery())
