"""A PostgreSQL server for tests, where this machine has one; started once, a database per test."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

KINDS = ("sqlite", "postgresql")


@contextmanager
def running_postgresql() -> Iterator[str]:
    """The URL of a server without its database; skips the test where there is none."""
    found = shutil.which("pg_ctl") or max(
        map(str, Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")), default=None
    )
    if found is None:
        pytest.skip("no PostgreSQL server on this machine")
    # Not below pytest's folder: the server does not run as root, and others may not look in there.
    with tempfile.TemporaryDirectory(prefix="tailrace-pg-") as folder:
        owner = "nobody" if os.getuid() == 0 else None
        if owner is not None:
            shutil.chown(folder, owner)
        data = f"{folder}/data"

        def control(*arguments: str) -> None:
            subprocess.run(  # noqa: S603 - a test's own server
                [found, "-D", data, "-s", *arguments],
                check=True,
                user=owner,
                cwd=folder,
                stdout=subprocess.DEVNULL,
            )

        control("initdb", "-o", "-U tailrace -A trust -E UTF8 --locale=C --no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        control("start", "-w", "-l", f"{folder}/log", "-o", options)
        try:
            yield f"postgresql://tailrace@/%s?host={folder}"
        finally:
            control("stop", "-m", "immediate")


def created(server: str) -> str:
    """The URL of a new database."""
    name = f"d{uuid4().hex}"
    with psycopg.connect(server % "postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return server % name
