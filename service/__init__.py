"""The service: one request's story from the HTTP body to the last event, and what keeps it honest.

The rooms, lowest first:

* `settings`, `clock`, `ids`, `tasks`  configuration, time, names, owned background work;
  `files`, `backoff`, `jitter`  locks, and pauses between tries.
* `endpoints`  settings and environment -> which providers are active, where, with which key;
  `overrides` puts what the admin API changed on top.
* `limits`     how much each provider may be asked: reserved before an attempt, settled after it.
* `telemetry`  the facts of attempts that are over, and who counts them.
* `streams`    the stream log: sequence numbers, replay, resume, cancel.
* `routing`    a request -> the candidates that may answer it, and why others may not; their health.
* `hedging`    the race between attempts: the decision (no I/O) and the shell that runs it.
* `relay`      one request's whole story.
* `http`       routes, SSE, WebSocket, the coordination API, metrics.
* `app`, `cli` the composition root and the commands.
"""
