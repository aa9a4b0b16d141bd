"""The suite itself: a Python 2.7 is found for it, it is installed, run, and its report read.

It has never been ported to Python 3, and its last release is of 2025. Everything of it stays in one
folder, of which the interpreter is told; nothing of this project's environment is touched.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from tests.autobahn.verdict import Report

LOCK = Path(__file__).parent / "requirements.lock"

NAMES = ("python2.7", "python2")

EXCLUDED = ("9.*", "12.*", "13.*")
"""Messages of up to 16 MiB, where a client of ours may send 1 MiB; and compression, which no
handshake of ours agrees on."""

LIMIT = 600.0
"""Seconds for all cases, of which 40 are usual."""

RUN = "import sys; from autobahntestsuite.wstest import run; sys.argv[0] = 'wstest'; run()"


class SuiteError(Exception):
    """It could not be installed, or did not run to its end."""


@dataclass(frozen=True, slots=True)
class Python27:
    """An interpreter, and what its environment must say for it to be one."""

    command: str
    environ: Mapping[str, str]

    def runs(self) -> bool:
        """Whether it is there and what it is called."""
        check = "import sys; sys.exit(sys.version_info[:2] != (2, 7))"
        done = subprocess.run(  # noqa: S603 - what was found on this machine
            [self.command, "-c", check],
            env=os.environ | self.environ,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0


def found() -> Python27 | None:
    """The first Python 2.7 that there is."""
    return next((python for python in _candidates() if python.runs()), None)


def _candidates() -> Iterator[Python27]:
    commands = [path for name in NAMES if (path := shutil.which(name))]
    for command in commands:
        yield Python27(command, {})
    # With pyenv a command may be there that refuses to run until it is told which one is meant.
    pyenv = shutil.which("pyenv")
    if pyenv is None or not commands:
        return
    listed = subprocess.run(  # noqa: S603 - what was found on this machine
        [pyenv, "versions", "--bare"], capture_output=True, text=True, check=False
    )
    for version in listed.stdout.split():
        if version.startswith("2.7"):
            yield Python27(commands[0], {"PYENV_VERSION": version})


def install(python: Python27, folder: Path) -> None:
    """Put it into `folder` as the lock has it, unless it is there. Raises SuiteError."""
    stamp = folder / "installed.lock"
    if stamp.is_file() and stamp.read_bytes() == LOCK.read_bytes():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    flags = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
    done = subprocess.run(  # noqa: S603 - what was found on this machine
        [python.command, "-m", "pip", "install", *flags, "--target", str(folder), "-r", str(LOCK)],
        env=os.environ | python.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        message = f"pip could not install it: {done.stderr.strip().splitlines()[-1:]}"
        raise SuiteError(message)
    # A namespace that is spread over folders by .pth files, which --target does not read.
    (folder / "zope" / "__init__.py").touch()
    shutil.copyfile(LOCK, stamp)


async def run(python: Python27, folder: Path, url: str) -> Report:
    """Have it try every case on the server at `url`. Raises SuiteError."""
    reports = folder / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    spec = {
        "outdir": str(reports),
        "servers": [{"agent": "tailrace", "url": url}],
        "cases": ["*"],
        "exclude-cases": list(EXCLUDED),
        "exclude-agent-cases": {},
    }
    (folder / "spec.json").write_bytes(orjson.dumps(spec))
    process = await asyncio.create_subprocess_exec(
        *(python.command, "-c", RUN, "-m", "fuzzingclient", "-s", str(folder / "spec.json")),
        cwd=folder,
        env=os.environ | python.environ | {"PYTHONPATH": str(folder)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT):
            _, told = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        message = f"it did not end within {LIMIT:g} s"
        raise SuiteError(message) from None
    index = reports / "index.json"
    if not index.is_file():
        message = f"it ended with {process.returncode}: {told.decode().strip().splitlines()[-1:]}"
        raise SuiteError(message)
    report: Report = orjson.loads(index.read_bytes())["tailrace"]
    return report
