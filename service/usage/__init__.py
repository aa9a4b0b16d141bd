"""What every attempt used and cost: written down once, published, counted once.

* `cost`, `record`  an attempt's facts -> money in integers, and the usage event.
* `slot`, `store`, `journal`  where it is safe: in a database of this process' own, before an answer
  ends.
"""
