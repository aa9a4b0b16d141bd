"""The service: one request's story from the HTTP body to the last event, and what keeps it honest.

The rooms, lowest first:

* `settings`, `clock`, `ids`, `tasks`  configuration, time, names, owned background work.
* `endpoints`  settings and environment -> which providers are active, where, with which key.
* `streams`    the stream log: sequence numbers, replay, resume, cancel.
* `routing`    a request -> the candidates that may answer it, and why others may not.
* `hedging`    the race between attempts: the decision (no I/O) and the shell that runs it.
* `relay`      one request's whole story.
* `http`       routes, SSE, WebSocket, the coordination API.
* `app`, `cli` the composition root and the commands.
"""
