"""A provider's bytes become events here; nothing in this package knows the service.

The rooms, each one sentence, lowest first:

* `events`     the event schema v1: every struct a stream can hold, and its vocabularies.
* `errors`     what each error code means, and how a provider's answer becomes one.
* `tokens`     usage arithmetic: inclusive totals, never adding two reports of the same thing.
* `request`    what a client may ask, validated once at the edge.
* `contract`   the seams: Provider (data), Dialect (encode and decode), Client (send).
* `sse`        bytes to server-sent events, incrementally and bounded.
* `dialects`   one file per wire format, without I/O and without provider names.
* `catalog`    what models cost: a packaged price list, our own table, the operator's word.
* `providers`  one small file per provider: address, keys, dialect, quirks as data.
* `clients`    one file per SDK: it sends, and hands back the response's raw bytes.
* `registry`   name -> Provider.
"""
