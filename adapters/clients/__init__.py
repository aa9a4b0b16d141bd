"""One file per official SDK: it sends a request, and hands back the response's raw bytes.

The SDKs build, authenticate and send; what they would do with the answer is not wanted: a typed
stream costs five times as much CPU per chunk as reading the socket (docs/hot-path.md). So all of
them send over one aiohttp session, behind whatever HTTP library each was written for, and their
clients hand out aiohttp's own response.

* `addresses`  a provider's address, in any of the forms people write it, as its base URL.
* `transport`  the shared connections, and the two HTTP libraries' transports over them.
* `exchange`   one request's way through an SDK: what is sent, what came of it, as a typed outcome.
* `upstream`   an answer as its raw bytes; error bodies, read within bounds.
* `identity`   the headers a request has, so that an SDK adds none of its own.
* `openai`, `anthropic`, `groq`, `mistral`, `google`  the SDKs, each touched only there.
* `demo`       answers without a network.
* `factory`    client name -> constructor; imports an SDK when it is first wanted.

What the detour costs, CPU of one request of 20 messages and its answer over loopback (uvloop,
Python 3.11, the best of nine interleaved runs of 300): aiohttp alone 0.20 ms; google 0.45, mistral
0.46, groq 0.55, anthropic 0.59, openai 0.62. Most of it is three URL parses, two header merges and
one pydantic model in each SDK. Per chunk it costs nothing, but 0.25 us in `transport`.

An SDK reads its own environment: keys, organisations, custom headers, addresses, proxies. None of
that may reach any address, so every client passes everything explicitly and no header leaves that
was not stated here; tests set every variable the SDKs know and look for it on the wire.
"""
