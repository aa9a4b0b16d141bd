"""Programs in Python with packages of their own: see `programs`.

Their packages are what `make clients` installs into build/clients, an environment beside the
service's, because other people's programs may want other versions of what both use. Where it is
missing, a test is skipped with that in one line, and fails under CI=true.
"""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.clients.programs import Program, missing, started

HOME = Path(__file__).parent / "python"
ENVIRONMENT = Path(__file__).parents[2] / "build" / "clients"


def command(name: str) -> str:
    """A command of their environment; where it is not installed, the test ends here."""
    if not (ENVIRONMENT / ".installed").is_file():
        missing("the clients in Python are not installed: make clients")
    return str(ENVIRONMENT / "bin" / name)


def program(name: str, **environ: str) -> AbstractAsyncContextManager[Program]:
    """Run tests/clients/python/<name>.py until the test is over, with more in its environment."""
    return started(command("python"), str(HOME / f"{name}.py"), environ=environ)
