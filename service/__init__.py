"""The service: one request's story from the HTTP body to the last event, and what keeps it honest.

The rooms, lowest first:

* `complaints`, `backoff`  what is wrong with a value, in our words; pauses between tries.
* `settings`, `clock`, `ids`, `tasks`, `latch`, `files`, `jitter`  configuration, time, names, owned
  background work, a door that opens once, locks and synced files, chance.
* `discovery`  what the providers' own lists of models said when they were last asked.
* `change`     what an operator may change of a provider.
* `endpoints`  settings and environment -> which providers are active, where, with which key;
  `overrides` puts what the admin API changed on top.
* `line`, `seat`  what several workers and their parent say to one another; a worker's place.
* `telemetry`  the facts of attempts that are over, and who counts them.
* `usage`      what every attempt used and cost: journal, stream, sums, and the Redis they need.
* `limits`     how much each provider may be asked: reserved before an attempt, settled after it.
* `streams`    the stream log: sequence numbers, replay, resume, cancel.
* `routing`    a request -> the candidates that may answer it, and why others may not; their health.
* `hedging`    the race between attempts: the decision (no I/O) and the shell that runs it.
* `relay`      one request's whole story.
* `http`       routes, SSE, WebSocket, the coordination API, metrics.
* `description`  what every route takes and answers, as OpenAPI and AsyncAPI documents.
* `remote`     a running service as the commands see it.
* `app`        the composition root; `workers` runs several of it on one port.
* `ask`, `preview`, `models`, `refresh`, `cli`  the commands.
"""
