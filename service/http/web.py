"""The web app at `/`: the files that `make setup` built into service/web/dist.

Everything of it is static and public; what it shows it asks for over the API, like anybody. Its
scripts and styles have a hash in their name and may be kept for ever, the page itself is asked for
each time. aiohttp sends the compressed copy that lies beside a file to who takes one.

The policy lets the page run its own scripts and styles and talk to its own origin, and nothing
else: what a model says can neither load nor send anything, even if it got past the page's escaping.

Where nothing was built (a checkout without `make setup`) the page says so, with a first command.
"""

from html import escape
from pathlib import Path
from typing import Final

from aiohttp import web

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase

BUILT: Final = Path(__file__).parent.parent / "web" / "dist"

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_NAME: Final = r"\w[\w.-]*"
"""Of a file directly in its folder."""

_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_FRESH: Final = _HEADERS | {"Cache-Control": "no-cache"}
_KEPT: Final = _HEADERS | {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Vary": "Accept-Encoding",  # aiohttp says so of the compressed copy only
}

_NOT_BUILT: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Tailrace</title>
<h1>Tailrace</h1>
<p>This service streams LLM answers. Its web app was not built: <code>make setup</code> does it.</p>
<p>Ask it something:</p>
<pre>curl -N %s/v1/streams -d '{"messages":[{"role":"user","content":"Hello"}]}'</pre>
"""


class WebApp:
    """The route `/` and what the page there loads."""

    def __init__(self, folder: Path = BUILT) -> None:
        """`folder`: what was built; it need not be there."""
        self._folder = folder

    def routes(self) -> list[web.RouteDef]:
        """The routes to mount."""
        return [
            web.get("/", self.page),
            web.get("/icon.svg", self.icon),
            web.get(f"/assets/{{name:{_NAME}}}", self.asset),
        ]

    async def page(self, request: web.Request) -> web.StreamResponse:
        """GET /: the app, or how to get one."""
        index = self._folder / "index.html"
        if index.is_file():
            return web.FileResponse(index, headers=_FRESH)
        address = escape(f"{request.scheme}://{request.host}")
        return web.Response(text=_NOT_BUILT % address, content_type="text/html", headers=_FRESH)

    async def icon(self, _request: web.Request) -> web.StreamResponse:
        """GET /icon.svg."""
        return self._file(self._folder / "icon.svg", _FRESH)

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """GET /assets/{name}: a script or a style."""
        return self._file(self._folder / "assets" / request.match_info["name"], _KEPT)

    def _file(self, path: Path, headers: dict[str, str]) -> web.FileResponse:
        """Raises RequestError where there is no such file."""
        if path.is_file():
            return web.FileResponse(path, headers=headers)
        message = f"{path.name[:128]}: no such file"
        raise RequestError(make(ErrorCode.NOT_FOUND, message, phase=Phase.BEFORE_STREAM))
