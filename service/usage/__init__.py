"""What every attempt used and cost: written down once, published, counted once.

In the order of an event's way:

* `cost`, `record`  an attempt's facts -> money in integers, and the usage event.
* `meter`  every attempt in the journal: when it is sent, while it runs, and how it ended.
* `slot`, `store`, `journal`  where it is safe: in a database of this process' own, before an answer
  ends.
* `client`, `engine`, `embedded`  which Redis there is: an operator's, a server of our own, or none.
* `scripts`, `publisher`  from the journal onto the Redis Stream, nothing lost or twice.
* `group`, `batch`, `aggregate`  from the stream into the sums, as one consumer of a group;
  `consumer` is that in a process of its own.
* `replay`, `archive`  from the journals into the sums: without a stream, or anew.
* `tally`, `rollups`  what an event adds to which sums, and the sums with each event in them once.
* `database`, `postgres`, `sums`  where they are: SQLite or PostgreSQL, by the settings.
* `report`, `shown`  what they say, as `GET /v1/usage` and as a terminal has it.
* `live`, `sources`  the events as they come, for those who look on.
* `watch`  what happened to events on their way, for the metrics.
* `pipeline`  everything that runs for it in one process of the service.
"""
