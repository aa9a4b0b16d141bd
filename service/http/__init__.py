"""The HTTP surface: the only room, beside `app`, that knows aiohttp's server.

`body` reads and validates a request, `problems` turns every failure into the typed error body,
`sse` and `websocket` deliver a stream live, `folded` delivers it as one JSON answer, `native`,
`coordination` and `operations` hold the routes.
"""
