"""What every attempt used and cost: written down once, published, counted once.

* `cost`, `record`  an attempt's facts -> money in integers, and the usage event.
* `slot`, `store`, `journal`  where it is safe: in a database of this process' own, before an answer
  ends.
* `engine`, `embedded`, `client`  which Redis there is: an operator's, a server of our own, or none.
* `scripts`, `publisher`  from the journal onto the Redis Stream, nothing lost or twice.
"""
