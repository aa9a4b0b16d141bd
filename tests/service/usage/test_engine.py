"""Which engine there is, from the environment and what this system can run."""

from pathlib import Path

import pytest

from service.settings import SettingsError
from service.usage import embedded
from service.usage.engine import resolve


async def test_a_redis_url_is_the_engine_and_its_password_is_not_shown(tmp_path: Path) -> None:
    environ = {"REDIS_URL": "rediss://tailrace:test-key-redis@cache.example.com/2"}
    engine = await resolve(environ, tmp_path)
    assert engine.kind == "redis"
    assert engine.url == "rediss://tailrace@cache.example.com:6379/2"
    assert engine.address is not None
    assert engine.address.password == "test-key-redis"
    assert not (tmp_path / "engine").exists()
    await engine.aclose()


async def test_a_redis_url_that_cannot_be_read_stops_the_start_without_telling_its_password(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError, match=r"^REDIS_URL: must begin with one of redis") as failure:
        await resolve({"REDIS_URL": "http://x:test-key-redis@y"}, tmp_path)
    assert "test-key-redis" not in str(failure.value)


@pytest.mark.skipif(embedded.packaged_server() is None, reason="no server for this system")
async def test_without_a_redis_url_the_packaged_server_is_the_engine(tmp_path: Path) -> None:
    engine = await resolve({"REDIS_URL": " ", "PATH": str(tmp_path)}, tmp_path)
    assert engine.kind == "embedded"
    assert engine.url is not None
    assert engine.url.startswith("redis://127.0.0.1:")
    await engine.aclose()


async def test_where_no_server_can_run_the_engine_is_this_process_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "engine").write_text("a file where the folder should be")
    engine = await resolve({"PATH": str(tmp_path)}, tmp_path)
    assert (engine.kind, engine.url, engine.address) == ("in-process", None, None)
    assert "File exists" in caplog.text
    await engine.aclose()
